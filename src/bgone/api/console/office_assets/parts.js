// What views are made of: heads, tables, pages of long lists, badges.

import { made } from "../dom.js";
import { moment } from "./words.js";

export const PAGE = 50;

const GOOD = ["active", "done", "delivered", "live", "valid"];
const BAD = ["barred", "failed", "revoked"];
const WARN = ["queued", "running", "waiting", "admin", "expired"];

/** A word with the colour of what it means. */
export function badge(word) {
  const kind = GOOD.includes(word) ? " good" : BAD.includes(word) ? " bad" : WARN.includes(word) ? " warn" : "";
  return made("span", { class: `badge${kind}` }, word);
}

/** A moment in the reader's time; the server's own spelling is its title. */
export function when(text, none = "") {
  return text ? made("time", { datetime: text, title: text, class: "number" }, moment(text)) : none;
}

/** An id: short to look at, whole for the eyes and for copying. */
export function code(text, shown = text) {
  return made("code", shown === text ? {} : { title: text }, shown);
}

export function button(words, onclick, attributes = {}) {
  return made("button", { type: "button", class: "button small", onclick, ...attributes }, words);
}

export function link(words, ...parts) {
  return made("a", { href: to(...parts) }, words);
}

/** The address of a view: to("accounts", id), to("jobs", {state: "failed"}). */
export function to(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const said = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value != null));
  return `#/${parts.map(encodeURIComponent).join("/")}${said.size ? `?${said}` : ""}`;
}

export function panel(title, ...children) {
  const tools = Array.isArray(children[0]) ? children.shift() : [];
  const head = made("div", { class: "panel-head" }, made("h2", {}, title), made("div", { class: "row" }, ...tools));
  return made("section", { class: "panel", "aria-label": title }, head, ...children);
}

export function figures(...pairs) {
  return made("div", { class: "figures" }, ...pairs.map(([words, value]) => made("div", { class: "figure" }, made("strong", {}, value), made("span", {}, words))));
}

/**
 * A table; on a phone its rows become cards. Roles are said, because another `display` would take them away.
 * @param {string} caption
 * @param {[string, (row: object) => Node|string|(Node|string)[], object?][]} columns Head, cell, and {number, unnamed}.
 * @param {object[]} rows
 * @param {string} none Said where there are no rows.
 * @param {{dense?: boolean}} how Dense: narrow enough to stay a table on a phone, without its second column.
 */
export function table(caption, columns, rows, none = "Nothing here yet.", { dense = false } = {}) {
  if (rows.length === 0) return made("p", { class: "muted none" }, none);
  const heads = columns.map(([name, , how = {}]) => made("th", { role: "columnheader", scope: "col", class: how.number ? "number" : "" }, how.unnamed ? made("span", { class: "unseen" }, name) : name));
  const lines = rows.map((row) =>
    made("tr", { role: "row" }, ...columns.map(([name, cell, how = {}]) => made("td", { role: "cell", class: how.number ? "number" : how.unnamed ? "tools" : "", "data-label": how.unnamed ? "" : name }, ...[cell(row)].flat()))),
  );
  return made("div", { class: "table-box", role: "region", "aria-label": caption, tabindex: 0 },
    made("table", { class: dense ? "table dense" : "table", role: "table" }, made("caption", { class: "unseen" }, caption),
      made("thead", { role: "rowgroup" }, made("tr", { role: "row" }, ...heads)),
      made("tbody", { role: "rowgroup" }, ...lines)));
}

/** Which part of a list is asked for: one more than is shown, to know whether there are others. */
export function pageOf(params) {
  const offset = Math.max(0, Number(params.get("offset")) || 0);
  return { limit: PAGE + 1, offset };
}

/** Links to what stands before and behind, where there is something. */
export function pager(found, params, ...place) {
  const { offset } = pageOf(params);
  if (offset === 0 && found <= PAGE) return "";
  const given = Object.fromEntries(params);
  const there = (at) => to(...place, { ...given, offset: at || "" });
  return made("nav", { class: "row pager", "aria-label": "Pages of the list" },
    offset > 0 ? made("a", { class: "button small", href: there(Math.max(0, offset - PAGE)) }, "Previous") : "",
    made("span", { class: "small muted number" }, `${offset + 1} to ${offset + Math.min(found, PAGE)}`),
    found > PAGE ? made("a", { class: "button small", href: there(offset + PAGE) }, "Next") : "");
}

/** Controls above a list; what is chosen goes into the address. */
export function filters(controls, ...place) {
  const form = made("form", { class: "row filters", role: "search" }, ...controls);
  const use = () => (location.hash = to(...place, Object.fromEntries(new FormData(form))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    use();
  });
  for (const select of form.querySelectorAll("select")) select.addEventListener("change", use);
  return form;
}

export function labelled(words, control) {
  return made("label", { class: "field inline" }, made("span", { class: "label" }, words), control);
}

/** A field for an account's name, with those that are known to choose from. */
export function accountField(names, value, attributes = {}) {
  const known = [...names.values()].map((name) => made("option", { value: name }));
  return [
    made("input", { name: "account", value, list: "account-names", autocomplete: "off", spellcheck: "false", placeholder: "all", ...attributes }),
    made("datalist", { id: "account-names" }, ...known),
  ];
}

/** A list to choose from: choice("state", ["", "all"], …). */
export function choice(name, chosen, ...options) {
  return made("select", { name }, ...options.map(([value, words]) => made("option", { value, selected: String(value) === String(chosen) }, words)));
}
