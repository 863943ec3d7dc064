// Texts as points in a plane, near where they are similar.

import { draw, make } from "./elements.js";

const WIDTH = 420;
const HEIGHT = 300;
const MARGIN = 26;
const RADIUS = 9;
const ROUNDS = 30;

/**
 * Make the picture.
 *
 * @param {[number, number][]} points
 * @param {number} share of the variance that the two axes show
 * @param {string[]} texts
 * @returns {HTMLElement}
 */
export function picture(points, share, texts) {
  const { places, areMoved } = spread(points.map(placer(points)));
  const marks = places.map(([x, y], index) => draw("g", { class: "point" },
    draw("title", {}, `${index + 1}: ${texts[index]}`),
    draw("circle", { cx: x, cy: y, r: RADIUS }),
    draw("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central" }, String(index + 1)),
  ));
  const about = `The two axes show ${Math.round(share * 100)} % of the variance.${
    areMoved ? " Points that would cover each other stand side by side." : ""}`;
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

/**
 * Move points apart that would cover each other, both by the same way.
 *
 * @param {[number, number][]} places
 * @returns {{places: [number, number][], areMoved: boolean}}
 */
function spread(places) {
  let areMoved = false;
  for (let round = 0; round < ROUNDS; round += 1) {
    places.forEach((one, first) => {
      for (const other of places.slice(first + 1)) {
        const [x, y] = [other[0] - one[0], other[1] - one[1]];
        const distance = Math.hypot(x, y);
        if (distance >= 2 * RADIUS) continue;
        const push = (2 * RADIUS - distance) / 2;
        const [across, down] = distance > 1e-6 ? [x / distance, y / distance] : [1, 0];
        one[0] -= across * push;
        one[1] -= down * push;
        other[0] += across * push;
        other[1] += down * push;
        areMoved = true;
      }
    });
  }
  return { places, areMoved };
}
