// The caller's files: what was uploaded, and the results of batches.

import { ask, save } from "./api.js";
import { confirm } from "./confirm.js";
import { make, tableRow } from "./elements.js";
import { moment, size } from "./format.js";
import { createLive } from "./live.js";
import { say } from "./notice.js";
import { createPager } from "./pager.js";

const PAGE_SIZE = 50;
const HEADS = ["File", "Size", "From", "Made", "Expires", "Do"];

/** @returns {import("./console.js").Page} */
export function createFilesPage() {
  const body = make("tbody", { id: "files" });
  const trouble = make("div", { class: "trouble" });
  const empty = make("p", { class: "soft empty", hidden: true }, "No files.");
  const table = make("table", { class: "plain stacked" },
    make("thead", {}, make("tr", {}, ...HEADS.map((name) =>
      make("th", { scope: "col" }, name)))), body);
  const pager = createPager(PAGE_SIZE, () => live.start());
  const live = createLive(() => `console/data/files${pager.query()}`, refresh, (failure) => say(trouble, failure));

  function refresh(/** @type {{files?: any[], nextPageToken?: string}} */ { files = [], nextPageToken }) {
    body.replaceChildren(...files.map(rowOf));
    pager.note(nextPageToken);
    empty.hidden = files.length > 0;
    table.hidden = files.length === 0;
  }

  async function attempt(/** @type {() => Promise<any>} */ work) {
    try {
      await work();
      live.start();
    } catch (failure) {
      say(trouble, failure);
    }
  }

  function rowOf(/** @type {any} */ file) {
    const id = file.name.replace("files/", "");
    const label = file.displayName || file.name;
    const button = (/** @type {string} */ words, /** @type {string} */ kind, /** @type {() => Promise<any>} */ work) =>
      make("button", { type: "button", class: kind, "aria-label": `${words} ${label}`, on: { click: () => attempt(work) } }, words);
    return tableRow(HEADS,
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
    show: live.start,
    hide: live.stop,
  };
}
