// The question before something cannot be undone.

import { make } from "./elements.js";

/**
 * Ask whether to go on.
 *
 * @param {string} question
 * @param {string} consequence what will be lost
 * @param {string} verb what the button says
 * @returns {Promise<boolean>}
 */
export function confirm(question, consequence, verb) {
  const keep = make("button", { value: "" }, "Keep");
  const go = make("button", { class: "danger", value: "yes" }, verb);
  const dialog = make("dialog", { "aria-labelledby": "question", "aria-describedby": "consequence" },
    make("form", { method: "dialog" },
      make("h2", { id: "question" }, question),
      make("p", { id: "consequence" }, consequence),
      make("div", { class: "row end" }, keep, go),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  keep.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
