// Makes elements. Texts become text nodes, never markup, so nothing that a caller wrote can run.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an HTML element.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties] `class`, `on` (listeners by event), `style` (custom properties),
 *   `data`, attributes with a hyphen and `role`; everything else is set as a property.
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {any} the element
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...children.filter(isShown).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * Make an SVG element; every property is an attribute.
 *
 * @param {string} tag
 * @param {Record<string, string|number>} [attributes]
 * @param {...(Node|string)} children
 * @returns {SVGElement}
 */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return /** @type {SVGElement} */ (element);
}

/**
 * Return a labelled control.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint] one short sentence below it
 */
export function field(label, control, hint = "") {
  const note = hint && make("small", { class: "soft" }, hint);
  return make("label", { class: "field" }, make("span", {}, label), control, note);
}

/**
 * Return a row of a table of class `stacked`, which a narrow screen shows as a list: each cell knows its column's name.
 *
 * @param {string[]} heads names of the columns
 * @param {...HTMLElement} cells
 */
export function tableRow(heads, ...cells) {
  cells.forEach((cell, index) => {
    cell.dataset.head = heads[index];
  });
  return make("tr", {}, ...cells);
}

/** @param {any} child */
function isShown(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}

/**
 * @param {any} element
 * @param {string} name
 * @param {any} value
 */
function set(element, name, value) {
  if (value === null || value === undefined) return;
  if (name === "class") element.className = value;
  else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name.includes("-") || ["role", "for", "colspan", "scope"].includes(name)) element.setAttribute(name, value);
  else element[name] = value;
}
