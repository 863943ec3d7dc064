// What is served: the weights, the names that mean them, and what a caller may ask of each.

import { askJson } from "./api.js";
import { make, tableRow } from "./elements.js";
import { size, whole } from "./format.js";
import { askFigures } from "./figures.js";
import { say } from "./notice.js";
import { askServed } from "./served.js";

const HEADS = ["Name", "Values", "Tokens a text", "Options", "Remark"];
const LIMITS = {
  texts_per_call: "Texts in a call",
  body_bytes: "Bytes in a body",
  requests_per_minute: "Texts a minute",
  tokens_per_minute: "Tokens a minute",
  requests_per_day: "Texts a day",
};

/** @returns {import("./console.js").Page} */
export function createModelsPage() {
  const trouble = make("div", { class: "trouble" });
  const weights = make("div", { class: "stack" });
  const limits = make("dl", { class: "facts" });
  const memory = make("dl", { class: "facts" });
  const memoryCard = make("section", { class: "card", hidden: true }, make("h2", {}, "Memory"), memory);
  return {
    element: make("div", { class: "stack" }, make("h1", {}, "Models"), trouble, weights,
      make("section", { class: "card" }, make("h2", {}, "Your limits"), limits),
      memoryCard),
    async show() {
      try {
        const [{ names }, info, figures] = await Promise.all([askServed(), askJson("info"), askFiguresOfAdmin()]);
        const byWeights = Map.groupBy(names, (each) => each.weights);
        weights.replaceChildren(...[...byWeights].map(([name, served]) => cardOf(name, served)));
        limits.replaceChildren(...limitsOf(info.limits));
        memoryCard.hidden = !figures;
        if (figures) memory.replaceChildren(...factsOf([
          ["The server's process", size(figures.sum("process_resident_memory_bytes"))],
          ["For requests, used now", size(figures.sum("gemvec_memory_used_bytes"))],
          ["For requests, at most", size(figures.sum("gemvec_memory_budget_bytes"))],
        ]));
        say(trouble, null);
      } catch (failure) {
        say(trouble, failure);
      }
    },
  };
}

/** Return the metrics, or null to a caller who may not see them. */
async function askFiguresOfAdmin() {
  try {
    return await askFigures();
  } catch (failure) {
    if (/** @type {any} */ (failure).status === "PERMISSION_DENIED") return null;
    throw failure;
  }
}

/**
 * @param {string} weights
 * @param {import("./served.js").ServedName[]} names
 */
function cardOf(weights, names) {
  const [{ nativeDimensionality, description }] = names;
  const rows = names.map((each) => tableRow(HEADS,
    make("th", { scope: "row" }, make("code", {}, each.name)),
    make("td", { class: "number" }, whole(each.defaultDimensionality)),
    make("td", { class: "number" }, whole(each.inputTokenLimit)),
    make("td", {}, each.takesOptions ? "yes" : "no"),
    make("td", {}, each.retiredAt ? `ended by Google on ${each.retiredAt}` : "")));
  return make("section", { class: "card weights-card" },
    make("h2", {}, weights), make("p", { class: "soft" }, description),
    make("p", { class: "about" }, `The model makes ${whole(nativeDimensionality)} values. Longer vectors are padded with zeros, shorter ones are cut.`),
    make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `Names of ${weights}` },
      make("table", { class: "plain stacked" },
        make("thead", {}, make("tr", {}, ...HEADS.map((name) =>
          make("th", { scope: "col", class: ["Values", "Tokens a text"].includes(name) ? "number" : "" }, name)))),
        make("tbody", {}, ...rows))));
}

/** @param {Record<string, number|null>} limits */
function limitsOf(limits) {
  return factsOf(Object.entries(limits).map(([name, value]) => [
    LIMITS[/** @type {keyof typeof LIMITS} */ (name)] ?? name,
    value === null ? "no limit" : name.endsWith("bytes") ? size(value) : whole(value),
  ]));
}

/** @param {[string, string][]} facts */
function factsOf(facts) {
  return facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
}
