// Pages of a list whose tokens lead only forward: the tokens behind are remembered.

import { make } from "./elements.js";

/**
 * @typedef {object} Pager
 * @property {HTMLElement} element the two buttons and the number of the page
 * @property {() => string} query what to add to the list's address for the page that is shown
 * @property {(nextPageToken: string|undefined) => void} note what follows the page that is shown
 * @property {() => void} reset go to the first page
 */

/**
 * Make a pager.
 *
 * @param {number} pageSize
 * @param {() => void} onTurn called when another page is wanted
 * @returns {Pager}
 */
export function createPager(pageSize, onTurn) {
  let tokens = [""];
  let next = "";
  const newer = make("button", { type: "button", class: "quiet" }, "Newer");
  const older = make("button", { type: "button", class: "quiet" }, "Older");
  const place = make("span", { class: "soft", role: "status" });
  newer.addEventListener("click", () => {
    tokens.pop();
    onTurn();
  });
  older.addEventListener("click", () => {
    tokens.push(next);
    onTurn();
  });
  const element = make("div", { class: "row pager", hidden: true }, newer, place, older);
  return {
    element,
    query: () => `?pageSize=${pageSize}${tokens.at(-1) && `&pageToken=${encodeURIComponent(tokens.at(-1) ?? "")}`}`,
    note(nextPageToken) {
      next = nextPageToken ?? "";
      newer.disabled = tokens.length === 1;
      older.disabled = !next;
      place.textContent = `Page ${tokens.length}`;
      element.hidden = newer.disabled && older.disabled;
    },
    reset() {
      tokens = [""];
    },
  };
}

/**
 * Put elements into a place in the given order, without moving those that stand right: they keep their focus.
 *
 * @param {HTMLElement} place
 * @param {HTMLElement[]} elements
 */
export function arrange(place, elements) {
  const wanted = new Set(elements);
  for (const each of [...place.children]) if (!wanted.has(/** @type {any} */ (each))) each.remove();
  elements.forEach((element, index) => {
    if (place.children[index] !== element) place.insertBefore(element, place.children[index] ?? null);
  });
}
