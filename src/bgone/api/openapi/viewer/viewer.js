// The description of the API, for people: routes at the left, one provider's at a time in the middle.

import { byId, made, say } from "../console/dom.js";
import { curl, follow, inWords, operations, searchable } from "./reading.js";

let told; // the document
let routes = [];

const anchor = (tag, route) => `#/${tag}/${route ? route.id : ""}`;
const verb = (method) => made("span", { class: `verb ${method}` }, method.toUpperCase());

// --- the list ------------------------------------------------------------------------------------------------------

function list() {
  const wanted = byId("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const current = place();
  let count = 0;
  const groups = told.tags.map((tag) => {
    const found = routes.filter((one) => one.tags.includes(tag.name) && wanted.every((word) => one.text.includes(word)));
    count += found.length;
    const isOpen = wanted.length > 0 || tag.name === current.tag;
    const links = found.map((one) =>
      made("a", { href: anchor(tag.name, one), "aria-current": one.id === current.id && tag.name === current.tag ? "true" : false },
        verb(one.method), one.path));
    const all = made("a", { href: anchor(tag.name), "aria-current": tag.name === current.tag && !current.id ? "true" : false }, "all of them");
    return found.length ? made("details", { open: isOpen }, made("summary", {}, tag.description), all, ...links) : "";
  });
  byId("list").replaceChildren(...groups);
  if (wanted.length) {
    say(`${count} routes found`);
    if (!count) byId("list").replaceChildren(made("p", { class: "muted small" }, "Nothing is called so."));
  }
}

// --- one provider's routes -----------------------------------------------------------------------------------------

function place() {
  const [, tag, id] = decodeURIComponent(location.hash).split("/");
  return { tag: told.tags.some((one) => one.name === tag) ? tag : "", id: id ?? "" };
}

function show() {
  const { tag, id } = place();
  const chosen = told.tags.find((one) => one.name === tag);
  const shown = routes.filter((one) => one.tags.includes(tag));
  byId("main").replaceChildren(...(chosen ? [made("h1", {}, chosen.description), only(chosen), ...shown.map(panel)] : about()));
  document.title = chosen ? `${chosen.description}: bgone's API` : "bgone: the API";
  list();
  const target = id && document.getElementById(id);
  if (target) {
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  } else if (chosen) scrollTo(0, 0);
}

function about() {
  const words = told.info.description.trim().replaceAll(/(?<!\n)\n(?!\n)/g, " ");
  const rows = told.tags.map((tag) => {
    const count = routes.filter((one) => one.tags.includes(tag.name)).length;
    return made("a", { class: "panel", href: anchor(tag.name) }, made("h2", {}, tag.description), made("p", { class: "muted small" }, count === 1 ? "1 route" : `${count} routes`));
  });
  const hooks = Object.keys(told.webhooks ?? {}).length;
  return [
    made("h1", {}, `${told.info.title} ${told.info.version}`),
    made("p", { class: "about" }, ...withCode(words)),
    made("div", { class: "grid" }, ...rows),
    made("p", { class: "muted small" }, `${Object.keys(told.paths).length} paths, every spelling counted, and ${hooks} webhooks stand in `, made("a", { href: "openapi.json" }, "openapi.json"), "."),
  ];
}

/** What stands between backticks, as code. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? made("code", {}, part) : part));
}

function only(tag) {
  const prefixed = (path) => path.startsWith(`/${tag.name}/`);
  const isDialect = routes.some((one) => one.tags.includes(tag.name) && one.also.some(prefixed));
  return isDialect ? made("p", { class: "small" }, made("a", { href: `openapi/${tag.name}.json` }, "The description of this API alone")) : "";
}

function panel(route) {
  const { operation } = route;
  const fields = membersOf(operation);
  const all = (operation.parameters ?? []).map((one) => follow(told, one));
  const parameters = all.filter((one) => !fields.has(one.name));
  return made("article", { class: "panel", id: route.id, tabindex: "-1", "aria-label": `${route.method} ${route.path}` },
    made("h2", { class: "route" }, verb(route.method), route.path),
    made("p", {}, operation.summary),
    operation.description ? made("p", { class: "small muted" }, operation.description) : "",
    route.also.length ? made("p", { class: "also" }, "Also ", ...route.also.map((path) => made("code", {}, path))) : "",
    copyable(curl(told, route)),
    ...(parameters.length ? [made("h3", {}, "Parameters"), table(parameters.map((one) => ({ ...one, place: one.in })))] : []),
    ...bodies(operation, fields, parameters.length < all.length),
    made("h3", {}, "Answers"),
    ...Object.entries(operation.responses).map(([status, response]) => answer(status, follow(told, response))),
  );
}

function copyable(text) {
  const button = made("button", { type: "button", class: "button small" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      say("Copied");
    } catch { // plain http of another machine: browsers refuse
      getSelection().selectAllChildren(button.previousElementSibling);
      say("Selected: copy it with the keyboard");
    }
  });
  return made("div", { class: "copy-box" }, made("pre", { class: "code", tabindex: "0" }, text), button);
}

// --- what is sent --------------------------------------------------------------------------------------------------

/** Forms and JSON differ in their files alone: one table tells all, and who carries what. */
function membersOf(operation) {
  const fields = new Map();
  for (const [media, { schema }] of Object.entries(follow(told, operation.requestBody).content ?? {})) {
    const whole = follow(told, schema);
    for (const [name, part] of Object.entries(whole.properties ?? {})) {
      const known = fields.get(name) ?? { name, schema: part, media: [] };
      known.media.push(media);
      known.required ||= (whole.required ?? []).includes(name);
      known.oneOf ||= (whole.oneOf ?? []).some((one) => one.required.includes(name));
      fields.set(name, known);
    }
  }
  return fields;
}

function bodies(operation, fields, inQuery) {
  const kinds = Object.entries(follow(told, operation.requestBody).content ?? {});
  if (!kinds.length) return [];
  const shapes = kinds.filter(([, { schema }]) => follow(told, schema).properties).map(([media]) => media);
  const rows = [...fields.values()].map((one) => ({
    ...one,
    place: one.media.length === shapes.length ? "" : one.media.map((media) => media.split("/")[1].replace("x-www-form-", "").replace("form-data", "multipart")).join(", "),
  }));
  return [
    made("h3", {}, "Body"),
    made("p", { class: "small words" }, ...kinds.map(([media]) => made("code", {}, media))),
    inQuery ? made("p", { class: "small muted" }, "Where the body is the picture itself, the options stand in the query.") : "",
    rows.some((row) => row.oneOf) ? made("p", { class: "small muted" }, "Exactly one of the fields that are marked ", made("span", { class: "need" }, "one"), " is sent.") : "",
    rows.length ? table(rows) : "",
  ];
}

function table(rows) {
  const cells = rows.map((row) => {
    const { type, words, more } = inWords(told, row.schema);
    const said = row.description ?? follow(told, row.schema).description ?? "";
    const mark = row.required ? "needed" : row.oneOf ? "one" : "";
    return made("tr", {},
      made("td", {}, made("code", {}, row.name), mark ? made("span", { class: "need" }, mark) : ""),
      made("td", { class: "words" }, words.length ? "" : type, more ? ` ${more}` : "", ...words.map((word) => made("code", {}, String(word))), row.place ? made("div", { class: "muted small" }, row.place) : ""),
      made("td", {}, words.length && !said.includes(". ") ? "" : said));
  });
  const head = ["Name", "Value", "What"].map((word) => made("th", { scope: "col" }, word));
  return made("div", { class: "table-box", tabindex: "0", role: "group", "aria-label": "Fields" },
    made("table", { class: "table fields-table" }, made("thead", {}, made("tr", {}, ...head)), made("tbody", {}, ...cells)));
}

// --- what is answered ----------------------------------------------------------------------------------------------

function answer(status, response) {
  const tone = status < "3" ? "good" : status < "5" ? "warn" : "bad";
  const headers = Object.keys(response.headers ?? {});
  const parts = Object.entries(response.content ?? {}).flatMap(([media, content]) => shownContent(media, content));
  return made("details", { class: "answer" },
    made("summary", {}, made("span", { class: `badge ${tone}` }, status), Object.keys(response.content ?? {}).join(", ") || "no body"),
    made("p", { class: "small" }, response.description),
    headers.length ? made("p", { class: "small muted words" }, "Headers ", ...headers.map((name) => made("code", {}, name))) : "",
    ...parts);
}

function shownContent(media, content) {
  const schema = follow(told, content.schema);
  if (schema.format === "binary") return [];
  const examples = content.examples ? Object.values(content.examples).map((one) => one.value) : content.example ? [content.example] : [];
  const [first] = examples;
  return first === undefined ? [] : [made("pre", { class: "code", tabindex: "0", "aria-label": `Example, ${media}` }, JSON.stringify(first, null, 2))];
}

// --- the page ------------------------------------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
const showTheme = () => byId("theme").setAttribute("aria-pressed", isDark());
byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    byId("search").focus();
  } else if (event.key === "Escape" && event.target === byId("search")) {
    byId("search").value = "";
    list();
  }
});

try {
  const answered = await fetch("openapi.json");
  if (!answered.ok) throw new Error(`HTTP ${answered.status}`);
  told = await answered.json();
  routes = operations(told).map((one) => ({ ...one, text: searchable(told, one) }));
  routes.sort((one, other) => (one.method === "post" ? 0 : 1) - (other.method === "post" ? 0 : 1)); // pictures first
  byId("search").addEventListener("input", list);
  addEventListener("hashchange", show);
  show();
} catch (error) {
  byId("main").replaceChildren(made("p", { class: "notice bad", role: "alert" }, `The description could not be read: ${error.message}.`));
}
