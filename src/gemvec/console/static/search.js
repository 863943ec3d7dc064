// Search in the collections that the server was given: passages with their scores, and where each stands.

import { askJson } from "./api.js";
import { field, make } from "./elements.js";
import { counted, decimals, duration, whole } from "./format.js";
import { say } from "./notice.js";

const AROUND = 2;

/**
 * @typedef {object} ServedCollection
 * @property {string} name
 * @property {string} model
 * @property {number} dimensionality
 * @property {string} [passages]
 * @property {boolean} [hasWords] whether a search may be hybrid
 */

/**
 * @typedef {object} Passage
 * @property {number} [score]
 * @property {string} text
 * @property {string} [title]
 * @property {string} [heading]
 * @property {string} [source]
 * @property {string} [position]
 * @property {number} [chunk] its number in its document, from 0
 * @property {string} documentId
 * @property {Record<string, any>} [metadata]
 */

/** @returns {import("./console.js").Page} */
export function createSearchPage() {
  const collection = make("select", { name: "collection" });
  const query = make("input", { type: "search", name: "query", required: true, autocomplete: "off" });
  const how = make("select", { name: "how" }, make("option", { value: "" }, "Meaning"),
    make("option", { value: "hybrid" }, "Meaning and words"));
  const limit = make("input", { type: "number", name: "limit", min: 1, max: 1000, step: 1, value: 5, required: true });
  const where = make("input", { type: "text", name: "where", autocomplete: "off", spellcheck: false, placeholder: 'metadata["lang"] == "en"' });
  const byDocument = make("input", { type: "checkbox", name: "by-document" });
  const run = make("button", { class: "primary", type: "submit" }, "Search");
  const trouble = make("div", { class: "trouble" });
  const about = make("p", { class: "soft about" });
  const outcome = make("p", { class: "soft", role: "status" });
  const hits = make("ol", { class: "items hits" });
  const none = make("div", { class: "card", hidden: true },
    make("p", {}, "This server was started without a collection to search. Make one and name it:"),
    make("pre", { class: "program", tabIndex: 0, role: "region", "aria-label": "Commands" }, make("code", {},
      "gemvec index docs/ --uri ./my.db --collection docs\ngemvec serve --collection docs=./my.db")));
  /** @type {ServedCollection[]} */
  let served = [];
  /** @type {AbortController|null} */
  let running = null;

  async function search() {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    const name = collection.value;
    run.setAttribute("aria-busy", "true");
    try {
      const started = performance.now();
      const { passages = [], orderedByWords = false } = await askJson(`v1/collections/${encodeURIComponent(name)}:search`, {
        method: "POST", signal,
        json: {
          query: query.value, limit: Number(limit.value), hybrid: how.value === "hybrid", where: where.value.trim(),
          byDocument: byDocument.checked,
        },
      });
      const seconds = (performance.now() - started) / 1000;
      hits.replaceChildren(...passages.map((/** @type {Passage} */ each) => hitOf(name, each)));
      const order = orderedByWords ? ", ordered by words: the model does not know the script of the query" : "";
      const found = `${counted(passages.length, "passage")} in ${duration(seconds)}${order}`;
      outcome.textContent = passages.length ? found : "Nothing found.";
      say(trouble, null);
    } catch (failure) {
      say(trouble, failure);
    } finally {
      if (!signal.aborted) run.removeAttribute("aria-busy");
    }
  }

  function refresh() {
    const is = served.find(({ name }) => name === collection.value);
    if (!is) return;
    how.disabled = !is.hasWords;
    if (how.disabled) how.value = "";
    about.textContent = `${counted(Number(is.passages ?? 0), "passage")}, embedded by ${is.model} with ${
      whole(is.dimensionality)} values${is.hasWords ? "" : "; its Milvus cannot match words"}`;
  }

  const form = make("form", {
    class: "card search", hidden: true,
    on: {
      submit: (/** @type {Event} */ event) => {
        event.preventDefault();
        search();
      },
      input: refresh,
    },
  },
  make("div", { class: "asked" }, field("Search for", query), run),
  make("div", { class: "options" }, field("Collection", collection), field("Match", how), field("Most passages", limit),
    field("Filter", where, "In Milvus' language; empty for all passages."),
    make("label", { class: "check" }, byDocument, "Only the best passage of each document")),
  about);

  return {
    element: make("div", { class: "stack" }, make("h1", {}, "Search"), none, form, trouble, outcome, hits),
    async show() {
      try {
        served = (await askJson("console/data/collections")).collections ?? [];
        const chosen = collection.value;
        collection.replaceChildren(...served.map(({ name }) => make("option", {}, name)));
        if (served.some(({ name }) => name === chosen)) collection.value = chosen;
        none.hidden = served.length > 0;
        form.hidden = served.length === 0;
        refresh();
        say(trouble, null);
      } catch (failure) {
        say(trouble, failure);
      }
    },
  };
}

/**
 * @param {string} collection
 * @param {Passage} passage
 */
function hitOf(collection, passage) {
  const { score = 0, text, title, heading, source, position, metadata } = passage;
  const place = [source || passage.documentId, position].filter(Boolean).join(", ");
  const trouble = make("div", { class: "trouble" });
  const around = make("div", { class: "around", hidden: true });
  const toggle = make("button", { type: "button", class: "quiet", "aria-expanded": "false", "aria-label": `In its document: ${place}` }, "In its document");
  toggle.addEventListener("click", async () => {
    try {
      if (!around.hasChildNodes()) around.append(await readAround(collection, passage));
      around.hidden = !around.hidden;
      toggle.setAttribute("aria-expanded", String(!around.hidden));
      say(trouble, null);
    } catch (failure) {
      say(trouble, failure);
    }
  });
  return make("li", { class: "item card hit" },
    make("div", { class: "row" },
      make("span", { class: "score" }, decimals(score, 3)),
      make("span", { class: "bar", style: { "--share": String(Math.max(0, score)) } }),
      make("strong", { class: "place" }, place),
      make("span", { class: "push" }, toggle)),
    make("p", { class: "soft" }, heading || title || ""),
    make("p", { class: "passage" }, text),
    metadata && Object.keys(metadata).length > 0 && make("p", { class: "soft metadata" }, JSON.stringify(metadata)),
    trouble, around);
}

/**
 * Read where a passage stands in its document.
 *
 * @param {string} collection
 * @param {Passage} passage
 */
async function readAround(collection, { documentId, chunk = 0 }) {
  const asked = new URLSearchParams({ document: documentId, chunk: String(chunk), around: String(AROUND) });
  const { chunks = 0, passages = [] } = await askJson(`console/data/collections/${encodeURIComponent(collection)}?${asked}`);
  return make("div", {},
    make("p", { class: "soft" }, `Passage ${whole(chunk + 1)} of ${whole(chunks)} in its document`),
    make("ol", { class: "near", start: Math.max(0, chunk - AROUND) + 1 },
      ...passages.map((/** @type {Passage} */ each) => make("li", { "aria-current": (each.chunk ?? 0) === chunk ? "true" : null },
        make("small", { class: "soft" }, [each.heading, each.position].filter(Boolean).join(", ")),
        make("p", { class: "passage" }, each.text)))));
}
