// The limits of one API key: fields for them, and how they are written for people and for the command line.

import { field, make } from "./elements.js";
import { whole } from "./format.js";

/** @typedef {Record<string, string|undefined>} Limits by name; the server's own where one is absent */

/** name in JSON, flag of the command line, name of its field, and words after the number in the list */
const LIMITS = [
  ["requestsPerMinute", "--requests-per-minute", "Texts a minute", "texts/min"],
  ["tokensPerMinute", "--tokens-per-minute", "Tokens a minute", "tokens/min"],
  ["requestsPerDay", "--requests-per-day", "Texts a day", "texts/day"],
  ["tokensPerDay", "--tokens-per-day", "Tokens a day", "tokens/day"],
  ["maxOpenUploads", "--max-open-uploads", "Open uploads", "open uploads"],
  ["maxOpenBatches", "--max-open-batches", "Open batches", "open batches"],
  ["maxStoredBytes", "--max-stored-bytes", "Stored bytes", "bytes stored"],
  ["maxPriority", "--max-priority", "Highest priority", "priority at most"],
  ["weight", "--weight", "Weight of its batches", "chunks a turn"],
];

/** @param {Limits} limits @returns {string[]} those that are a key's own, for people */
export function describeLimits(limits) {
  return LIMITS.flatMap(([name, , , words]) => limits[name] === undefined ? [] : [`${whole(Number(limits[name]))} ${words}`]);
}

/** Make the fields of all limits. */
export function createLimitFields() {
  const inputs = LIMITS.map(([name]) => make("input", {
    type: "number", name, placeholder: name === "weight" ? "1" : "the server's",
    ...(name === "maxPriority" ? {} : { min: 1 }),
  }));
  /** @type {Limits} what the fields were filled with */
  let filled = {};
  const changed = () => inputs.filter(({ name, value }) => value !== (filled[name] ?? ""));
  return {
    elements: inputs.map((input, at) => field(LIMITS[at][2], input)),
    /** @param {Limits} limits to show */
    fill(limits) {
      filled = limits;
      for (const input of changed()) input.value = limits[input.name] ?? ""; // the others may be half typed
    },
    /** @returns {Limits} what the fields show */
    shown: () => Object.fromEntries(inputs.map(({ name, value }) => [name, value])),
    /** @param {Limits} shown what the fields showed when it was sent; what was typed later is still to be sent */
    keep(shown) {
      filled = shown;
    },
    /** @returns {boolean} whether something was typed that was not sent */
    isChanged: () => changed().length > 0,
    /** @param {Limits} limits of a key now @returns {Limits} the same with what was typed; the rest stays as it is */
    over(limits) {
      const typed = Object.fromEntries(changed().map(({ name, value }) => [name, value || undefined]));
      return { ...limits, ...typed };
    },
    /** @returns {string[]} the flags of what was typed */
    flags() {
      return changed().map(({ name, value }) => `${LIMITS.find(([each]) => each === name)?.[1]} ${value || "default"}`);
    },
  };
}
