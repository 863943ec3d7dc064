// Makes a batch of a JSONL file that is dropped or chosen.

import { askJson, upload } from "./api.js";
import { field, make } from "./elements.js";
import { size } from "./format.js";
import { say } from "./notice.js";
import { askServed, offerNames } from "./served.js";

/** @param {() => void} onMade called when a batch was accepted */
export function createNewBatch(onMade) {
  const input = make("input", { type: "file", accept: ".jsonl,.ndjson,application/jsonl", class: "hidden", id: "batch-file" });
  const zone = make("label", { class: "drop", htmlFor: "batch-file" },
    make("strong", {}, "Drop a JSONL file"), " or choose one",
    make("small", { class: "soft" }, 'Each line is {"key": "1", "request": {"content": {"parts": [{"text": "..."}]}}}'));
  const chosen = make("p", { class: "chosen", role: "status" });
  const model = make("select", { name: "model" });
  const name = make("input", { type: "text", name: "name", maxLength: 512, autocomplete: "off" });
  const priority = make("input", { type: "number", name: "priority", value: "0", step: 1 });
  const go = make("button", { class: "primary" }, "Make the batch");
  const stop = make("button", { type: "button", class: "quiet", hidden: true }, "Stop");
  const bar = make("progress", { max: 1, value: 0, hidden: true, "aria-label": "Uploaded" });
  const trouble = make("div", { class: "trouble" });
  const options = make("div", { class: "options", hidden: true },
    field("Model", model), field("Name", name), field("Priority", priority),
    make("div", { class: "row" }, go, stop, bar));
  /** @type {File|null} */
  let file = null;
  /** @type {AbortController|null} */
  let sending = null;

  function choose(/** @type {File|undefined} */ given) {
    if (!given || sending) return;
    file = given;
    chosen.textContent = `${given.name}, ${size(given.size)}`;
    name.value = given.name.replace(/\.(jsonl|ndjson)$/, "");
    options.hidden = false;
    say(trouble, null);
  }

  async function send() {
    if (!file || sending) return;
    sending = new AbortController();
    show(true);
    try {
      const stored = await upload(file, (share) => { bar.value = share; }, sending.signal);
      await askJson(`v1beta/models/${encodeURIComponent(model.value)}:asyncBatchEmbedContent`, {
        method: "POST",
        json: { batch: {
          displayName: name.value, priority: Number(priority.value), inputConfig: { fileName: stored.name },
        } },
      });
      file = null;
      options.hidden = true;
      chosen.textContent = "";
      input.value = "";
      say(trouble, null);
      onMade();
    } catch (failure) {
      say(trouble, failure);
    } finally {
      sending = null;
      show(false);
    }
  }

  function show(/** @type {boolean} */ isSending) {
    go.disabled = isSending;
    bar.hidden = stop.hidden = !isSending;
    bar.value = 0;
  }

  const form = make("form", { class: "card new-batch", "aria-label": "New batch" },
    input, zone, chosen, options, trouble);
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    send();
  });
  stop.addEventListener("click", () => sending?.abort());
  input.addEventListener("change", () => choose(input.files[0]));
  form.addEventListener("dragover", (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  form.addEventListener("dragleave", () => zone.classList.remove("over"));
  form.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    zone.classList.remove("over");
    choose(event.dataTransfer?.files[0]);
  });
  return {
    element: form,
    async show() {
      try {
        offerNames(model, (await askServed()).names);
      } catch (failure) {
        say(trouble, failure);
      }
    },
  };
}
