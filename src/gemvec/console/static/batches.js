// The caller's batches: how far they are, and what can be done with each.

import { ask } from "./api.js";
import { confirm } from "./confirm.js";
import { field, make } from "./elements.js";
import { counted, moment, rate, whole } from "./format.js";
import { createLive } from "./live.js";
import { createNewBatch } from "./newbatch.js";
import { say } from "./notice.js";
import { arrange, createPager } from "./pager.js";
import { MAX_ERRORS, findErrors, saveResults } from "./results.js";

/**
 * @typedef {object} Batch
 * @property {string} name `batches/...`
 * @property {string} displayName
 * @property {string} model
 * @property {string} state without its prefix: PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED or EXPIRED
 * @property {boolean} isEnded
 * @property {number} priority
 * @property {number} requests
 * @property {number} succeeded
 * @property {number} failed
 * @property {string} createTime
 * @property {string} [endTime]
 * @property {string} waitingReason why an open batch does not go on
 * @property {string} error why it did not succeed
 * @property {string} responsesFile `files/...` if its results are in a file
 */

const PAGE_SIZE = 50;

/** @returns {import("./console.js").Page} */
export function createBatchesPage() {
  const list = make("ul", { class: "items", id: "batches" });
  const trouble = make("div", { class: "trouble" });
  const empty = make("p", { class: "soft empty", hidden: true }, "No batches yet. Drop a JSONL file above to make one.");
  /** @type {Map<string, ReturnType<typeof createItem>>} */
  let items = new Map();
  const pager = createPager(PAGE_SIZE, () => live.start());
  const live = createLive(() => `console/data/batches${pager.query()}`, refresh, (failure) => say(trouble, failure));
  const newBatch = createNewBatch(() => {
    pager.reset();
    live.start();
  });

  function refresh(/** @type {{operations?: any[], nextPageToken?: string}} */ { operations = [], nextPageToken }) {
    const batches = operations.map(batchOf);
    const known = items;
    items = new Map(batches.map((batch) => [batch.name, known.get(batch.name) ?? createItem(live.start)]));
    for (const batch of batches) items.get(batch.name)?.update(batch);
    arrange(list, [...items.values()].map(({ element }) => element));
    pager.note(nextPageToken);
    empty.hidden = batches.length > 0;
  }

  return {
    element: make("div", { class: "stack" }, make("h1", {}, "Batches"), newBatch.element, trouble, list, empty,
      pager.element),
    show() {
      newBatch.show();
      live.start();
    },
    hide: live.stop,
  };
}

/**
 * Return an operation as a batch.
 *
 * @param {any} operation
 * @returns {Batch}
 */
export function batchOf({ name, metadata, done, error }) {
  const stats = metadata.batchStats ?? {};
  return {
    name,
    displayName: metadata.displayName || "",
    model: (metadata.model ?? "").replace("models/", ""),
    state: metadata.state.replace("BATCH_STATE_", ""),
    isEnded: done === true,
    priority: Number(metadata.priority ?? 0),
    requests: Number(stats.requestCount ?? 0),
    succeeded: Number(stats.successfulRequestCount ?? 0),
    failed: Number(stats.failedRequestCount ?? 0),
    createTime: metadata.createTime,
    endTime: metadata.endTime,
    waitingReason: metadata.waitingReason ?? "",
    error: error?.message ?? "",
    responsesFile: metadata.output?.responsesFile ?? "",
  };
}

/** @param {() => void} onChange called after something was done with the batch */
function createItem(onChange) {
  const badge = make("span", { class: "badge" });
  const title = make("strong", { class: "title" });
  const about = make("span", { class: "soft about" });
  const bar = make("progress", { max: 1 });
  const count = make("span", { class: "count" });
  const when = make("span", { class: "soft when" });
  const more = make("div", { class: "more", hidden: true });
  const toggle = make("button", { type: "button", class: "quiet toggle", "aria-expanded": "false" }, "Details");
  /** @type {ReturnType<typeof createDetails>|null} */
  let details = null;
  /** @type {Batch} */
  let batch;
  const speed = createSpeed();
  toggle.addEventListener("click", () => {
    more.hidden = !more.hidden;
    toggle.setAttribute("aria-expanded", String(!more.hidden));
    if (!details) {
      details = createDetails(() => batch, onChange);
      more.append(details.element);
    }
    details.update(batch);
  });
  return {
    element: make("li", { class: "item card" },
      make("div", { class: "line" }, badge, make("div", { class: "name" }, title, about),
        make("div", { class: "progress" }, bar, count), when, toggle),
      more),
    /** @param {Batch} is */
    update(is) {
      batch = is;
      badge.textContent = is.state.toLowerCase();
      badge.dataset.state = is.state;
      title.textContent = is.displayName || is.name;
      about.textContent = `${is.displayName ? `${is.name}, ` : ""}${is.model}${
        is.priority ? `, priority ${is.priority}` : ""}`;
      const done = is.succeeded + is.failed;
      bar.value = is.requests ? done / is.requests : 0;
      bar.setAttribute("aria-label", `Done of ${title.textContent}`);
      count.replaceChildren(`${whole(done)} of ${whole(is.requests)}`,
        ...(is.failed ? [make("b", { class: "bad-words" }, `, ${whole(is.failed)} failed`)] : []));
      toggle.setAttribute("aria-label", `Details of ${title.textContent}`);
      when.textContent = is.isEnded ? moment(is.createTime) : speed(done, is.requests) || moment(is.createTime);
      details?.update(is);
    },
  };
}

/** Return a function that says how fast a count grows and when it will be complete; "" while that is not known. */
function createSpeed() {
  /** @type {{at: number, done: number}|null} */
  let first = null;
  return (/** @type {number} */ done, /** @type {number} */ all) => {
    const at = performance.now();
    first ??= { at, done };
    const perSecond = (done - first.done) / ((at - first.at) / 1000);
    if (!Number.isFinite(perSecond) || perSecond <= 0) return "";
    const seconds = (all - done) / perSecond;
    const left = seconds < 90 ? counted(Math.ceil(seconds), "second") : counted(Math.ceil(seconds / 60), "minute");
    return `${rate(perSecond)} a second, ${left} left`;
  };
}

/**
 * What is known about a batch, and what can be done with it.
 *
 * @param {() => Batch} current
 * @param {() => void} onChange
 */
function createDetails(current, onChange) {
  const facts = make("dl", { class: "facts" });
  const trouble = make("div", { class: "trouble" });
  const errors = make("div", { class: "errors" });
  const priority = make("input", { type: "number", step: 1, required: true });
  const button = (/** @type {string} */ words, /** @type {() => Promise<any>} */ work, kind = "quiet") =>
    make("button", { type: "button", class: kind, on: { click: () => attempt(work) } }, words);
  const download = button("Download the results", () => saveResults(current()));
  const list = button("Show the errors", async () => errors.replaceChildren(errorTable(await findErrors(current()))));
  const cancel = button("Cancel", cancelBatch, "danger");
  const remove = button("Delete", deleteBatch, "danger");
  const priorityForm = make("form", { class: "row" }, field("Priority", priority),
    make("button", { class: "quiet" }, "Set"));
  priorityForm.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    attempt(setPriority);
  });
  let shownPriority = NaN;

  async function attempt(/** @type {() => Promise<any>} */ work) {
    try {
      await work();
      say(trouble, null);
    } catch (failure) {
      say(trouble, failure);
    }
  }

  async function setPriority() {
    await ask(`v1beta/${current().name}:updateEmbedContentBatch?updateMask=priority`, {
      method: "PATCH", json: { priority: Number(priority.value) },
    });
    onChange();
  }

  async function cancelBatch() {
    const left = counted(current().requests - current().succeeded - current().failed, "request");
    if (!await confirm("Cancel this batch?", `${left} will not be computed. What is finished stays.`, "Cancel the batch")) return;
    await ask(`v1beta/${current().name}:cancel`, { method: "POST" });
    onChange();
  }

  async function deleteBatch() {
    if (!await confirm("Delete this batch?", "Its input and its results are deleted with it.", "Delete the batch")) return;
    await ask(`v1beta/${current().name}`, { method: "DELETE" });
    onChange();
  }

  return {
    element: make("div", {}, facts, trouble, priorityForm,
      make("div", { class: "row" }, download, list, cancel, remove), errors),
    /** @param {Batch} batch */
    update(batch) {
      facts.replaceChildren(...factsOf(batch).map(([name, value]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, value))));
      if (shownPriority !== batch.priority) priority.value = String(shownPriority = batch.priority);
      priorityForm.hidden = cancel.hidden = batch.isEnded;
      download.hidden = !batch.isEnded;
      list.hidden = !(batch.isEnded && batch.failed);
    },
  };
}

/** @param {Batch} batch @returns {[string, string][]} */
function factsOf(batch) {
  const facts = /** @type {[string, string][]} */ ([
    ["Name", batch.name],
    ["Requests", whole(batch.requests)],
    ["Succeeded", whole(batch.succeeded)],
    ["Failed", whole(batch.failed)],
    ["Made", moment(batch.createTime)],
  ]);
  if (batch.isEnded) facts.push(["Ended", moment(batch.endTime)]);
  if (batch.waitingReason) facts.push(["Waits because", batch.waitingReason]);
  if (batch.error) facts.push(["Error", batch.error]);
  return facts;
}

/** @param {{errors: import("./results.js").LineError[], count: number}} found */
function errorTable({ errors, count }) {
  const rows = errors.map(({ line, key, message }) => make("tr", {},
    make("td", { class: "number" }, whole(line)), make("td", {}, key), make("td", {}, message)));
  return make("div", {},
    count > MAX_ERRORS && make("p", { class: "soft" },
      `The first ${MAX_ERRORS} of ${whole(count)} errors; the download has all of them.`),
    make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Errors" },
      make("table", { class: "plain" },
        make("thead", {}, make("tr", {}, ...["Line", "Key", "Error"].map((name) =>
          make("th", { scope: "col", class: name === "Line" ? "number" : "" }, name)))),
        make("tbody", {}, ...rows))));
}
