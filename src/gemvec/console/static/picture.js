// Texts as points in a plane, near where they are similar.

import { draw, make } from "./elements.js";

const WIDTH = 420;
const HEIGHT = 300;
const MARGIN = 26;

/**
 * Make the picture.
 *
 * @param {[number, number][]} points
 * @param {number} share of the variance that the two axes show
 * @param {string[]} texts
 * @returns {HTMLElement}
 */
export function picture(points, share, texts) {
  const place = placer(points);
  const marks = points.map((point, index) => {
    const [x, y] = place(point);
    return draw("g", { class: "point" },
      draw("title", {}, `${index + 1}: ${texts[index]}`),
      draw("circle", { cx: x, cy: y, r: 9 }),
      draw("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central" }, String(index + 1)),
    );
  });
  const about = `The two axes show ${Math.round(share * 100)} % of the variance.`;
  const svg = draw("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "picture",
    "aria-label": `${texts.length} texts as points. ${about} The list of nearest pairs says the same in words.`,
  }, draw("line", { x1: 0, y1: HEIGHT / 2, x2: WIDTH, y2: HEIGHT / 2 }),
  draw("line", { x1: WIDTH / 2, y1: 0, x2: WIDTH / 2, y2: HEIGHT }), ...marks);
  return make("div", {}, svg, make("p", { class: "soft" }, about));
}

/**
 * Return a function that places a point, with one scale for both axes so that distances stay true.
 *
 * @param {[number, number][]} points
 * @returns {(point: [number, number]) => [number, number]}
 */
function placer(points) {
  const reach = [0, 1].map((axis) => Math.max(1e-9, ...points.map((point) => Math.abs(point[axis]))));
  const scale = Math.min((WIDTH / 2 - MARGIN) / reach[0], (HEIGHT / 2 - MARGIN) / reach[1]);
  return ([x, y]) => [WIDTH / 2 + x * scale, HEIGHT / 2 - y * scale];
}
