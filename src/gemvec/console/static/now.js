// What the server is doing now, from the same figures as its metrics.

import { createChart } from "./chart.js";
import { make } from "./elements.js";
import { askFigures, quantileBetween } from "./figures.js";
import { duration, rate, size, whole } from "./format.js";
import { say } from "./notice.js";
import { createLoop } from "./poll.js";

/** @typedef {import("./figures.js").Figures} Figures */

const EVERY_MILLISECONDS = 2000;
const MOMENTS = 150; // five minutes
// Single calls would come and go: what is known of them is kept for half a minute.
const LONG_SPAN = 15;

// Calls of clients, not those of this console, of monitoring and of readers of the documentation.
const QUIET = /^\/(console|metrics|healthz|readyz|health|docs|openapi\.json)?(\/|$)/;
const isCall = (/** @type {Record<string, string>} */ { route, method }) => !(QUIET.test(route) && method === "GET");
const isEmbedding = (/** @type {Record<string, string>} */ { route }) =>
  /embed|predict/i.test(route) && !route.includes("async") && !route.startsWith("/batches");

const shown = (/** @type {(value: number) => string} */ format) => (/** @type {number} */ value) =>
  Number.isFinite(value) ? format(value) : "-";

/**
 * A chart: what each line is, from the figures of now and of `span` moments before.
 *
 * @typedef {object} ChartKind
 * @property {string} title
 * @property {(value: number) => string} format
 * @property {number} [span] 1 unless it is given
 * @property {string} [needs] the metric without which there is no such chart
 * @property {Record<string, (now: Figures, before: Figures) => number>} lines
 */

/** @type {ChartKind[]} */
const CHARTS = [
  {
    title: "Requests a second",
    format: shown(rate),
    lines: {
      answered: perSecond((figures) => figures.sum("gemvec_requests_total", isCall)),
      "with an error": perSecond((figures) => figures.sum("gemvec_errors_total")),
    },
  },
  {
    title: "Tokens a second",
    format: shown(rate),
    lines: {
      computed: perSecond((figures) => figures.sum("gemvec_computed_tokens_total")),
      "of calls": perSecond((figures) => figures.sum("gemvec_tokens_total")),
    },
  },
  {
    title: "Time of an embedding call",
    format: shown(duration),
    span: LONG_SPAN,
    lines: { median: quantile(0.5), "95 of 100": quantile(0.95) },
  },
  {
    title: "Waiting",
    format: shown(whole),
    lines: {
      tokens: (figures) => figures.sum("gemvec_waiting_tokens"),
      // One of them is that of this page.
      "requests in progress": (figures) => Math.max(0, figures.sum("gemvec_requests_in_progress") - 1),
    },
  },
  {
    title: "Cache",
    needs: "gemvec_cache_entries",
    format: shown((value) => `${Math.round(100 * value)} %`),
    span: LONG_SPAN,
    lines: { "answered from it": cacheShare },
  },
  {
    title: "Memory",
    format: shown(size),
    lines: {
      process: (figures) => figures.sum("process_resident_memory_bytes"),
      requests: (figures) => figures.sum("gemvec_memory_used_bytes"),
    },
  },
  {
    title: "Batches",
    format: shown(whole),
    lines: {
      running: (figures) => figures.sum("gemvec_batches", ({ state }) => state === "RUNNING"),
      waiting: (figures) => figures.sum("gemvec_batches", ({ state }) => state === "PENDING"),
    },
  },
];

/** @returns {import("./console.js").Page} */
export function createNowPage() {
  const trouble = make("div", { class: "trouble" });
  const grid = make("div", { class: "charts", hidden: true });
  const charts = CHARTS.map(({ title, format, span = 1, needs = "", lines }) => ({
    ...createChart(title, format),
    span,
    needs,
    lines: Object.entries(lines).map(([name, figure]) => ({ name, figure, values: /** @type {number[]} */ ([]) })),
  }));
  /** @type {Figures[]} the newest last */
  let past = [];

  const loop = createLoop(async () => {
    try {
      const now = await askFigures();
      const last = past.at(-1) ?? now;
      if (now.sum("gemvec_requests_total") < last.sum("gemvec_requests_total")) past = []; // the server was restarted
      for (const { element, lines, span, needs, update } of charts) {
        element.hidden = needs !== "" && !now.has(needs);
        const before = past.at(-span) ?? past[0] ?? now;
        for (const line of lines) {
          line.values.push(line.figure(now, before));
          if (line.values.length > MOMENTS) line.values.shift();
        }
        update(lines);
      }
      past = [...past, now].slice(-LONG_SPAN);
      grid.hidden = false;
      say(trouble, null);
    } catch (failure) {
      say(trouble, failure);
    }
    return EVERY_MILLISECONDS;
  });

  grid.append(...charts.map(({ element }) => element));
  return {
    element: make("div", { class: "stack" }, make("h1", {}, "Now"),
      make("p", { class: "soft" }, "Up to five minutes, while this page is open. ",
        make("code", {}, "/metrics"), " has the same figures for Prometheus."),
      trouble, grid),
    show: () => { loop.start(); },
    hide: loop.stop,
  };
}

/**
 * @param {(figures: Figures) => number} total
 * @returns {(now: Figures, before: Figures) => number}
 */
function perSecond(total) {
  return (now, before) => now === before ? NaN : (total(now) - total(before)) / ((now.at - before.at) / 1000);
}

/**
 * @param {number} share
 * @returns {(now: Figures, before: Figures) => number}
 */
function quantile(share) {
  const buckets = (/** @type {Figures} */ figures) => figures.buckets("gemvec_request_seconds", isEmbedding);
  return (now, before) => quantileBetween(buckets(before), buckets(now), share);
}

/** @type {(now: Figures, before: Figures) => number} */
function cacheShare(now, before) {
  const grown = (/** @type {string} */ name) => now.sum(name) - before.sum(name);
  const hits = grown("gemvec_cache_hits_total");
  return hits / (hits + grown("gemvec_cache_misses_total"));
}
