// The matrix of similarities as a table whose cells are coloured by their score.

import { make } from "./elements.js";
import { decimals } from "./format.js";

/** The most texts that are still readable in one map. */
export const MAX_ROWS = 60;
const MAX_ROWS_WITH_NUMBERS = 14;

/**
 * Make the map. Arrow keys move through its cells; the cell in focus, or under the pointer, is spelled out below it.
 *
 * @param {number[][]} matrix
 * @param {string[]} texts
 * @param {string} caption
 * @returns {HTMLElement}
 */
export function heatMap(matrix, texts, caption) {
  const count = Math.min(matrix.length, MAX_ROWS);
  const shown = matrix.slice(0, count).map((row) => row.slice(0, count));
  const floor = Math.min(0.999, ...shown.flat());
  const readout = make("p", { class: "readout", "aria-live": "polite" }, "Point at a cell, or move with the arrow keys.");
  const cells = shown.map((row, first) => row.map((score, second) => make("td", {
    tabIndex: first + second === 0 ? 0 : -1,
    style: { "--share": String(Math.max(0, (score - floor) / (1 - floor))) },
    data: { first: String(first), second: String(second) },
    "aria-label": `${first + 1} and ${second + 1}: ${decimals(score, 2)}`,
  }, count <= MAX_ROWS_WITH_NUMBERS ? decimals(score, 2) : "")));
  const heading = (/** @type {number} */ index, /** @type {string} */ scope) =>
    make("th", { scope, title: texts[index] }, index + 1);
  const table = make("table", { class: count > MAX_ROWS_WITH_NUMBERS ? "heat dense" : "heat", role: "grid" },
    make("caption", { class: "hidden" }, caption),
    make("thead", {}, make("tr", {},
      make("th", { scope: "col" }, make("span", { class: "hidden" }, "Text")), ...shown.map((row, index) => heading(index, "col")))),
    make("tbody", {}, ...cells.map((row, index) => make("tr", {}, heading(index, "row"), ...row))),
  );
  const spell = (/** @type {HTMLElement} */ cell) => {
    const [first, second] = [Number(cell.dataset.first), Number(cell.dataset.second)];
    readout.replaceChildren(make("b", {}, decimals(shown[first][second], 4)), ` ${first + 1}: ${texts[first]}`,
      make("br"), `${second + 1}: ${texts[second]}`);
  };
  const cellOf = (/** @type {any} */ event) => event.target.closest?.("td[data-first]");
  table.addEventListener("pointerover", (/** @type {Event} */ event) => cellOf(event) && spell(cellOf(event)));
  table.addEventListener("focusin", (/** @type {Event} */ event) => cellOf(event) && spell(cellOf(event)));
  table.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => move(event, cells));
  const note = matrix.length > count && make("p", { class: "soft" }, `The map shows the first ${count} texts.`);
  return make("div", {}, make("div", { class: "scroll" }, table), readout, note);
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement[][]} cells
 */
function move(event, cells) {
  const step = STEPS[/** @type {keyof typeof STEPS} */ (event.key)];
  const from = /** @type {HTMLElement} */ (event.target);
  if (!step || from.dataset.first === undefined) return;
  event.preventDefault();
  const next = cells[Number(from.dataset.first) + step[0]]?.[Number(from.dataset.second) + step[1]];
  if (!next) return;
  from.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
