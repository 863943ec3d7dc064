// Makes and changes keys where the server allows it, and shows a new key once.

import { ask, askJson } from "./api.js";
import { confirm } from "./confirm.js";
import { copyText } from "./clipboard.js";
import { make } from "./elements.js";

const SECONDS = { m: 60, h: 3600, d: 86_400, w: 604_800 };

/**
 * @typedef {object} KeyChange
 * @property {string} verb create, set, rotate, revoke or delete
 * @property {string} name of the key
 * @property {string} life how long a new key works, such as 30d; "" for no end
 * @property {string} overlap how long a replaced key works beside the new one; "" for not at all
 * @property {string} model the only one that it may use; "" for all
 * @property {import("./keylimits.js").Limits} limits of a new key, or all of them from now on
 * @property {boolean} isAdmin
 */

/** @type {Record<string, [string, string, string]>} question, consequence and verb */
const QUESTIONS = {
  rotate: ["Replace the key", "Programs that have the old key need the new one.", "Replace it"],
  revoke: ["Revoke the key", "It stops working within a second. Its files and batches stay.", "Revoke it"],
  delete: ["Delete the key", "Its files and batches are deleted with it.", "Delete it"],
};

/**
 * Make or change a key, after a question where something stops working.
 *
 * @param {KeyChange} change
 * @throws {import("./api.js").Failure}
 */
export async function changeKey(change) {
  const { verb, name } = change;
  const [question, consequence, word] = QUESTIONS[verb] ?? [];
  if (question && !await confirm(`${question} ${name}?`, consequence, word)) return;
  const call = { method: "POST", json: messageOf(change) };
  if (verb === "set" || verb === "revoke" || verb === "delete") await ask(`console/data/keys:${verb}`, call);
  else await showOnce(await askJson(`console/data/keys${verb === "create" ? "" : ":rotate"}`, call));
}

/** @param {KeyChange} change */
function messageOf({ verb, name, life, overlap, model, limits, isAdmin }) {
  if (verb === "set") return { name, limits };
  const lifetimeSeconds = life ? secondsOf(life) : undefined;
  if (verb === "rotate") return { name, lifetimeSeconds, overlapSeconds: overlap ? secondsOf(overlap) : undefined };
  if (verb !== "create") return { name };
  return { name, lifetimeSeconds, isAdmin, model: model || undefined, limits };
}

/** @param {string} text such as 30d; what is something else is left to the server to refuse */
function secondsOf(text) {
  const [, count, unit] = /^(\d+)([mhdw])$/.exec(text.trim()) ?? [];
  return count ? Number(count) * SECONDS[/** @type {keyof typeof SECONDS} */ (unit)] : text;
}

/** @param {{name: string, key: string}} made */
function showOnce({ name, key }) {
  const copy = make("button", { type: "button", class: "primary" }, "Copy");
  copy.addEventListener("click", () => copyText(key, copy));
  const dialog = make("dialog", { "aria-labelledby": "new-key" }, make("form", { method: "dialog" },
    make("h2", { id: "new-key" }, `The key ${name}`),
    make("p", {}, "This is the only time that it is shown. Copy it now: the server keeps only its hash."),
    make("pre", { class: "program", tabIndex: 0, role: "region", "aria-label": "New key" }, make("code", {}, key)),
    make("div", { class: "row end" }, copy, make("button", {}, "Done"))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(undefined);
    });
  });
}
