// Embeds texts as the playground shows them: vectors, tokens, time, and which texts were cut.

import { ask } from "./api.js";
import { wireOptions } from "./snippets.js";

/**
 * @typedef {object} Options
 * @property {string} model
 * @property {number|null} dimensionality
 * @property {string} taskType
 * @property {string} title
 */

/**
 * @typedef {object} Outcome
 * @property {number[][]} vectors
 * @property {string} weights which weights made them
 * @property {number} tokens that were embedded, of all texts together
 * @property {number[]|null} cut the places of the texts that were longer than the model takes; null if that is not said
 * @property {number} milliseconds from the call to its whole answer
 */

/**
 * Embed texts.
 *
 * @param {string[]} texts
 * @param {Options} options
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 * @throws {import("./api.js").Failure}
 */
export async function embed(texts, options, signal) {
  const wire = wireOptions(options);
  const requests = texts.map((text) => ({ content: { parts: [{ text }] }, ...wire }));
  const started = performance.now();
  const path = `v1beta/models/${encodeURIComponent(options.model)}:batchEmbedContents`;
  const response = await ask(path, { method: "POST", json: { requests }, signal });
  const { embeddings, usageMetadata } = await response.json();
  const weights = response.headers.get("x-gemvec-model") ?? "";
  return {
    vectors: embeddings.map((/** @type {any} */ { values }) => values),
    weights,
    tokens: usageMetadata?.promptTokenCount ?? 0,
    cut: weights.endsWith("@google") ? null : placesOfCuts(embeddings), // Google's service does not say when it cuts
    milliseconds: performance.now() - started,
  };
}

/** @param {any[]} embeddings */
function placesOfCuts(embeddings) {
  return [...embeddings.keys()].filter((index) => embeddings[index].statistics?.truncated);
}
