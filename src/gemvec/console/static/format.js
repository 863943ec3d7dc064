// Numbers, sizes and moments as people read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** @param {number} value */
export const whole = (value) => WHOLE.format(value);

/**
 * Return a count with its noun: `1 text`, `3 texts`.
 *
 * @param {number} count
 * @param {string} noun
 * @param {string} [nouns] its plural, where that is not the noun with an s
 */
export function counted(count, noun, nouns = `${noun}s`) {
  return `${whole(count)} ${count === 1 ? noun : nouns}`;
}

/**
 * Return a number with its decimals, never `-0.00`.
 *
 * @param {number} value
 * @param {number} places
 */
export function decimals(value, places) {
  const text = value.toFixed(places);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/** @param {number} bytes */
export function size(bytes) {
  let unit = 0;
  while (bytes >= 1024 && unit < UNITS.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${bytes >= 100 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${UNITS[unit]}`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "-";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  return `${whole(seconds)} s`;
}

/** @param {number} value with two decimals, or as a whole number where it is large */
export const rate = (value) => (value >= 100 ? whole(value) : value.toFixed(value >= 10 ? 1 : 2));

/**
 * Return a moment in the reader's own time zone, or a dash.
 *
 * @param {string|undefined} moment RFC 3339
 */
export function moment(moment) {
  if (!moment) return "-";
  return new Date(moment).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
