// The page: which view is shown, with whose key, in which light.

import { byId, made, say, tell } from "../dom.js";
import * as accounts from "./accounts.js";
import { Refusal, call, forgetNames, useKey } from "./call.js";
import * as jobs from "./jobs.js";
import * as keys from "./keys.js";
import * as overview from "./overview.js";
import { button } from "./parts.js";
import * as usage from "./usage.js";
import * as webhooks from "./webhooks.js";

const POLL_MS = 2000;
const VIEWS = { overview, accounts, keys, usage, jobs, webhooks };
const view = byId("view");
let visit = new AbortController();
let isOpen = false; // a key has been accepted

// --- views -----------------------------------------------------------------------------------------------------------

/** What the address names: #/accounts/acc_1?offset=50. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id = ""] = path.split("/").map(decoded);
  return { name: name in VIEWS ? name : "overview", id, params: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Show the view that the address names.
 * @param {"title"|"same"|"nothing"} focus Where the focus goes: to the view's title, or where it was.
 */
async function go(focus) {
  if (!isOpen) return;
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  const { name, id, params } = place();
  for (const one of byId("views").children) {
    one.removeAttribute("aria-current");
    if (one.hash !== `#/${name}`) continue;
    one.setAttribute("aria-current", "page");
    one.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone they do not all fit
  }
  view.setAttribute("aria-busy", "true");
  const held = focus === "same" ? document.activeElement?.dataset.focus : null;
  try {
    const again = () => go("same");
    const shown = await VIEWS[name].show({ id, params, signal, again });
    if (signal.aborted) return;
    const refresh = button("Refresh", again, { class: "button small quiet", "data-focus": "refresh" });
    const title = fill(shown.title, [...(shown.tools ?? []), ...(shown.every ? [] : [refresh])], shown.body);
    const target = focus === "title" ? title : focus === "same" ? (held && view.querySelector(`[data-focus="${CSS.escape(held)}"]`)) || title : null;
    target?.focus({ preventScroll: focus === "same" });
    if (shown.every) beat(shown.every, signal);
  } catch (error) {
    if (error.name !== "AbortError" && !signal.aborted) complain(error, name);
  }
}

function fill(words, tools, body) {
  const title = made("h1", { tabindex: -1 }, words);
  view.replaceChildren(made("div", { class: "row between head" }, title, made("div", { class: "row" }, ...tools)), ...body.filter(Boolean));
  view.removeAttribute("aria-busy");
  document.title = `${words} · bgone admin`;
  return title;
}

function complain(error, name) {
  if (!(error instanceof Refusal)) throw error;
  if (error.isOfKey) return lock(error.message);
  const words = made("p", { class: "notice bad", role: "alert" }, error.message);
  fill(name[0].toUpperCase() + name.slice(1), [button("Try again", () => go("title"), { class: "button small primary" })], [words]).focus();
}

/** Look again and again while the page is seen, until another view is opened. */
async function beat(look, signal) {
  const late = made("p", { class: "notice bad", role: "alert", hidden: true });
  view.firstElementChild.after(late);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    if (signal.aborted) return;
    try {
      await look();
      tell(late, "");
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refusal)) throw error;
      if (error.isOfKey) return lock(error.message);
      if (late.hidden) tell(late, `${error.message} What you see is old; asking again every two seconds.`);
    }
  }
}

addEventListener("hashchange", () => {
  if (location.hash === "" || location.hash.startsWith("#/")) go("title");
});

// A place in the page, not a view: the address stays.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});

// --- the key ---------------------------------------------------------------------------------------------------------

/** Forget the key and everything that it showed. */
function lock(words = "") {
  visit.abort();
  isOpen = false;
  useKey("");
  forgetNames();
  for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
  view.replaceChildren();
  document.title = "bgone admin";
  for (const id of ["view", "views", "lock"]) byId(id).hidden = true;
  byId("key").hidden = false;
  tell(byId("key-wrong"), words);
  byId("key-value").focus();
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = byId("key-value");
  const use = byId("key-use");
  use.disabled = true;
  try {
    useKey(field.value.trim());
    await call("GET", "server");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    lock(error.message);
    field.select();
    return;
  } finally {
    use.disabled = false;
  }
  field.value = "";
  isOpen = true;
  byId("key").hidden = true;
  for (const id of ["view", "views", "lock"]) byId(id).hidden = false;
  say("The key is accepted");
  go("title");
});

byId("lock").addEventListener("click", () => {
  lock();
  say("The key is forgotten");
});

// --- the light -------------------------------------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : dark.matches);
const showTheme = () => byId("theme").setAttribute("aria-pressed", isDark());
byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

if (document.body.dataset.accounts === "none") byId("nothing").hidden = false;
else {
  byId("key").hidden = false;
  byId("key-value").focus();
}
document.body.dataset.ready = "";
