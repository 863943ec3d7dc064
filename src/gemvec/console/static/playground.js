// Texts in, similarities out: one way to embed them, or two side by side.

import { BASE, key } from "./api.js";
import { copyText } from "./clipboard.js";
import { field, make } from "./elements.js";
import { embed } from "./embed.js";
import { counted, decimals, duration, whole } from "./format.js";
import { heatMap } from "./heatmap.js";
import { say } from "./notice.js";
import { picture } from "./picture.js";
import { askServed, offerNames } from "./served.js";
import { SNIPPETS } from "./snippets.js";
import { nearestPairs, project, similarities } from "./vectors.js";

const PAIRS = 8;
const SAMPLE = [
  "How do I cancel a batch?",
  "Stopping a job that is running",
  "The Eiffel Tower stands in Paris",
  "Paris is the capital of France",
  "def add(a, b): return a + b",
  "A function that adds two numbers",
];

/** @returns {import("./console.js").Page} */
export function createPlaygroundPage() {
  const texts = make("textarea", { id: "texts", rows: 7, spellcheck: false, value: SAMPLE.join("\n") });
  const compare = make("input", { type: "checkbox", id: "compare" });
  const run = make("button", { class: "primary", type: "submit", disabled: true }, "Embed");
  const trouble = make("div", { class: "trouble" });
  const results = make("div", { class: "results" });
  const sides = [createSide("A"), createSide("B")];
  const program = createProgram(() => callOf(sides[0], linesOf(texts)));

  /** @type {AbortController|null} */
  let running = null;

  async function runAll() {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    const asked = linesOf(texts);
    const chosen = compare.checked ? sides : sides.slice(0, 1);
    say(trouble, null);
    run.setAttribute("aria-busy", "true");
    try {
      const outcomes = [];
      for (const side of chosen) {
        // One after the other, so that the times can be compared.
        outcomes.push(await embed(asked, side.options(), signal));
      }
      results.replaceChildren(...outcomes.map((outcome, index) => describe(outcome, asked, chosen[index], chosen.length > 1)));
      results.dataset.sides = String(chosen.length);
    } catch (failure) {
      say(trouble, failure);
    } finally {
      if (!signal.aborted) run.removeAttribute("aria-busy");
    }
  }

  const form = make("form", {
    class: "card", id: "playground-form",
    on: {
      submit: (/** @type {Event} */ event) => {
        event.preventDefault();
        runAll();
      },
      input: () => refresh(),
      keydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !run.disabled) form.requestSubmit();
      },
    },
  },
  make("div", { class: "ask" }, field("Texts, one on each line", texts),
    make("div", { class: "sides" }, ...sides.map((side) => side.element))),
  make("div", { class: "row" }, run, make("label", { class: "check" }, compare, "Compare two ways"),
    make("span", { class: "soft push" }, "Ctrl + Enter")),
  );

  function refresh() {
    sides[1].element.hidden = !compare.checked;
    for (const side of sides) side.refresh(compare.checked);
    run.disabled = linesOf(texts).length === 0 || !sides[0].isReady();
    program.refresh();
  }

  return {
    element: make("div", { class: "stack" },
      make("h1", {}, "Playground"), form, trouble, results, program.element),
    async show() {
      try {
        const { names, taskTypes } = await askServed();
        for (const side of sides) side.offer(names, taskTypes);
        say(trouble, null);
      } catch (failure) {
        say(trouble, failure);
      }
      refresh();
    },
  };
}

/** @param {HTMLTextAreaElement} texts */
function linesOf(texts) {
  return texts.value.split("\n").map((line) => line.trim()).filter(Boolean);
}

/**
 * The options of one way to embed.
 *
 * @param {string} name `A` or `B`
 */
function createSide(name) {
  const legend = make("legend");
  const model = make("select", { name: `model-${name}` });
  const values = make("input", { type: "number", name: `values-${name}`, min: 1, step: 1, inputMode: "numeric" });
  const taskType = make("select", { name: `task-${name}` });
  const textTitle = make("input", { type: "text", name: `title-${name}`, autocomplete: "off" });
  const about = make("p", { class: "soft about" });
  /** @type {import("./served.js").ServedName[]} */
  let served = [];
  const chosen = () => served.find((each) => each.name === model.value);
  return {
    name,
    element: make("fieldset", { class: "side-options", hidden: name === "B" },
      legend,
      field("Model", model), field("Values", values), field("Task type", taskType),
      field("Title", textTitle), about),
    options: () => ({
      model: model.value,
      dimensionality: values.value && !values.disabled ? Number(values.value) : null,
      taskType: taskType.disabled ? "" : taskType.value,
      title: textTitle.disabled ? "" : textTitle.value.trim(),
    }),
    isReady: () => served.length > 0,
    /** @param {import("./served.js").ServedName[]} names @param {string[]} taskTypes */
    offer(names, taskTypes) {
      served = names;
      offerNames(model, names);
      if (taskType.options.length === 0) {
        taskType.append(make("option", { value: "" }, "None"),
          ...taskTypes.map((each) => make("option", { value: each }, each)));
      }
    },
    /** @param {boolean} isCompared whether there is another side */
    refresh(isCompared) {
      legend.textContent = isCompared ? `How to embed, ${name}` : "How to embed";
      const is = chosen();
      if (!is) return;
      values.placeholder = String(is.defaultDimensionality);
      taskType.disabled = values.disabled = !is.takesOptions;
      textTitle.disabled = taskType.disabled || taskType.value !== "RETRIEVAL_DOCUMENT";
      textTitle.placeholder = textTitle.disabled ? "for documents only" : "";
      about.textContent = `${is.weights}, ${whole(is.nativeDimensionality)} values of its own, ${
        whole(is.inputTokenLimit)} tokens a text`;
    },
  };
}

/**
 * @param {import("./embed.js").Outcome} outcome
 * @param {string[]} texts
 * @param {ReturnType<typeof createSide>} side
 * @param {boolean} isCompared whether another stands beside it
 */
function describe(outcome, texts, side, isCompared) {
  const matrix = similarities(outcome.vectors);
  const { points, share } = project(outcome.vectors);
  const cut = outcome.cut ?? [];
  const { model, taskType } = side.options();
  const facts = [
    ["Values", whole(outcome.vectors[0].length)],
    ["Tokens", whole(outcome.tokens)],
    ["Cut", cutWords(outcome.cut)],
    ["Time", duration(outcome.milliseconds / 1000)],
  ];
  return make("section", { class: "card result", "aria-labelledby": `result-${side.name}` },
    make("h2", { id: `result-${side.name}` }, isCompared && `${side.name}: `, model, taskType && make("small", { class: "soft" }, ` ${taskType}`)),
    make("p", { class: "soft weights" }, outcome.weights),
    make("dl", { class: "facts" }, ...facts.map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    cut.length > 0 && make("p", { class: "notice warn" },
      `${counted(cut.length, "text is", "texts are")} longer than the model takes: the end was cut off.`),
    make("div", { class: "views" },
      make("div", {}, make("h3", {}, "Similarity"),
        heatMap(matrix, texts, `Cosine similarity of ${counted(texts.length, "text")}`)),
      make("div", {}, make("h3", {}, "In two dimensions"), picture(points, share, texts)),
      make("div", { class: "nearest" }, make("h3", {}, "Nearest pairs"), pairList(matrix, texts))),
  );
}

/** @param {number[]|null} cut */
function cutWords(cut) {
  if (cut === null) return "not said";
  return cut.length ? cut.map((index) => index + 1).join(", ") : "none";
}

/**
 * @param {number[][]} matrix
 * @param {string[]} texts
 */
function pairList(matrix, texts) {
  const pairs = nearestPairs(matrix, PAIRS);
  if (pairs.length === 0) return make("p", { class: "soft" }, "One text has no pairs.");
  return make("ol", { class: "pairs" }, ...pairs.map(({ first, second, score }) => make("li", {},
    make("span", { class: "score" }, decimals(score, 3)),
    make("span", { class: "bar", style: { "--share": String(Math.max(0, score)) } }),
    make("span", { class: "pair" }, make("span", {}, `${first + 1}. ${texts[first]}`),
      make("span", {}, `${second + 1}. ${texts[second]}`)))));
}

/**
 * @param {ReturnType<typeof createSide>} side
 * @param {string[]} texts
 * @returns {import("./snippets.js").Call}
 */
function callOf(side, texts) {
  return { base: BASE.replace(/\/$/, ""), asksForKey: key() !== "", texts, ...side.options() };
}

/** @param {() => import("./snippets.js").Call} call what the program does */
function createProgram(call) {
  const code = make("code");
  const copy = make("button", { type: "button", class: "quiet" }, "Copy");
  const language = make("select", { id: "language", on: { change: () => refresh() } },
    ...Object.keys(SNIPPETS).map((name) => make("option", {}, name)));
  copy.addEventListener("click", () => copyText(code.textContent, copy));
  function refresh() {
    code.textContent = SNIPPETS[language.value](call());
  }
  return {
    refresh,
    element: make("section", { class: "card", "aria-labelledby": "program" },
      make("div", { class: "row" }, make("h2", { id: "program" }, "In your program"),
        make("label", { class: "inline push" }, make("span", { class: "hidden" }, "Language"), language), copy),
      make("pre", { class: "program", tabIndex: 0, "aria-labelledby": "program" }, code)),
  };
}
