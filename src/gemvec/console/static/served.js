// What is served, as the pages that offer a choice of models need it.

import { askJson } from "./api.js";
import { make } from "./elements.js";

/**
 * @typedef {object} ServedName
 * @property {string} name what callers write
 * @property {string} weights what really serves it, such as `all-minilm-l6-v2@53aa5117`
 * @property {string} description
 * @property {string} [languages] which the weights are for, if that is known
 * @property {number} inputTokenLimit
 * @property {number} nativeDimensionality values that the network produces
 * @property {number} defaultDimensionality values that an answer has unless the caller says otherwise
 * @property {boolean} [takesOptions] whether task type and dimensionality may be given
 * @property {string} [retiredAt] when Google ended the name
 */

/** @returns {Promise<{names: ServedName[], taskTypes: string[]}>} what the caller's key may use */
export async function askServed() {
  const { names = [], taskTypes = [] } = await askJson("console/data/models");
  return { names, taskTypes };
}

/**
 * Offer names in a select, and keep the choice where it still exists.
 *
 * @param {HTMLSelectElement} select
 * @param {ServedName[]} names
 */
export function offerNames(select, names) {
  const chosen = select.value;
  select.replaceChildren(...names.map(({ name }) => make("option", { value: name }, name)));
  if (names.some(({ name }) => name === chosen)) select.value = chosen;
}
