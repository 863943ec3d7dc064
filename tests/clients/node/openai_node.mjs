// openai (Node.js), pointed at the server by `baseURL`, and its client for Azure by `endpoint`.
import assert from "node:assert/strict";
import OpenAI, { AzureOpenAI } from "openai";
import { MANY, SERVER, TEXTS, assertVectors, run } from "./checks.mjs";

const MODEL = "gemini-embedding-001";
const client = new OpenAI({ apiKey: "any-key", baseURL: `${SERVER}/v1`, maxRetries: 0 });
const azure = new AzureOpenAI({ apiKey: "any-key", endpoint: SERVER, apiVersion: "2024-10-21", maxRetries: 0 });

async function embed(input, options = {}, from = client) {
  const answer = await from.embeddings.create({ model: MODEL, input, ...options });
  return answer.data.map((each) => each.embedding);
}

await run({
  single: async () => assertVectors(await embed(TEXTS[0]), 1, 3072),
  many: async () => assertVectors(await embed(TEXTS), 3, 3072),
  encodings: async () => assertVectors(await embed(TEXTS, { encoding_format: "float" }), 3, 3072),
  dimensions: async () => assertVectors(await embed(TEXTS, { dimensions: 10 }), 3, 10),
  "more than 100": async () => assertVectors(await embed(MANY), 101, 3072),
  Azure: async () => assertVectors(await embed(TEXTS, {}, azure), 3, 3072),
  error: async () => assert.rejects(client.embeddings.create({ model: "no-such-model", input: "a" }), /404/),
});
