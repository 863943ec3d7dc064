// @google/generative-ai, the SDK before @google/genai, pointed at the server by `baseUrl`.
import assert from "node:assert/strict";
import { GoogleGenerativeAI, TaskType } from "@google/generative-ai";
import { MANY, SERVER, TEXTS, assertVectors, run } from "./checks.mjs";

const ai = new GoogleGenerativeAI("any-key");
const model = (name) => ai.getGenerativeModel({ model: name }, { baseUrl: SERVER });
const embedder = model("text-embedding-004");
const request = (text, options) => ({ content: { role: "user", parts: [{ text }] }, ...options });

async function many(texts, options) {
  const result = await embedder.batchEmbedContents({ requests: texts.map((text) => request(text, options)) });
  return result.embeddings.map((each) => each.values);
}

await run({
  single: async () => assertVectors([(await embedder.embedContent(TEXTS[0])).embedding.values], 1, 768),
  many: async () => assertVectors(await many(TEXTS), 3, 768),
  "task types": async () =>
    assertVectors(await many(TEXTS, { taskType: TaskType.RETRIEVAL_DOCUMENT, title: "Philosophy" }), 3, 768),
  dimensions: async () => assertVectors(await many(TEXTS, { outputDimensionality: 10 }), 3, 10),
  "more than 100": async () => assertVectors(await many(MANY), 101, 768),
  error: async () => assert.rejects(model("no-such-model").embedContent("a"), /404/),
});
