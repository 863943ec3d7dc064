// What is served: the weights, the names that mean them, what a caller may ask of each, and how fast it is here.

import { askJson } from "./api.js";
import { make, tableRow } from "./elements.js";
import { embed } from "./embed.js";
import { askFigures } from "./figures.js";
import { duration, rate, size, whole } from "./format.js";
import { say } from "./notice.js";
import { askServed } from "./served.js";

const HEADS = ["Name", "Values", "Tokens a text", "Options", "Remark"];
const MEASURED_TEXTS = 100;
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
        weights.replaceChildren(...[...byWeights].map(([name, served]) =>
          cardOf(name, served, figures ? memoryOf(name, figures) : "")));
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
 * Return what a model takes of memory; empty if it does not run in the server's process.
 *
 * @param {string} weights
 * @param {import("./figures.js").Figures} figures
 */
function memoryOf(weights, figures) {
  const ofModel = (/** @type {Record<string, string>} */ labels) => labels.model === weights.split("@")[0];
  const bytes = figures.sum("gemvec_model_memory_bytes", ofModel);
  if (!bytes) return "";
  const isLoaded = figures.sum("gemvec_model_in_memory", ofModel) > 0;
  return `about ${size(bytes)}, ${isLoaded ? "in memory now" : "not in memory now"}`;
}

/**
 * @param {string} weights
 * @param {import("./served.js").ServedName[]} names
 * @param {string} memory empty if it is not known
 */
function cardOf(weights, names, memory) {
  const [{ name, nativeDimensionality, description, languages }] = names;
  const rows = names.map((each) => tableRow(HEADS,
    make("th", { scope: "row" }, make("code", {}, each.name)),
    make("td", { class: "number" }, whole(each.defaultDimensionality)),
    make("td", { class: "number" }, whole(each.inputTokenLimit)),
    make("td", {}, each.takesOptions ? "yes" : "no"),
    make("td", {}, each.retiredAt ? `ended by Google on ${each.retiredAt}` : "")));
  return make("section", { class: "card weights-card" },
    make("h2", {}, weights), make("p", { class: "soft" }, description),
    make("p", { class: "about" }, `The model makes ${whole(nativeDimensionality)} values. Longer vectors are padded with zeros, shorter ones are cut.`),
    make("dl", { class: "facts" }, ...factsOf([
      ["Languages", languages || "not known"],
      .../** @type {[string, string][]} */ (memory ? [["Memory", memory]] : []),
      ["Check it", `gemvec models verify ${weights.split("@")[0]}`],
    ])),
    createMeasure(name, weights),
    make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `Names of ${weights}` },
      make("table", { class: "plain stacked" },
        make("thead", {}, make("tr", {}, ...HEADS.map((name) =>
          make("th", { scope: "col", class: ["Values", "Tokens a text"].includes(name) ? "number" : "" }, name)))),
        make("tbody", {}, ...rows))));
}

/**
 * Make the button that measures how fast a model is here.
 *
 * @param {string} name
 * @param {string} weights
 */
function createMeasure(name, weights) {
  const trouble = make("div", { class: "trouble" });
  const found = make("span", { class: "soft", role: "status" }, `Embeds ${MEASURED_TEXTS} short texts; they count against your limits.`);
  const run = make("button", { type: "button", class: "quiet", "aria-label": `Measure ${weights}` }, "Measure");
  const options = { model: name, dimensionality: null, taskType: "", title: "" };
  const { signal } = new AbortController();
  run.addEventListener("click", async () => {
    run.disabled = true;
    try {
      // Each has a number of its own, so that no cache answers; the moment makes the next measurement different.
      const texts = Array.from({ length: MEASURED_TEXTS }, (_, index) =>
        `Sentence ${index} of ${Date.now()}: the quick brown fox jumps over the lazy dog.`);
      const one = await embed(texts.slice(0, 1), options, signal);
      const all = await embed(texts.slice(1), options, signal);
      found.textContent = `${rate((texts.length - 1) / (all.milliseconds / 1000))} texts a second, ${
        duration(one.milliseconds / 1000)} for one text, from this browser`;
      say(trouble, null);
    } catch (failure) {
      say(trouble, failure);
    } finally {
      run.disabled = false;
    }
  });
  return make("div", {}, make("div", { class: "row measure" }, run, found), trouble);
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
