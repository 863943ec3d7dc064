// The caller's files: what was uploaded, and the results of batches.

import { ask, askJson, save } from "./api.js";
import { confirm } from "./confirm.js";
import { make } from "./elements.js";
import { moment, size } from "./format.js";
import { say } from "./notice.js";
import { createPager } from "./pager.js";
import { createLoop } from "./poll.js";

const PAGE_SIZE = 50;
const AGAIN_MILLISECONDS = 10_000;

/** @returns {import("./console.js").Page} */
export function createFilesPage() {
  const body = make("tbody", { id: "files" });
  const trouble = make("div", { class: "trouble" });
  const empty = make("p", { class: "soft empty", hidden: true }, "No files.");
  const table = make("table", { class: "plain" },
    make("thead", {}, make("tr", {}, ...["File", "Size", "From", "Made", "Expires", "Do"].map((name) =>
      make("th", { scope: "col" }, name)))), body);
  const loop = createLoop(refresh);
  const pager = createPager(PAGE_SIZE, () => loop.start());
  let shown = "";

  async function refresh() {
    try {
      const { files = [], nextPageToken } = await askJson(`v1beta/files${pager.query()}`);
      const now = JSON.stringify(files);
      if (now !== shown) body.replaceChildren(...files.map(rowOf));
      shown = now;
      pager.note(nextPageToken);
      empty.hidden = files.length > 0;
      table.hidden = files.length === 0;
      say(trouble, null);
    } catch (failure) {
      say(trouble, failure);
    }
    return AGAIN_MILLISECONDS;
  }

  async function attempt(/** @type {() => Promise<any>} */ work) {
    try {
      await work();
      await loop.start();
    } catch (failure) {
      say(trouble, failure);
    }
  }

  function rowOf(/** @type {any} */ file) {
    const id = file.name.replace("files/", "");
    const label = file.displayName || file.name;
    const button = (/** @type {string} */ words, /** @type {string} */ kind, /** @type {() => Promise<any>} */ work) =>
      make("button", { type: "button", class: kind, "aria-label": `${words} ${label}`, on: { click: () => attempt(work) } }, words);
    return make("tr", {},
      make("td", { class: "name" }, make("strong", {}, label), label === file.name ? "" : make("small", { class: "soft" }, file.name)),
      make("td", { class: "number" }, size(Number(file.sizeBytes ?? 0))),
      make("td", {}, file.source === "GENERATED" ? "a batch" : "an upload"),
      make("td", {}, moment(file.createTime)),
      make("td", {}, moment(file.expirationTime)),
      make("td", { class: "row" },
        button("Download", "quiet", () => save(`v1beta/${file.name}:download?alt=media`, file.displayName || id)),
        button("Delete", "danger", async () => {
          const lost = file.source === "GENERATED" ? "The results of its batch are lost." : "Batches that were made of it keep their input.";
          if (await confirm(`Delete ${label}?`, lost, "Delete the file")) await ask(`v1beta/${file.name}`, { method: "DELETE" });
        })));
  }

  return {
    element: make("div", { class: "stack" }, make("h1", {}, "Files"), trouble,
      make("div", { class: "card scroll", tabIndex: 0, role: "region", "aria-label": "Files" }, table, empty), pager.element),
    show: () => { loop.start(); },
    hide: loop.stop,
  };
}
