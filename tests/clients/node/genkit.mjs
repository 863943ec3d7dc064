// Genkit with @genkit-ai/google-genai, pointed at the server by `baseUrl` with a slash at its end.
import assert from "node:assert/strict";
import { googleAI } from "@genkit-ai/google-genai";
import { genkit } from "genkit";
import { SERVER, TEXTS, assertVectors, run } from "./checks.mjs";

const ai = genkit({ plugins: [googleAI({ apiKey: "any-key", baseUrl: `${SERVER}/` })] });
const embedder = (name = "gemini-embedding-001") => googleAI.embedder(name);

async function embed(text, options) {
  return (await ai.embed({ embedder: embedder(), content: text, options })).map((each) => each.embedding);
}

async function many(texts) {
  return (await ai.embedMany({ embedder: embedder(), content: texts })).map((each) => each.embedding);
}

await run({
  single: async () => assertVectors(await embed(TEXTS[0]), 1, 3072),
  many: async () => assertVectors(await many(TEXTS), 3, 3072),
  "task types": async () => assertVectors(await embed(TEXTS[0], { taskType: "RETRIEVAL_QUERY" }), 1, 3072),
  dimensions: async () => assertVectors(await embed(TEXTS[0], { outputDimensionality: 10 }), 1, 10),
  error: async () => assert.rejects(ai.embed({ embedder: embedder("no-such-model"), content: "a" })),
});
