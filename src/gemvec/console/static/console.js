// The frame around the pages: navigation, theme, key, and whether the server answers.

import { askJson, events, key, setKey } from "./api.js";
import { createBatchesPage } from "./batches.js";
import { make } from "./elements.js";
import { createFilesPage } from "./files.js";
import { askForKey } from "./key.js";
import { createKeysPage } from "./keys.js";
import { createModelsPage } from "./models.js";
import { createNowPage } from "./now.js";
import { createPlaygroundPage } from "./playground.js";
import { createSearchPage } from "./search.js";

/**
 * @typedef {object} Page
 * @property {HTMLElement} element
 * @property {() => void} show called when it comes into view, and when the key changes while it is there
 * @property {() => void} [hide] called when it leaves; it must not ask the server until it is shown again
 */

/** @type {Record<string, {title: string, create: () => Page}>} */
const PAGES = {
  playground: { title: "Playground", create: createPlaygroundPage },
  search: { title: "Search", create: createSearchPage },
  batches: { title: "Batches", create: createBatchesPage },
  files: { title: "Files", create: createFilesPage },
  models: { title: "Models", create: createModelsPage },
  now: { title: "Now", create: createNowPage },
  keys: { title: "Keys", create: createKeysPage },
};

const HEALTH_MILLISECONDS = 5000;

const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const main = byId("page");

/** @type {Map<string, Page>} */
const opened = new Map();
let current = "";

function route() {
  const wanted = location.hash.replace(/^#\/?/, "");
  const name = Object.hasOwn(PAGES, wanted) ? wanted : "playground";
  if (name === current) return;
  const before = opened.get(current);
  before?.hide?.();
  before?.element.remove();
  if (!opened.has(name)) opened.set(name, PAGES[name].create());
  const page = /** @type {Page} */ (opened.get(name));
  main.append(page.element);
  document.title = `${PAGES[name].title} - gemvec`;
  for (const link of byId("pages").children) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (current) main.focus({ preventScroll: true });
  current = name;
  scrollTo(0, 0);
  page.show();
}

function showLinks() {
  byId("pages").append(
    ...Object.entries(PAGES).map(([name, { title }]) => make("a", { href: `#/${name}`, data: { page: name } }, title)),
  );
}

function followTheme() {
  const choice = byId("theme");
  choice.value = document.documentElement.dataset.theme ?? "";
  choice.addEventListener("change", () => {
    if (choice.value) document.documentElement.dataset.theme = choice.value;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem("gemvec-theme", choice.value);
    } catch {
      // It lasts until the page is left.
    }
  });
}

function followKey() {
  const button = byId("key");
  const label = () => {
    button.textContent = key() ? "Change the key" : "Set a key";
  };
  const change = async (/** @type {string} */ reason) => {
    const given = await askForKey(reason);
    if (given === null) return;
    setKey(given);
    label();
    opened.get(current)?.show();
  };
  label();
  button.addEventListener("click", () => change(""));
  events.addEventListener("key", (event) => change(/** @type {CustomEvent} */ (event).detail));
}

function followHealth() {
  const state = byId("health");
  const notice = byId("dead");
  const show = (/** @type {string} */ kind, /** @type {string} */ words) => {
    state.dataset.kind = kind;
    const place = state.querySelector(".words");
    if (place.textContent !== words) place.textContent = words;
  };
  let answered = true;
  events.addEventListener("answer", (event) => {
    const answers = /** @type {CustomEvent} */ (event).detail;
    notice.hidden = answers;
    notice.textContent = answers ? "" : "The server does not answer. The console goes on trying.";
    if (!answers) show("bad", "No answer");
    else if (!answered) {
      check();
      opened.get(current)?.show();
    }
    answered = answers;
  });
  const check = async () => {
    try {
      const { storage } = await askJson("readyz");
      show(storage ? "warn" : "good", storage ? `Storage: ${storage}` : "Ready");
    } catch (failure) {
      if (!(/** @type {any} */ (failure).isDead)) show("warn", /** @type {Error} */ (failure).message);
    }
  };
  check();
  setInterval(() => document.hidden || check(), HEALTH_MILLISECONDS);
}

async function showVersion() {
  const { version } = await askJson("", { headers: { accept: "application/json" } });
  byId("version").textContent = version;
}

function skipToPage(/** @type {Event} */ event) {
  event.preventDefault(); // the address after # names the page
  main.focus();
}

document.querySelector(".skip")?.addEventListener("click", skipToPage);
followTheme();
followKey();
showLinks();
addEventListener("hashchange", route);
route();
followHealth();
showVersion().catch(() => {}); // a dead server is said by its health
