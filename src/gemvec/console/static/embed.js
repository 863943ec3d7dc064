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
 * @property {number} tokens of all texts together
 * @property {number[]} cut the places of the texts that were longer than the model takes
 * @property {number} milliseconds from the call to its whole answer
 */

// A prompt goes before the text, and its tokens count.
const PROMPT_ROOM = 200;

/**
 * Embed texts.
 *
 * The answer does not say which texts were cut. So texts that might be too long are sent with the wish to be refused
 * rather than cut; each text that is refused is then allowed to be cut. A refusal is quick: nothing is computed.
 *
 * @param {string[]} texts
 * @param {Options} options
 * @param {number} tokenLimit of the model
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 * @throws {import("./api.js").Failure}
 */
export async function embed(texts, options, tokenLimit, signal) {
  const mayBeTooLong = new Set(texts.keys().filter((index) => bytesOf(texts[index], options) > tokenLimit));
  const cut = /** @type {number[]} */ ([]);
  for (;;) {
    try {
      return { ...(await call(texts, options, mayBeTooLong, signal)), cut: cut.sort((one, other) => one - other) };
    } catch (failure) {
      const refused = placeOf(failure);
      if (!mayBeTooLong.delete(refused)) throw failure;
      cut.push(refused);
    }
  }
}

/**
 * @param {string[]} texts
 * @param {Options} options
 * @param {Set<number>} uncut the places of texts that must not be cut
 * @param {AbortSignal} signal
 */
async function call(texts, options, uncut, signal) {
  const wire = wireOptions(options);
  const requests = texts.map((text, index) => ({
    content: { parts: [{ text }] },
    ...wire,
    ...(uncut.has(index) && { autoTruncate: false }),
  }));
  const started = performance.now();
  const response = await ask(`v1beta/models/${encodeURIComponent(options.model)}:batchEmbedContents`, {
    method: "POST", json: { requests }, signal,
  });
  const { embeddings, usageMetadata } = await response.json();
  return {
    vectors: embeddings.map((/** @type {{values: number[]}} */ each) => each.values),
    weights: response.headers.get("x-gemvec-model") ?? "",
    tokens: usageMetadata?.promptTokenCount ?? 0,
    milliseconds: performance.now() - started,
  };
}

/**
 * Return the most tokens that a text can have: one for each of its bytes.
 *
 * @param {string} text
 * @param {Options} options
 */
function bytesOf(text, { title }) {
  return new TextEncoder().encode(text + title).length + PROMPT_ROOM;
}

/** @param {any} failure @returns {number} the place of the text that was refused, or -1 */
function placeOf(failure) {
  const found = /^requests\[(\d+)\]/.exec(failure.field ?? "");
  return found ? Number(found[1]) : -1;
}
