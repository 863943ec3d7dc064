// What every Node.js program shares: run its checks one by one and print a JSON line for each.
import assert from "node:assert/strict";

export const SERVER = process.argv[2];
export const TEXTS = [
  "What is the meaning of life?",
  "How much wood would a woodchuck chuck?",
  "How does the brain work?",
];
export const MANY = Array.from({ length: 101 }, (_, number) => `text number ${number}`);

export async function run(checks) {
  for (const [check, perform] of Object.entries(checks)) {
    let line = { check, ok: true, detail: "" };
    try {
      await perform();
    } catch (error) {
      console.error(error);
      line = { check, ok: false, detail: String(error).slice(0, 500) };
    }
    console.log(JSON.stringify(line));
  }
}

export function assertVectors(vectors, count, dimensionality) {
  assert.equal(vectors.length, count);
  for (const vector of vectors) {
    assert.equal(vector.length, dimensionality);
    assert.ok(vector.every(Number.isFinite) && vector.some((value) => value !== 0));
  }
  if (count > 1) assert.notDeepEqual(vectors[0], vectors[1]);
}
