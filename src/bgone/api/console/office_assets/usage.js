// What keys did, day by day and dialect by dialect.

import { made, save } from "../dom.js";
import { accountNames, call, part } from "./call.js";
import { COLOURS, bars, roundTop } from "./charts.js";
import { accountField, badge, button, choice, code, figures, filters, labelled, panel, table } from "./parts.js";
import { credits, day, decimal, micros, whole } from "./words.js";

const PERIODS = [[7, "7 days"], [31, "31 days"], [92, "92 days"], [366, "366 days"]];
const MEASURES = {
  calls: ["Calls", (row) => row.calls, whole],
  credits: ["Credits", (row) => Number(row.credits), (sum) => credits(sum.toFixed(6))],
  failures: ["Failed calls", (row) => row.failures, whole],
  megapixels: ["Megapixels", (row) => row.pixels / 1e6, (sum) => (sum < 10 ? sum.toFixed(1) : whole(Math.round(sum)))],
};

export async function show({ params, signal }) {
  const account = params.get("account") ?? "";
  const days = Number(params.get("days")) || 31;
  const measure = params.get("measure") in MEASURES ? params.get("measure") : "calls";
  const since = new Date(Date.now() - (days - 1) * 86_400_000).toISOString().slice(0, 10);
  const path = account ? `accounts/${part(account)}/usage` : "usage";
  const [names, told] = await Promise.all([accountNames(signal), call("GET", path, { query: { since }, signal })]);
  const [input, known] = accountField(names, account);
  const controls = [
    labelled("Account", input), known,
    labelled("Period", choice("days", days, ...PERIODS)),
    labelled("Chart of", choice("measure", measure, ...Object.entries(MEASURES).map(([name, [words]]) => [name, words]))),
    made("button", { class: "button" }, "Show"),
  ];
  const rows = told.days;
  return {
    title: account ? `Usage of ${account}` : "Usage",
    tools: [button("Download CSV", () => download(account, path, since, rows), { "data-focus": "csv" })],
    body: [
      filters(controls, "usage"),
      figures(...totals(rows)),
      rows.length ? panel("Day by day", chart(told, measure)) : made("p", { class: "muted none" }, "No calls in this period."),
      ...(rows.length ? [panel("By API", byDialect(rows))] : []),
      ...(rows.length && account ? [panel("By key", byKey(rows))] : []),
    ],
  };
}

const sum = (rows, read) => rows.reduce((total, row) => total + read(row), 0);
const spent = (rows) => credits(decimal(rows.reduce((total, row) => total + micros(row.credits), 0n)));

function totals(rows) {
  return [
    ["calls", whole(sum(rows, (row) => row.calls))],
    ["of these failed", whole(sum(rows, (row) => row.failures))],
    ["credits", spent(rows)],
    ["megapixels", whole(Math.round(sum(rows, (row) => row.pixels) / 1e6))],
  ];
}

function groups(rows, read) {
  const found = new Map();
  for (const row of rows) found.set(read(row), [...(found.get(read(row)) ?? []), row]);
  return [...found].map(([name, of]) => ({ name, of }));
}

function chart({ since, until, days: rows }, measure) {
  const [title, read, words] = MEASURES[measure];
  const byUse = groups(rows, (row) => row.dialect).sort((one, other) => sum(other.of, read) - sum(one.of, read)).map(({ name }) => name);
  // One colour each, as far as they go; the last is for the rest.
  const legend = byUse.length > COLOURS ? [...byUse.slice(0, COLOURS - 1), "others"] : byUse;
  const slot = (dialect) => Math.min(byUse.indexOf(dialect), legend.length - 1);
  const days = [];
  for (let at = new Date(`${since}T00:00:00Z`); at <= new Date(`${until}T00:00:00Z`); at.setUTCDate(at.getUTCDate() + 1)) {
    const name = at.toISOString().slice(0, 10);
    const own = rows.filter((row) => row.day === name);
    const parts = legend.map((_, index) => sum(own.filter((row) => slot(row.dialect) === index), read));
    days.push({ name, label: day(name), parts, total: sum(own, read), tip: `${day(name)}: ${words(sum(own, read))}` });
  }
  const most = days.reduce((best, one) => (one.total > best.total ? one : best));
  const top = roundTop(most.total);
  const busy = days.filter(({ total }) => total > 0).reverse();
  return bars({
    title: `${title} per day`,
    words: `${title} per day from ${day(since)} to ${day(until)}: ${words(sum(rows, read))} in all, most on ${most.label} with ${words(most.total)}.`,
    days, legend, top, topWords: words(top),
    rows: table(`${title} per day`, [["Day", (one) => one.name], ...legend.map((name, index) => [name, (one) => words(one.parts[index]), { number: true }])], busy, "None."),
  });
}

const COUNTS = [
  ["Calls", ({ of }) => whole(sum(of, (row) => row.calls)), { number: true }],
  ["Failed", ({ of }) => whole(sum(of, (row) => row.failures)), { number: true }],
  ["Credits", ({ of }) => spent(of), { number: true }],
  ["Megapixels", ({ of }) => MEASURES.megapixels[2](sum(of, (row) => row.pixels) / 1e6), { number: true }],
];

function byDialect(rows) {
  return table("Usage by API", [["API", ({ name }) => name], ...COUNTS], groups(rows, (row) => row.dialect));
}

function byKey(rows) {
  return table("Usage by key", [["Key", ({ name }) => code(name)], ["Mode", ({ of }) => badge(of[0].mode)], ...COUNTS], groups(rows, (row) => row.key_id));
}

async function download(account, path, since, rows) {
  const head = ["day", "dialect", "calls", "failures", "credits", "pixels"];
  const text = () => [head, ...rows.map((row) => head.map((name) => row[name]))].map((cells) => `${cells.join(",")}\r\n`).join("");
  const blob = account ? await call("GET", `${path}.csv`, { query: { since }, as: "blob" }) : new Blob([text()], { type: "text/csv" });
  save(blob, account ? `usage-${account}.csv` : "usage.csv");
}
