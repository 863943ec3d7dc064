// Google's Node.js SDK talking to a gemvec server.
//
//   gemvec serve
//   npm install @google/genai && node embed.mjs
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({ apiKey: "any", httpOptions: { baseUrl: "http://127.0.0.1:8000" } });
const result = await ai.models.embedContent({
  model: "gemini-embedding-001",
  contents: ["What is the meaning of life?", "How does the brain work?"],
  config: { outputDimensionality: 10 },
});
console.log(result.embeddings);
