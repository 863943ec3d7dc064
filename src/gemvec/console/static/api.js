// Calls the server that sent this page. The key lives in this tab only and travels only in a header.

/** The address of the server, with a slash at its end; behind a proxy it may have a path. */
export const BASE = new URL(".", document.baseURI).href;

const KEY = "gemvec-key";
const MISSING = "unregistered callers"; // in the words of Google's API for a call without a key

/** Dispatches `key` (a key is wanted, or was set) and `answer` (whether the server answered). */
export const events = new EventTarget();

/** An answer that is an error, or no answer. */
export class Failure extends Error {
  /**
   * @param {string} message for people, in the server's words
   * @param {{code?: number, status?: string, details?: any[], requestId?: string}} [facts]
   */
  constructor(message, { code = 0, status = "", details = [], requestId = "" } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
    this.requestId = requestId;
  }

  /** Whether there was no answer at all. */
  get isDead() {
    return this.code === 0;
  }

  /** The field that was refused, such as `requests[2].content`; empty if none was named. */
  get field() {
    for (const { fieldViolations } of this.details) if (fieldViolations?.length) return fieldViolations[0].field || "";
    return "";
  }

  /** Whether a key is wanted: none was sent, or the one that was sent is not valid. */
  get wantsKey() {
    return this.message.includes(MISSING) || this.details.some((each) => each.reason === "API_KEY_INVALID");
  }
}

/** The key of this tab, or "". */
export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** @param {string} value the key to use from now on; "" forgets it */
export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/**
 * Ask the server and return its answer, whatever its body.
 *
 * @param {string} path below the server's address, without a slash at its start
 * @param {RequestInit & {json?: any}} [options]
 * @returns {Promise<Response>}
 * @throws {Failure}
 */
export async function ask(path, { json, headers, ...options } = {}) {
  const sent = new Headers(headers);
  if (key()) sent.set("x-goog-api-key", key());
  if (json !== undefined) sent.set("content-type", "application/json");
  const body = json === undefined ? options.body : JSON.stringify(json);
  const response = await reach(() => fetch(BASE + path, { cache: "no-store", ...options, headers: sent, body }));
  if (!response.ok) throw noteWish(await failureOf(response.status, await response.text(), response.headers));
  return response;
}

/**
 * Ask the server and return its answer's JSON.
 *
 * @param {string} path
 * @param {RequestInit & {json?: any}} [options]
 * @returns {Promise<any>}
 * @throws {Failure}
 */
export async function askJson(path, options) {
  const response = await ask(path, options);
  return reach(() => response.json());
}

/**
 * Read an answer line by line, as it arrives.
 *
 * @param {Response} response
 */
export async function* linesOf(response) {
  let rest = "";
  const reader = /** @type {ReadableStream} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest) yield rest;
}

/**
 * Upload a file as `multipart/related`, which reads it from disk as it is sent.
 *
 * @param {File} file
 * @param {(share: number) => void} onProgress called with the share that was sent, 0 to 1
 * @param {AbortSignal} signal
 * @returns {Promise<{name: string}>} the file as the server describes it
 * @throws {Failure}
 */
export function upload(file, onProgress, signal) {
  const boundary = `gemvec-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  const about = JSON.stringify({ file: { displayName: file.name } });
  const body = new Blob([
    `--${boundary}\r\ncontent-type: application/json\r\n\r\n${about}\r\n`,
    `--${boundary}\r\ncontent-type: application/jsonl\r\n\r\n`,
    file,
    `\r\n--${boundary}--\r\n`,
  ]);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much it has sent
    request.open("POST", `${BASE}upload/v1beta/files`);
    request.setRequestHeader("content-type", `multipart/related; boundary=${boundary}`);
    request.setRequestHeader("x-goog-upload-protocol", "multipart");
    if (key()) request.setRequestHeader("x-goog-api-key", key());
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText).file);
      else reject(noteWish(failureOf(request.status, request.responseText, new Headers())));
    };
    request.onerror = () => reject(noteDeath());
    request.onabort = () => reject(new DOMException("The upload was stopped.", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

/**
 * Save an answer as a file on the reader's disk; a link cannot, because it sends no key.
 *
 * @param {string} path
 * @param {string} name of the file
 * @throws {Failure}
 */
export async function save(path, name) {
  const response = await ask(path);
  saveBlob(await reach(() => response.blob()), name);
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function reach(work) {
  try {
    const result = await work();
    events.dispatchEvent(new CustomEvent("answer", { detail: true }));
    return result;
  } catch (error) {
    if (error instanceof TypeError) throw noteDeath();
    throw error;
  }
}

function noteDeath() {
  events.dispatchEvent(new CustomEvent("answer", { detail: false }));
  return new Failure("The server does not answer.");
}

/** @param {Failure} failure */
function noteWish(failure) {
  if (failure.wantsKey) events.dispatchEvent(new CustomEvent("key", { detail: failure.message }));
  return failure;
}

/**
 * @param {number} code
 * @param {string} text
 * @param {Headers} headers
 */
function failureOf(code, text, headers) {
  const requestId = headers.get("x-request-id") ?? "";
  try {
    const { error } = JSON.parse(text);
    if (typeof error === "string") return new Failure(error, { code, requestId });
    return new Failure(error.message.replace(/^\* /, "").trim(), { code, ...error, requestId });
  } catch {
    return new Failure(`The server answered ${code} without a message.`, { code, requestId });
  }
}
