// The server's metrics, read in the form that Prometheus reads.

import { ask } from "./api.js";

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/**
 * @typedef {object} Sample
 * @property {string} name
 * @property {Record<string, string>} labels
 * @property {number} value
 */

/** All metrics at one moment. */
export class Figures {
  /**
   * @param {Sample[]} samples
   * @param {number} at milliseconds of `performance.now()`
   */
  constructor(samples, at) {
    this.samples = samples;
    this.at = at;
  }

  /**
   * @param {string} name
   * @param {(labels: Record<string, string>) => boolean} [counts] which of them to add up; all by default
   */
  sum(name, counts = () => true) {
    let sum = 0;
    for (const each of this.samples) if (each.name === name && counts(each.labels)) sum += each.value;
    return sum;
  }

  /** @param {string} name */
  has(name) {
    return this.samples.some((each) => each.name === name);
  }

  /**
   * Return the counts of a histogram, of all labels together: how many were at most so large.
   *
   * @param {string} name without `_bucket`
   * @param {(labels: Record<string, string>) => boolean} counts
   * @returns {Map<number, number>} by upper bound, the smallest first
   */
  buckets(name, counts) {
    const buckets = new Map();
    for (const { name: each, labels, value } of this.samples) {
      if (each !== `${name}_bucket` || !counts(labels)) continue;
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      buckets.set(bound, (buckets.get(bound) ?? 0) + value);
    }
    return new Map([...buckets].sort(([one], [other]) => one - other));
  }
}

/**
 * Ask for the metrics.
 *
 * @returns {Promise<Figures>}
 * @throws {import("./api.js").Failure} where keys are needed, also for a key that is not an admin's
 */
export async function askFigures() {
  const text = await (await ask("metrics")).text();
  return new Figures(parseFigures(text), performance.now());
}

/**
 * @param {string} text
 * @returns {Sample[]}
 */
export function parseFigures(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
    samples.push({ name: found[1], labels, value: Number(found[3]) });
  }
  return samples;
}

/**
 * Return a quantile of what a histogram counted between two moments; NaN if that was nothing.
 *
 * @param {Map<number, number>} before
 * @param {Map<number, number>} after
 * @param {number} quantile 0 to 1
 */
export function quantileBetween(before, after, quantile) {
  const counts = [...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]);
  const all = counts.at(-1)?.[1] ?? 0;
  if (all <= 0) return NaN;
  const wanted = quantile * all;
  let [lower, below] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= wanted) {
      return bound === Infinity ? lower : lower + (bound - lower) * ((wanted - below) / (count - below || 1));
    }
    [lower, below] = [bound, count];
  }
  return lower;
}
