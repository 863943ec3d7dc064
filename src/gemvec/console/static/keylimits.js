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
  return {
    elements: inputs.map((input, at) => field(LIMITS[at][2], input)),
    /** @returns {Limits} what was typed */
    limits() {
      return Object.fromEntries(inputs.filter(({ value }) => value).map(({ name, value }) => [name, value]));
    },
    /** @param {Limits} limits to show */
    fill(limits) {
      for (const input of inputs) input.value = limits[input.name] ?? "";
    },
    /** @param {Limits} before @returns {string[]} the flags that change these limits to what was typed */
    flags(before) {
      return LIMITS.flatMap(([name, flag], at) => {
        const { value } = inputs[at];
        return value === (before[name] ?? "") ? [] : [`${flag} ${value || "default"}`];
      });
    },
  };
}
