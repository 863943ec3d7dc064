// The call on the screen as a program in each language, to be copied.
//
// A JSON string is also a string of Python, JavaScript, Go and Java.

/**
 * @typedef {object} Call
 * @property {string} base the server's address, without a slash at its end
 * @property {boolean} asksForKey
 * @property {string} model
 * @property {string[]} texts
 * @property {number|null} dimensionality
 * @property {string} taskType "" for none
 * @property {string} title "" for none
 */

const literal = (/** @type {any} */ value) => JSON.stringify(value);

/** @type {Record<string, (call: Call) => string>} programs by the name of their language */
export const SNIPPETS = { curl, Python: python, "Node.js": node, Go: go, Java: java, Milvus: milvus };

/** @param {Call} call */
function curl(call) {
  const options = wireOptions(call);
  const requests = call.texts.map((text) => ({ content: { parts: [{ text }] }, ...options }));
  const list = requests.map((each) => `  ${JSON.stringify(each)}`).join(",\n");
  const body = `{"requests": [\n${list}\n]}`.replaceAll("'", "'\\''");
  const header = call.asksForKey ? ` \\\n  -H "x-goog-api-key: $GEMINI_API_KEY"` : "";
  return `curl "${call.base}/v1beta/models/${call.model}:batchEmbedContents"${header} \\
  -H 'content-type: application/json' \\
  -d '${body}'
`;
}

/** @param {Call} call */
function python(call) {
  const key = call.asksForKey ? 'os.environ["GEMINI_API_KEY"]' : '"any"';
  return `${call.asksForKey ? "import os\n\n" : ""}from google import genai
from google.genai import types

client = genai.Client(api_key=${key}, http_options={"base_url": ${literal(call.base)}})
result = client.models.embed_content(
    model=${literal(call.model)},
    contents=[
${lines(call.texts, "        ")}
    ],
    config=types.EmbedContentConfig(${pythonOptions(call)}),
)
for embedding in result.embeddings:
    print(len(embedding.values), embedding.values[:3])
`;
}

/** @param {Call} call */
function node(call) {
  const key = call.asksForKey ? "process.env.GEMINI_API_KEY" : '"any"';
  return `import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({ apiKey: ${key}, httpOptions: { baseUrl: ${literal(call.base)} } });
const result = await ai.models.embedContent({
  model: ${literal(call.model)},
  contents: [
${lines(call.texts, "    ")}
  ],
  config: ${JSON.stringify(wireOptions(call))},
});
for (const { values } of result.embeddings) console.log(values.length, values.slice(0, 3));
`;
}

/** @param {Call} call */
function go(call) {
  const contents = call.texts.map((text) => `\t\tgenai.NewContentFromText(${literal(text)}, genai.RoleUser),`);
  const options = [
    call.taskType && `\t\tTaskType: ${literal(call.taskType)},`,
    call.title && `\t\tTitle: ${literal(call.title)},`,
    call.dimensionality && `\t\tOutputDimensionality: genai.Ptr(int32(${call.dimensionality})),`,
  ].filter(Boolean);
  return `package main

import (
	"context"
	"fmt"
	"log"
${call.asksForKey ? '\t"os"\n' : ""}
	"google.golang.org/genai"
)

func main() {
	ctx := context.Background()
	client, err := genai.NewClient(ctx, &genai.ClientConfig{
		APIKey:      ${call.asksForKey ? 'os.Getenv("GEMINI_API_KEY")' : '"any"'},
		Backend:     genai.BackendGeminiAPI,
		HTTPOptions: genai.HTTPOptions{BaseURL: ${literal(call.base)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	contents := []*genai.Content{
${contents.join("\n")}
	}
	result, err := client.Models.EmbedContent(ctx, ${literal(call.model)}, contents, &genai.EmbedContentConfig{${
  options.length ? `\n${options.join("\n")}\n\t` : ""}})
	if err != nil {
		log.Fatal(err)
	}
	for _, embedding := range result.Embeddings {
		fmt.Println(len(embedding.Values), embedding.Values[:3])
	}
}
`;
}

/** @param {Call} call */
function java(call) {
  const options = [
    call.taskType && `\n            .taskType(${literal(call.taskType)})`,
    call.title && `\n            .title(${literal(call.title)})`,
    call.dimensionality && `\n            .outputDimensionality(${call.dimensionality})`,
  ].filter(Boolean);
  return `import com.google.genai.Client;
import com.google.genai.types.EmbedContentConfig;
import com.google.genai.types.HttpOptions;
import java.util.List;

public class Embed {
  public static void main(String[] args) {
    Client client = Client.builder()
        .apiKey(${call.asksForKey ? 'System.getenv("GEMINI_API_KEY")' : '"any"'})
        .httpOptions(HttpOptions.builder().baseUrl(${literal(call.base)}).build())
        .build();
    List<String> texts = List.of(
${call.texts.map((text) => `        ${literal(text)}`).join(",\n")});
    EmbedContentConfig config = EmbedContentConfig.builder()${options.join("")}
            .build();
    System.out.println(client.models.embedContent(${literal(call.model)}, texts, config));
  }
}
`;
}

/** @param {Call} call */
function milvus(call) {
  const key = call.asksForKey ? ', api_key=os.environ["GEMINI_API_KEY"]' : "";
  const options = pythonOptions(call);
  return `${call.asksForKey ? "import os\n\n" : ""}from gemvec import GeminiEmbeddingFunction
from gemvec.client import EmbedConfig
from pymilvus import MilvusClient

embed = GeminiEmbeddingFunction(
    ${literal(call.model)}, base_url=${literal(call.base)}${key}, config=EmbedConfig(${options})
)
texts = [
${lines(call.texts, "    ")}
]
vectors = embed.encode_documents(texts)

client = MilvusClient("./gemvec.db")
client.create_collection("texts", dimension=embed.dim, metric_type="COSINE")
client.insert("texts", [{"id": id, "vector": vectors[id], "text": texts[id]} for id in range(len(texts))])
query = embed.encode_queries([texts[0]])[0]
for hit in client.search("texts", data=[query], limit=3, output_fields=["text"])[0]:
    print(round(hit["distance"], 3), hit["entity"]["text"])
`;
}

/**
 * @param {string[]} texts
 * @param {string} indent
 */
function lines(texts, indent) {
  return texts.map((text) => `${indent}${literal(text)},`).join("\n");
}

/** @param {Call} call */
function pythonOptions({ taskType, title, dimensionality }) {
  return [
    taskType && `task_type=${literal(taskType)}`,
    title && `title=${literal(title)}`,
    dimensionality && `output_dimensionality=${dimensionality}`,
  ].filter(Boolean).join(", ");
}

/**
 * Return the options of a call as the API spells them; what is not set is left out.
 *
 * @param {{taskType: string, title: string, dimensionality: number|null}} options
 * @returns {Record<string, string|number>}
 */
export function wireOptions({ taskType, title, dimensionality }) {
  return {
    ...(taskType && { taskType }),
    ...(title && { title }),
    ...(dimensionality && { outputDimensionality: dimensionality }),
  };
}
