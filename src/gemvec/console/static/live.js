// A list that the server sends whenever it has changed: server-sent events, read with fetch, because the browser's own
// reader of them sends no header and so no key.

import { ask, askJson, linesOf } from "./api.js";

const AGAIN_MILLISECONDS = 1000;
const AFTER_FAILURE_MILLISECONDS = 10_000;
const TOO_MANY = 429; // streams; the list itself may still be asked for

/**
 * Follow a list while its page is shown and the tab is in view: a browser opens only six connections to a server.
 *
 * @param {() => string} path of the list
 * @param {(list: any) => void} onList
 * @param {(failure: any) => void} onFailure called with null after each list
 */
export function createLive(path, onList, onFailure) {
  let isOn = false;
  let following = new AbortController();

  async function follow(/** @type {AbortSignal} */ signal) {
    while (!signal.aborted) {
      const wait = await readOnce(signal);
      if (!signal.aborted) await pause(wait, signal);
    }
  }

  async function readOnce(/** @type {AbortSignal} */ signal) {
    try {
      for await (const line of linesOf(await ask(path(), { signal, headers: { accept: "text/event-stream" } }))) {
        if (line.startsWith("data: ") && !signal.aborted) show(JSON.parse(line.slice(6)));
      }
      return AGAIN_MILLISECONDS; // a stream ends after ten minutes, and when the server stops
    } catch (failure) {
      if (signal.aborted) return 0;
      if (failure instanceof TypeError) return AGAIN_MILLISECONDS; // it broke off; asking again says why
      return /** @type {any} */ (failure).code === TOO_MANY ? readPlain(signal) : fail(failure);
    }
  }

  async function readPlain(/** @type {AbortSignal} */ signal) {
    try {
      show(await askJson(path(), { signal }));
    } catch (failure) {
      if (!signal.aborted) fail(failure);
    }
    return AFTER_FAILURE_MILLISECONDS;
  }

  function show(/** @type {any} */ list) {
    onList(list);
    onFailure(null);
  }

  function fail(/** @type {any} */ failure) {
    onFailure(failure);
    return AFTER_FAILURE_MILLISECONDS;
  }

  function restart() {
    following.abort();
    following = new AbortController();
    if (isOn && !document.hidden) follow(following.signal);
  }

  document.addEventListener("visibilitychange", restart);
  return {
    /** Ask at once, and follow from then on. */
    start() {
      isOn = true;
      restart();
    },
    stop() {
      isOn = false;
      restart();
    },
  };
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal ends it early
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}
