// The dialog that asks for a key.

import { key } from "./api.js";
import { field, make } from "./elements.js";

/** @type {Promise<string|null>|null} */
let asking = null;

/**
 * Ask for a key, once at a time: calls that fail together share one dialog.
 *
 * @param {string} reason why one is wanted, in the server's words; "" if the reader asked for the dialog
 * @returns {Promise<string|null>} the key, "" to forget the one in use, null to leave things as they are
 */
export function askForKey(reason) {
  asking ??= open(reason).finally(() => {
    asking = null;
  });
  return asking;
}

/** @param {string} reason @returns {Promise<string|null>} */
function open(reason) {
  const input = make("input", { type: "password", autocomplete: "off", spellcheck: false, required: true, id: "key-input" });
  const cancel = make("button", { type: "button", class: "quiet" }, "Cancel");
  const forget = make("button", { type: "button", class: "quiet", hidden: !key() }, "Forget the key");
  const form = make("form", { method: "dialog" },
    make("h2", { id: "key-title" }, "API key"),
    reason && make("p", { class: "notice warn" }, reason),
    field("Key", input, "Kept in this tab until it is closed, and sent to this server only."),
    make("div", { class: "row end" }, forget, cancel, make("button", { class: "primary" }, "Use this key")),
  );
  const dialog = make("dialog", { "aria-labelledby": "key-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    let answer = /** @type {string|null} */ (null);
    form.addEventListener("submit", () => {
      answer = input.value.trim();
    });
    cancel.addEventListener("click", () => dialog.close());
    forget.addEventListener("click", () => {
      answer = "";
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
  });
}
