// The page: its parts, put together.

import { byId, save, say, tell } from "./dom.js";
import { example } from "./example.js";
import { listen } from "./intake.js";
import { List } from "./list.js";
import { Options } from "./options.js";
import { Pictures, resultName, suffixOf } from "./pictures.js";
import { curl, javascript, python } from "./snippets.js";
import { Stage } from "./stage.js";
import { zip } from "./zip.js";

const REDRAW_MS = 350; // after the last change: a slider that is being moved asks once
const LANGUAGES = { curl, python, javascript };
const ADDRESS = new URL("cut/v1", document.baseURI).href;

const options = new Options(byId("options"));
const needsKey = document.body.dataset.keys === "needed";
const pictures = new Pictures({ maxBytes: Number(document.body.dataset.maxBytes), needsKey });
const stage = new Stage();
const list = new List({ pick: show, again: (picture) => pictures.again([picture], { first: true }), remove });
let selected = null;
let language = "curl";
let redraw = 0;

// --- pictures --------------------------------------------------------------------------------------------------------

function add(sources) {
  const fresh = pictures.add(sources);
  pick(fresh[0]);
  say(fresh.length === 1 ? `${fresh[0].name} added` : `${fresh.length} pictures added`);
}

function pick(picture) {
  selected = picture;
  if (picture && pictures.isStale(picture) && byId("live").checked) pictures.again([picture], { first: true });
  refresh();
}

/** Chosen in the list, which on a phone is below the stage. */
function show(picture) {
  pick(picture);
  byId("stage").scrollIntoView({ block: "nearest" });
}

function remove(picture) {
  const index = pictures.all.indexOf(picture);
  pictures.remove(picture);
  if (selected === picture) pick(pictures.all[Math.min(index, pictures.all.length - 1)] ?? null);
  list.focusNear(index);
  say(`${picture.name} removed`);
}

function refresh() {
  const { all } = pictures;
  byId("pictures").hidden = all.length === 0;
  byId("intake").classList.toggle("slim", all.length > 0);
  byId("intake-title").textContent = all.length ? "Add more pictures" : "Remove the background";
  list.show(pictures, selected);
  stage.show(selected);
  heads();
  snippet();
}

function heads() {
  const { all } = pictures;
  const done = all.filter((one) => one.state === "done").length;
  const stale = all.filter((one) => pictures.isStale(one)).length;
  byId("pictures-title").textContent = all.length === done ? `Pictures (${done})` : `Pictures (${done} of ${all.length} ready)`;
  byId("download-all").hidden = all.length < 2 || done === 0;
  byId("update").hidden = stale === 0;
  byId("update").textContent = stale === 1 ? "Update 1 picture" : `Update ${stale} pictures`;
}

pictures.addEventListener("change", ({ detail: picture }) => {
  if (picture === null) return refresh();
  list.update(picture, pictures, selected);
  heads();
  if (picture === selected) {
    stage.show(picture);
    complain();
    if (picture.state === "done") snippet();
  }
  announce(picture);
});

function announce(picture) {
  if (picture.state === "failed") say(`${picture.name}: ${picture.note}`);
  if (picture.state !== "done") return;
  const ready = pictures.all.filter((one) => one.state === "done").length;
  say(pictures.all.length === 1 ? `${picture.name} is ready` : `${picture.name} is ready, ${ready} of ${pictures.all.length}`);
}

function complain() {
  const problem = selected?.state === "failed" ? selected.problem : null;
  options.complain(problem?.option, problem?.message);
}

byId("update").addEventListener("click", () => pictures.again(pictures.all.filter((one) => pictures.isStale(one))));
byId("clear").addEventListener("click", () => {
  pictures.clear();
  pick(null);
  byId("choose").focus();
  say("All pictures removed");
});

byId("download-all").addEventListener("click", async () => {
  const button = byId("download-all");
  button.disabled = true;
  button.textContent = "Packing …";
  try {
    pictures.again(pictures.all.filter((one) => pictures.isStale(one)));
    await pictures.settled();
    const done = pictures.all.filter((one) => one.result).map(({ result }) => result);
    if (done.length) save(await zip(done), "cutouts.zip");
    say(`${done.length} pictures in one file`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    tell(byId("intake-wrong"), error.message);
  } finally {
    button.disabled = false;
    button.textContent = "Download all (ZIP)";
  }
});

// --- options ---------------------------------------------------------------------------------------------------------

options.addEventListener("change", () => {
  options.complain();
  pictures.ask(options.read());
  clearTimeout(redraw);
  if (byId("live").checked) redraw = setTimeout(redrawSelected, REDRAW_MS);
});

function redrawSelected() {
  if (selected && (pictures.isStale(selected) || pictures.isBehind(selected))) pictures.again([selected], { first: true });
}

byId("live").addEventListener("change", () => {
  if (byId("live").checked) redrawSelected();
});

// --- the same in a program -------------------------------------------------------------------------------------------

function snippet() {
  const asked = options.read();
  const format = asked.find(([name]) => name === "format")?.[1] ?? "png";
  const source = selected ?? { name: "photo.jpg" };
  const suffix = format === "auto" ? suffixOf(selected?.result?.blob.type ?? "image/png") : format;
  const into = resultName(source.name, suffix);
  const hasKey = pictures.hasKey || needsKey;
  byId("snippet").textContent = LANGUAGES[language]({ address: ADDRESS, source, asked, hasKey, into });
}

const tabs = [...document.querySelectorAll("[role=tab]")];
for (const [index, tab] of tabs.entries()) {
  tab.addEventListener("click", () => speak(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    speak(next);
    next.focus();
  });
}

function speak(tab) {
  language = tab.id.replace("tab-", "");
  for (const one of tabs) {
    one.setAttribute("aria-selected", one === tab);
    one.tabIndex = one === tab ? 0 : -1;
  }
  byId("snippet").setAttribute("aria-labelledby", tab.id);
  snippet();
}

byId("copy").addEventListener("click", async () => {
  const text = byId("snippet").textContent;
  try {
    await navigator.clipboard.writeText(text);
    said("Copied");
  } catch {
    // Over plain http from another machine browsers give no clipboard: the text is selected for the user's own copy.
    getSelection().selectAllChildren(byId("snippet"));
    said("Selected: now copy");
  }
});

function said(words) {
  byId("copy").textContent = words;
  say(words);
  setTimeout(() => (byId("copy").textContent = "Copy"), 2000);
}

// --- the key and the light -------------------------------------------------------------------------------------------

function askKey(words = "") {
  tell(byId("key-wrong"), words);
  byId("key").hidden = false;
  byId("key-open").hidden = true;
}

pictures.addEventListener("key", ({ detail: words }) => {
  askKey(pictures.hasKey ? words : "");
  byId("key-value").focus();
  say(`${words} Enter a key to go on.`);
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("key-value");
  pictures.useKey(field.value.trim());
  field.value = "";
  byId("key").hidden = true;
  byId("key-open").hidden = false;
  byId("choose").focus();
  say("The key is used from now on");
  snippet();
});
byId("key-open").addEventListener("click", () => {
  askKey();
  byId("key-value").focus();
});
if (needsKey) {
  askKey();
  byId("live").checked = false; // each drawing may cost a credit
}

const dark = matchMedia("(prefers-color-scheme: dark)");
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}
function showTheme() {
  byId("theme").setAttribute("aria-pressed", isDark());
}
byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

listen(add);
byId("example").addEventListener("click", async () => {
  const file = await example();
  add([{ file, name: file.name }]);
});
pictures.ask(options.read());
document.body.dataset.ready = "";
