// @google/genai, pointed at the server by `httpOptions.baseUrl`.
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GoogleGenAI } from "@google/genai";
import { MANY, SERVER, TEXTS, assertVectors, run } from "./checks.mjs";

const ai = new GoogleGenAI({ apiKey: "any-key", httpOptions: { baseUrl: SERVER } });
const model = "gemini-embedding-001";

async function embed(contents, config) {
  const result = await ai.models.embedContent({ model, contents, config });
  return result.embeddings.map((each) => each.values);
}

async function finished(job) {
  for (let attempt = 0; attempt < 600; attempt++) {
    job = await ai.batches.get({ name: job.name });
    if (!["JOB_STATE_PENDING", "JOB_STATE_RUNNING"].includes(job.state)) return job;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`the batch is still ${job.state}`);
}

async function inlinedBatch() {
  const created = await ai.batches.createEmbeddings({
    model,
    src: { inlinedRequests: { contents: TEXTS, config: { outputDimensionality: 10 } } },
    config: { displayName: "inlined" },
  });
  const job = await finished(created);
  assert.equal(job.state, "JOB_STATE_SUCCEEDED");
  const answers = job.dest.inlinedEmbedContentResponses;
  assertVectors(answers.map((each) => each.response.embedding.values), 3, 10);
  const names = [];
  for await (const each of await ai.batches.list()) names.push(each.name);
  assert.ok(names.includes(job.name));
  await ai.batches.delete({ name: job.name });
}

async function fileBatch() {
  const path = join(await mkdtemp(join(tmpdir(), "gemvec-")), "requests.jsonl");
  const lines = TEXTS.map((text, number) =>
    JSON.stringify({ key: `k${number}`, request: { content: { parts: [{ text }] }, output_dimensionality: 10 } }),
  );
  await writeFile(path, lines.join("\n") + "\n");
  const file = await ai.files.upload({ file: path, config: { mimeType: "jsonl", displayName: "in" } });
  const job = await finished(await ai.batches.createEmbeddings({ model, src: { fileName: file.name } }));
  assert.equal(job.state, "JOB_STATE_SUCCEEDED");
  const answer = await fetch(`${SERVER}/v1beta/${job.dest.fileName}:download?alt=media`);
  const output = (await answer.text()).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(output.map((each) => each.key), ["k0", "k1", "k2"]);
  assertVectors(output.map((each) => each.response.embedding.values), 3, 10);
  await ai.files.delete({ name: file.name });
}

async function files() {
  const path = join(await mkdtemp(join(tmpdir(), "gemvec-")), "large.txt");
  await writeFile(path, "0123456789abcdef".repeat(600_000));
  const file = await ai.files.upload({ file: path, config: { mimeType: "text/plain" } });
  assert.equal(Number(file.sizeBytes), 9_600_000);
  assert.equal((await ai.files.get({ name: file.name })).name, file.name);
  const names = [];
  for await (const each of await ai.files.list()) names.push(each.name);
  assert.ok(names.includes(file.name));
  await ai.files.delete({ name: file.name });
  await assert.rejects(ai.files.get({ name: file.name }), /404/);
}

await run({
  single: async () => assertVectors(await embed(TEXTS[0]), 1, 3072),
  many: async () => assertVectors(await embed(TEXTS), 3, 3072),
  "task types": async () => assertVectors(await embed(TEXTS, { taskType: "RETRIEVAL_DOCUMENT" }), 3, 3072),
  dimensions: async () => assertVectors(await embed(TEXTS, { outputDimensionality: 10 }), 3, 10),
  "more than 100": async () => assertVectors(await embed(MANY), 101, 3072),
  error: async () => assert.rejects(ai.models.embedContent({ model: "no-such-model", contents: "a" }), /404/),
  models: async () => {
    const names = [];
    for await (const each of await ai.models.list()) names.push(each.name);
    assert.ok(names.includes(`models/${model}`));
  },
  files,
  "batch, inlined": inlinedBatch,
  "batch, file": fileBatch,
});
