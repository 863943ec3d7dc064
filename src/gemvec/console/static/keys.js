// The API keys and what each has used, for administrators. Unless the server allows it, keys are made and changed on the
// command line, where the data folder is: a key that may look, such as that of a monitor, must not make others.

import { askJson } from "./api.js";
import { createChart } from "./chart.js";
import { copyText } from "./clipboard.js";
import { field, make, tableRow } from "./elements.js";
import { moment, whole } from "./format.js";
import { createLimitFields, describeLimits } from "./keylimits.js";
import { changeKey } from "./newkey.js";
import { say } from "./notice.js";
import { createLoop } from "./poll.js";
import { askServed } from "./served.js";

const AGAIN_MILLISECONDS = 5000;
const HEADS = ["Name", "State", "Models", "Limits", "Expires", "Calls", "Texts", "Tokens", "Last used"];
/** @type {Record<string, string>} */
const VERBS = { create: "Make the key", set: "Change the limits", rotate: "Replace the key", revoke: "Revoke the key", delete: "Delete the key" };
const NUMBERS = new Set(["Calls", "Texts", "Tokens"]);

/**
 * @typedef {object} KeyInUse
 * @property {string} name
 * @property {string} state active, revoked or expired
 * @property {boolean} [isAdmin]
 * @property {string[]} [models] that it may use; all if absent
 * @property {import("./keylimits.js").Limits} [limits] the server's own where one is absent
 * @property {string} [expireTime]
 * @property {string} [calls]
 * @property {string} [texts]
 * @property {string} [tokens]
 * @property {string} [lastUseTime]
 */

/** @returns {import("./console.js").Page} */
export function createKeysPage() {
  const body = make("tbody", { id: "keys" });
  const trouble = make("div", { class: "trouble" });
  const empty = make("p", { class: "soft empty", hidden: true }, "This server has no named keys.");
  const heads = HEADS.map((name) => make("th", { scope: "col", class: NUMBERS.has(name) ? "number" : "" }, name));
  const table = make("table", { class: "plain stacked" }, make("thead", {}, make("tr", {}, ...heads)), body);
  const list = make("div", { class: "card scroll", tabIndex: 0, role: "region", "aria-label": "Keys", hidden: true }, table, empty);
  const command = createCommand(() => loop.start());
  const use = createUse();
  command.element.hidden = true;
  const loop = createLoop(async () => {
    try {
      const { keys = [], mayChange = false } = await askJson("console/data/keys");
      body.replaceChildren(...keys.map(rowOf));
      command.offer(keys, mayChange);
      await use.update(keys.map((/** @type {KeyInUse} */ { name }) => name));
      table.hidden = keys.length === 0;
      empty.hidden = keys.length > 0;
      list.hidden = command.element.hidden = false;
      say(trouble, null);
    } catch (failure) {
      list.hidden = command.element.hidden = true;
      say(trouble, failure);
    }
    return AGAIN_MILLISECONDS;
  });
  return {
    element: make("div", { class: "stack" }, make("h1", {}, "Keys"), trouble, list, use.element, command.element),
    show() {
      command.show();
      loop.start();
    },
    hide: loop.stop,
  };
}

/** Make the charts of what one key has used on each of the last days. */
function createUse() {
  const chosen = make("select", { name: "used-key" });
  const charts = ["calls", "texts", "tokens"].map((count) => ({ count, ...createChart(`${count} a day`, whole) }));
  const element = make("section", { class: "card", "aria-labelledby": "use", hidden: true },
    make("h2", { id: "use" }, "Use in the last 90 days"), field("Of the key", chosen),
    make("div", { class: "charts" }, ...charts.map((chart) => chart.element)));
  async function draw() {
    const name = chosen.value;
    const { days = [] } = await askJson(`console/data/keys:usage?name=${encodeURIComponent(name)}`);
    if (name !== chosen.value) return; // another key was chosen meanwhile, which is drawn for itself
    for (const { count, update } of charts) {
      update([{ name: "today", values: days.map((/** @type {Record<string, string>} */ day) => Number(day[count] ?? "0")) }]);
    }
  }
  chosen.addEventListener("change", () => draw().catch(() => {})); // the next look at the list says what is wrong
  return {
    element,
    /** @param {string[]} names of the keys there are */
    async update(names) {
      element.hidden = names.length === 0;
      offerNames(chosen, names);
      if (names.length) await draw();
    },
  };
}

/**
 * Offer the names of the keys there are; the chosen one stays chosen while it is there.
 *
 * @param {HTMLSelectElement} chosen
 * @param {string[]} names
 */
function offerNames(chosen, names) {
  if ([...chosen.options].map(({ value }) => value).join("\n") === names.join("\n")) return;
  const before = chosen.value;
  chosen.replaceChildren(...names.map((name) => make("option", {}, name)));
  if (names.includes(before)) chosen.value = before;
}

/** @param {KeyInUse} key */
function rowOf(key) {
  const number = (/** @type {string|undefined} */ value) => make("td", { class: "number" }, whole(Number(value ?? "0")));
  return tableRow(HEADS,
    make("th", { scope: "row" }, make("strong", {}, key.name), key.isAdmin && make("small", { class: "soft" }, " admin")),
    make("td", {}, make("span", { class: "badge", data: { state: key.state } }, key.state)),
    make("td", {}, key.models?.join(", ") || "all"),
    make("td", {}, describeLimits(key.limits ?? {}).join(", ") || "the server's"),
    make("td", {}, key.expireTime ? moment(key.expireTime) : "never"),
    number(key.calls), number(key.texts), number(key.tokens),
    make("td", {}, key.lastUseTime ? moment(key.lastUseTime) : "never"));
}

/**
 * Make the form that makes or changes a key where the server allows it, and writes the command that does so everywhere.
 *
 * @param {() => void} onChange called after a key was made or changed
 */
function createCommand(onChange) {
  const verb = make("select", { name: "verb" }, ...Object.keys(VERBS).map((each) => make("option", {}, each)));
  const newName = make("input", { type: "text", name: "name", autocomplete: "off" });
  const known = make("select", { name: "key" });
  const model = make("select", { name: "key-model" });
  const limits = createLimitFields();
  /** @type {KeyInUse[]} */
  let keys = [];
  const life = make("input", { type: "text", name: "life", placeholder: "never", autocomplete: "off" });
  const overlap = make("input", { type: "text", name: "overlap", placeholder: "not at all", autocomplete: "off" });
  const admin = make("input", { type: "checkbox", name: "admin" });
  const trouble = make("div", { class: "trouble" });
  const run = make("button", { type: "submit", class: "primary" }, "Do it");
  const where = make("p", { class: "soft about" });
  const code = make("code");
  const copy = make("button", { type: "button", class: "quiet" }, "Copy");
  const newField = field("Name", newName);
  const knownField = field("Key", known);
  const onlyNew = [field("Model", model),
    make("label", { class: "check" }, admin, "Admin: may see the use of all keys")];
  const lifeField = field("Expires in", life, "12h, 30d or 52w");
  const overlapField = field("The old key works for", overlap, "12h or 30d");
  copy.addEventListener("click", () => copyText(code.textContent, copy));

  const limitsNow = () => keys.find(({ name }) => name === known.value)?.limits ?? {};
  /** whose limits the fields show; "" for those of a new key */
  let shownOf = "";

  /** Show the chosen key's limits; what was typed stays while it is for the same key. */
  function showLimits() {
    const name = verb.value === "set" ? known.value : "";
    if (name === shownOf && (!name || limits.isChanged())) return;
    limits.fill(name ? limitsNow() : {});
    shownOf = name;
  }

  function refresh() {
    showLimits();
    const isNew = verb.value === "create";
    newField.hidden = !isNew;
    knownField.hidden = isNew;
    for (const each of onlyNew) each.hidden = !isNew;
    for (const each of limits.elements) each.hidden = !isNew && verb.value !== "set";
    lifeField.hidden = !isNew && verb.value !== "rotate";
    overlapField.hidden = verb.value !== "rotate";
    life.placeholder = isNew ? "never" : "as before";
    run.textContent = VERBS[verb.value];
    run.disabled = isNew && !newName.value.trim();
    const options = isNew ? [model.value && `--model ${quoted(model.value)}`, admin.checked && "--admin"] : [];
    if (isNew || verb.value === "set") options.push(...limits.flags());
    if (!lifeField.hidden && life.value) options.push(`--expires-in ${quoted(life.value.trim())}`);
    if (!overlapField.hidden && overlap.value) options.push(`--overlap ${quoted(overlap.value.trim())}`);
    const name = isNew ? newName.value.trim() || "NAME" : known.value;
    code.textContent = ["gemvec keys", verb.value, quoted(name), ...options.filter(Boolean)].join(" ");
  }

  async function change(/** @type {Event} */ event) {
    event.preventDefault();
    if (run.hidden) return;
    const name = shownOf, sent = limits.shown();
    try {
      await changeKey({
        verb: verb.value, name: verb.value === "create" ? newName.value.trim() : known.value, life: life.value.trim(),
        overlap: overlap.value.trim(), model: model.value, isAdmin: admin.checked,
        limits: limits.over(verb.value === "set" ? limitsNow() : {}),
      });
      if (name && name === shownOf) limits.keep(sent);
      say(trouble, null);
      onChange();
    } catch (failure) {
      say(trouble, failure);
    }
  }

  return {
    element: make("form", { class: "card", "aria-labelledby": "change-keys", on: { input: refresh, submit: change } },
      make("h2", { id: "change-keys" }, "Make and change keys"), where,
      make("div", { class: "options" }, field("What to do", verb), newField, knownField, ...onlyNew, ...limits.elements, lifeField, overlapField),
      make("div", { class: "row command" }, run), trouble,
      make("div", { class: "row command" }, make("pre", { class: "program", tabIndex: 0, role: "region", "aria-label": "Command" }, code), copy)),
    /**
     * @param {KeyInUse[]} listed
     * @param {boolean} mayChange whether the server lets this caller change keys
     */
    offer(listed, mayChange) {
      keys = listed;
      const names = keys.map(({ name }) => name);
      run.hidden = !mayChange;
      where.textContent = mayChange ? "Here, or by the command below on the server's machine." :
        "On the server's machine, with the server's data folder. A running server notices it within a second.";
      offerNames(known, names);
      refresh();
    },
    async show() {
      refresh();
      const { names } = await askServed().catch(() => ({ names: [] })); // the list above says what is wrong
      model.replaceChildren(make("option", { value: "" }, "all"), ...names.map(({ name }) => make("option", {}, name)));
    },
  };
}

/** @param {string} word @returns {string} the word as a shell reads it */
function quoted(word) {
  return /^[\w.,:@%+-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
