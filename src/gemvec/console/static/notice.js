// Says what went wrong, in the server's words.

import { make } from "./elements.js";

/**
 * Show a failure in its place; anything that is not the server's or the network's is a fault of this page.
 *
 * @param {HTMLElement} place emptied first
 * @param {any} error null to take back what was said
 */
export function say(place, error) {
  if (!error || error.name === "AbortError") {
    place.replaceChildren();
    return;
  }
  if (error.code === undefined) console.error(error);
  place.replaceChildren(make("p", { class: "notice bad", role: "alert" },
    make("strong", {}, error.status ? `${error.code} ${error.status}` : "Error"), " ", error.message,
    error.requestId && make("small", {}, ` Request ${error.requestId}`),
  ));
}
