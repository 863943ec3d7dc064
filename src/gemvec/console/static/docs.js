// The page `/docs`: filters the routes, copies their commands, and sends their requests.

import { BASE, key, setKey } from "./api.js";
import { field, make } from "./elements.js";
import { duration, size } from "./format.js";

// Answers with vectors are long; the rest of one is counted and not shown.
const SHOWN_CHARACTERS = 20_000;

/** @type {Promise<any>|null} */
let description = null;

/** The API as the server describes it. @returns {Promise<any>} */
function describe() {
  description ??= fetch(`${BASE}openapi.json`).then((response) => response.json());
  return description;
}

for (const button of document.querySelectorAll("pre button")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(button.nextSibling?.textContent ?? "");
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1200);
  });
}

const filter = /** @type {HTMLInputElement} */ (document.querySelector("nav input"));
filter.addEventListener("input", () => {
  const wanted = filter.value.toLowerCase();
  for (const route of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("main details"))) {
    route.hidden = !route.firstChild?.textContent?.toLowerCase().includes(wanted);
  }
});

const keyInput = /** @type {HTMLInputElement} */ (document.querySelector(".key input"));
keyInput.value = key();
keyInput.addEventListener("change", () => setKey(keyInput.value.trim()));

for (const route of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details[data-path]"))) {
  route.addEventListener("toggle", async () => {
    if (route.open && !route.querySelector(".try")) route.append(formOf(route.dataset, await describe()));
  });
}

/**
 * Make the form that sends a route's request.
 *
 * @param {DOMStringMap} route its method and path
 * @param {any} described the OpenAPI document
 */
function formOf({ method = "", path = "" }, described) {
  const operation = described.paths[path][method];
  const inputs = new Map((operation.parameters ?? []).map((/** @type {any} */ each) => [each, inputOf(each)]));
  const [kind, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const isUpload = path.startsWith("/upload/") && method !== "delete";
  const example = JSON.stringify(/** @type {any} */ (content)?.example ?? {}, null, 2);
  const rows = Math.min(20, example.split("\n").length + 1);
  const body = isUpload ? make("input", { type: "file" }) : kind && make("textarea", { rows, spellcheck: false, value: example });
  const headers = isUpload && make("textarea", { rows: 2, spellcheck: false, value: "X-Goog-Upload-Protocol: raw" });
  const answer = make("div", { class: "answer", role: "status" });
  const form = make("form", { class: "try" },
    make("h3", {}, "Try it"),
    ...[...inputs].map(([each, input]) => field(each.name, input)),
    headers && field("Headers, one on each line", headers),
    body && field("Body", body),
    make("button", {}, "Send"), answer);
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const sent = new Headers((headers?.value ?? "").split("\n").filter(Boolean)
      .map((/** @type {string} */ line) => /** @type {any} */ (line.split(/:\s*(.*)/s).slice(0, 2))));
    if (kind && !isUpload) sent.set("content-type", kind);
    if (key()) sent.set("x-goog-api-key", key());
    await send(addressOf(path, inputs), { method: method.toUpperCase(), headers: sent, body: body?.files?.[0] ?? body?.value }, answer);
  });
  return form;
}

/** @param {any} parameter */
function inputOf({ name, in: place }) {
  const known = { model: document.body.dataset.model, version: "v1beta", project: "any", location: "us-central1" };
  return make("input", {
    type: "text", required: place === "path", autocomplete: "off", spellcheck: false,
    value: known[/** @type {keyof typeof known} */ (name)] ?? "",
  });
}

/**
 * @param {string} path
 * @param {Map<any, HTMLInputElement>} inputs
 */
function addressOf(path, inputs) {
  const query = new URLSearchParams();
  for (const [{ name, in: place }, { value }] of inputs) {
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value) query.set(name, value);
  }
  return BASE + path.slice(1) + (query.size ? `?${query}` : "");
}

/**
 * Send a request and show its answer.
 *
 * @param {string} address
 * @param {RequestInit} request
 * @param {HTMLElement} place
 */
async function send(address, request, place) {
  const started = performance.now();
  const response = await fetch(address, { ...request, cache: "no-store" }).catch(() => null);
  if (!response) {
    place.replaceChildren(make("p", { class: "bad" }, "The server does not answer."));
    return;
  }
  const text = await response.text();
  const time = duration((performance.now() - started) / 1000);
  place.replaceChildren(
    make("p", {}, make("strong", { class: response.ok ? "good" : "bad" }, `${response.status} ${response.statusText}`),
      ` in ${time}, ${size(new Blob([text]).size)}`),
    make("pre", { tabIndex: 0, role: "region", "aria-label": "Answer" },
      make("code", {}, shortened(text, response.headers))));
}

/**
 * @param {string} text
 * @param {Headers} headers
 */
function shortened(text, headers) {
  const isJson = headers.get("content-type")?.split(";")[0] === "application/json"; // not application/jsonl
  const whole = isJson ? JSON.stringify(JSON.parse(text), shortList, 2) : text;
  const left = whole.length - SHOWN_CHARACTERS;
  return left > 0 ? `${whole.slice(0, SHOWN_CHARACTERS)}\n... ${left} more characters` : whole;
}

/**
 * Leave out most of a vector.
 *
 * @param {string} name
 * @param {any} value
 */
function shortList(name, value) {
  const isVector = Array.isArray(value) && value.length > 8 && typeof value[0] === "number";
  return isVector ? [...value.slice(0, 6), `... ${value.length - 6} more values`] : value;
}
