// ai with @ai-sdk/google, pointed at the server by `baseURL`.
import assert from "node:assert/strict";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { embed, embedMany } from "ai";
import { MANY, SERVER, TEXTS, assertVectors, run } from "./checks.mjs";

const google = createGoogleGenerativeAI({ apiKey: "any-key", baseURL: `${SERVER}/v1beta` });
const model = (name = "gemini-embedding-001") => google.textEmbeddingModel(name);

async function many(values, options) {
  const providerOptions = options && { google: options };
  return (await embedMany({ model: model(), values, providerOptions })).embeddings;
}

await run({
  single: async () => assertVectors([(await embed({ model: model(), value: TEXTS[0] })).embedding], 1, 3072),
  many: async () => assertVectors(await many(TEXTS), 3, 3072),
  "task types": async () => assertVectors(await many(TEXTS, { taskType: "RETRIEVAL_QUERY" }), 3, 3072),
  dimensions: async () => assertVectors(await many(TEXTS, { outputDimensionality: 10 }), 3, 10),
  "more than 100": async () => assertVectors(await many(MANY), 101, 3072),
  error: async () => assert.rejects(embed({ model: model("no-such-model"), value: "a", maxRetries: 0 })),
});
