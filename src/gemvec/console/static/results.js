// The results of a batch: saved as a file, or searched for its errors.

import { ask, askJson, linesOf, save, saveBlob } from "./api.js";

/** The most errors that are listed; all are counted. */
export const MAX_ERRORS = 200;

/**
 * @typedef {object} LineError the error of one request
 * @property {number} line its place in the input, from 1
 * @property {string} key
 * @property {string} message
 */

/**
 * Save the results of a batch.
 *
 * @param {import("./batches.js").Batch} batch
 */
export async function saveResults(batch) {
  const name = batch.name.replace("/", "-");
  if (batch.responsesFile) return save(`v1beta/${batch.responsesFile}:download?alt=media`, `${name}.jsonl`);
  const lines = (await askInlined(batch)).map((each) => JSON.stringify(each)).join("\n");
  return saveBlob(new Blob([lines, "\n"], { type: "application/jsonl" }), `${name}.jsonl`);
}

/**
 * Find the requests of a batch that failed.
 *
 * @param {import("./batches.js").Batch} batch
 * @returns {Promise<{errors: LineError[], count: number}>} the first errors, and how many there are
 */
export async function findErrors(batch) {
  const errors = /** @type {LineError[]} */ ([]);
  let [line, count] = [0, 0];
  const note = (/** @type {any} */ { key, metadata, error }) => {
    if (!error) return;
    count += 1;
    const label = key ?? (metadata ? JSON.stringify(metadata) : "");
    if (errors.length < MAX_ERRORS) errors.push({ line, key: String(label), message: error.message });
  };
  if (batch.responsesFile) {
    for await (const text of linesOf(await ask(`v1beta/${batch.responsesFile}:download?alt=media`))) {
      line += 1;
      if (text.includes('"error":')) note(JSON.parse(text)); // the other lines are long, and need not be read
    }
  } else {
    for (const each of await askInlined(batch)) {
      line += 1;
      note(each);
    }
  }
  return { errors, count };
}

/** @param {import("./batches.js").Batch} batch @returns {Promise<any[]>} */
async function askInlined({ name }) {
  const { metadata } = await askJson(`v1beta/${name}`);
  return metadata.output?.inlinedResponses?.inlinedResponses ?? [];
}
