// @langchain/google-genai, pointed at the server by `baseUrl` with a slash at its end.
import assert from "node:assert/strict";
import { GoogleGenerativeAIEmbeddings } from "@langchain/google-genai";
import { MANY, SERVER, TEXTS, assertVectors, run } from "./checks.mjs";

const embeddings = (options) =>
  new GoogleGenerativeAIEmbeddings({
    apiKey: "any-key",
    baseUrl: `${SERVER}/`,
    model: "gemini-embedding-001",
    maxRetries: 0,
    ...options,
  });

await run({
  single: async () => assertVectors([await embeddings().embedQuery(TEXTS[0])], 1, 3072),
  many: async () => assertVectors(await embeddings().embedDocuments(TEXTS), 3, 3072),
  "task types": async () =>
    assertVectors(await embeddings({ taskType: "RETRIEVAL_DOCUMENT", title: "T" }).embedDocuments(TEXTS), 3, 3072),
  "more than 100": async () => assertVectors(await embeddings().embedDocuments(MANY), 101, 3072),
  error: async () => assert.rejects(embeddings({ model: "no-such-model" }).embedQuery("a")),
});
