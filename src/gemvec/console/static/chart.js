// A line over time, small: what happened since the page was opened.

import { draw, make } from "./elements.js";

const WIDTH = 320;
const HEIGHT = 80;
const FEWEST_MOMENTS = 30; // the first few are not drawn out over the whole width

/**
 * @typedef {object} Line
 * @property {string} name
 * @property {number[]} values the newest last; NaN where nothing is known
 */

/**
 * Make a chart.
 *
 * @param {string} title
 * @param {(value: number) => string} format
 */
export function createChart(title, format) {
  const now = make("dl", { class: "now" });
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", preserveAspectRatio: "none", "aria-hidden": "true" });
  const top = make("span", { class: "soft top" });
  return {
    element: make("section", { class: "card chart-card" }, make("h2", {}, title), now,
      make("div", { class: "plot" }, top, svg)),
    /**
     * @param {Line[]} lines
     */
    update(lines) {
      const length = Math.max(FEWEST_MOMENTS, ...lines.map(({ values }) => values.length));
      const most = Math.max(0, ...lines.flatMap(({ values }) => values.filter(Number.isFinite)));
      svg.replaceChildren(...lines.map(({ values }, index) =>
        draw("path", { d: pathOf(values, most || 1, length), class: `line line-${index}` })));
      top.textContent = most ? format(most) : "";
      now.replaceChildren(...lines.map(({ name, values }, index) => make("div", { class: `line-${index}` },
        make("dt", {}, name), make("dd", {}, format(values.at(-1) ?? NaN)))));
    },
  };
}

/**
 * @param {number[]} values
 * @param {number} most
 * @param {number} length
 */
function pathOf(values, most, length) {
  const step = WIDTH / Math.max(1, length - 1);
  let path = "";
  let isDown = false;
  values.forEach((value, index) => {
    const x = WIDTH - (values.length - 1 - index) * step;
    const y = HEIGHT - 3 - (HEIGHT - 6) * (value / most);
    if (Number.isFinite(value)) path += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDown = Number.isFinite(value);
  });
  return path;
}
