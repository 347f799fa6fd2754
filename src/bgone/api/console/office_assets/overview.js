// What runs here, how busy it is, and how long pictures take: asked for again every two seconds.

import { made } from "../dom.js";
import { call } from "./call.js";
import { lines, roundTop } from "./charts.js";
import { figures, link, panel, table } from "./parts.js";
import { milliseconds, size, span, whole } from "./words.js";

const SLOTS = 150; // five minutes
const REMEMBERED = 1000; // orders that the server looks back at, at most
const TABLE_STEP = 15; // half a minute between two rows of the tables below the charts
const STEPS = {
  read: "The request's body arrives",
  fetch: "Pictures are read from their links",
  wait: "In the queue for a seat",
  look: "Decoded, made small",
  predict: "The net, and waiting for it",
  maps: "Edges and colours",
  draw: "Drawn and encoded",
  all: "Everything together",
};
let history = []; // of one process; it goes on while other views are open

export async function show({ signal }) {
  const parts = { state: made("div"), numbers: made("div"), load: made("div"), memory: made("div"), nets: made("div"), timings: made("div") };

  function draw(facts) {
    const last = history.at(-1);
    if (last && (last.pid !== facts.pid || last.host !== facts.host)) history = [];
    history = [...history, facts].slice(-SLOTS);
    parts.state.replaceChildren(state(facts));
    parts.numbers.replaceChildren(numbers(facts));
    keepOpen(parts.load, load());
    keepOpen(parts.memory, memory());
    parts.nets.replaceChildren(nets(facts));
    parts.timings.replaceChildren(timings(facts));
  }

  async function look() {
    draw(await call("GET", "server", { signal }));
  }

  await look();
  return {
    title: "Overview",
    body: [
      parts.state,
      parts.numbers,
      made("div", { class: "pair" }, panel("Orders", parts.load), panel("Memory", parts.memory)),
      panel("Timings", parts.timings),
      panel("Models", parts.nets),
    ],
    every: look,
  };
}

/** Put a chart in another's place, without folding its table or losing the focus on it. */
function keepOpen(place, chart) {
  const before = place.querySelector("details");
  const after = chart.querySelector("details");
  if (before) {
    after.open = before.open;
    if (before.open && before.contains(document.activeElement)) return; // somebody reads there
    const focused = before.contains(document.activeElement);
    place.replaceChildren(chart);
    if (focused) after.querySelector("summary").focus();
  } else place.replaceChildren(chart);
}

function state({ ready, trouble, notice, version, host, pid, uptime_s: up }) {
  const words = ready ? (notice ? `Ready, but: ${notice}` : "Ready") : `Not ready: ${trouble}`;
  return made("p", { class: `notice row between ${ready ? (notice ? "warn" : "good") : "bad"}` },
    made("strong", {}, words), made("span", { class: "small number" }, `bgone ${version} on ${host}, process ${pid}, up ${span(up)}`));
}

function numbers(facts) {
  const { seats, seats_busy: busy, queue, queue_limit: most, oldest_wait_s: wait, jobs_waiting: jobs, jobs_running: running, webhooks_waiting: hooks, webhook_lag_s: late, timings: phases, timings_window_s: window } = facts;
  const pictures = phases.find(({ phase }) => phase === "all")?.orders ?? 0;
  return figures(
    ["orders at work", `${busy} of ${seats}`],
    [queue ? `in the queue (${most} fit), the first for ${span(wait)}` : `in the queue (${most} fit)`, whole(queue)],
    [running ? `jobs waiting, ${running} at work here` : "jobs waiting", jobs == null ? "–" : link(whole(jobs), "jobs", { state: "queued" })],
    [late ? `webhooks waiting, overdue for ${span(late)}` : "webhooks waiting", hooks == null ? "–" : link(whole(hooks), "webhooks", { state: "waiting" })],
    [`pictures in the last ${span(window)}`, pictures < REMEMBERED ? whole(pictures) : `over ${whole(REMEMBERED)}`],
    ["worst delay of the event loop", span(facts.loop_lag_s)],
  );
}

function load() {
  const busy = history.map((one) => one.seats_busy);
  const queue = history.map((one) => one.queue);
  const now = history.at(-1);
  const top = roundTop(Math.max(now.seats, ...busy, ...queue));
  const rows = sampled("Orders, every half minute", [["At work", (one) => whole(one.seats_busy), { number: true }], ["In the queue", (one) => whole(one.queue), { number: true }]]);
  return lines({
    title: "At work and waiting",
    words: `Last five minutes: ${now.seats_busy} orders at work and ${now.queue} waiting now; at most ${Math.max(...busy)} at work and ${Math.max(...queue)} waiting.`,
    series: [{ name: "at work", values: busy }, { name: "in the queue", values: queue }],
    slots: SLOTS, top, topWords: whole(top), from: "5 min ago", rows,
  });
}

function memory() {
  const held = history.map((one) => one.memory_held_bytes);
  const resident = history.map((one) => one.memory_resident_bytes ?? 0);
  const now = history.at(-1);
  const top = roundTop(Math.max(now.memory_budget_bytes, ...resident));
  const rows = sampled("Memory, every half minute", [["Of the process", (one) => size(one.memory_resident_bytes), { number: true }], ["Promised to orders", (one) => size(one.memory_held_bytes), { number: true }]]);
  const words = `${size(now.memory_resident_bytes)} of the process, ${size(now.memory_held_bytes)} of ${size(now.memory_budget_bytes)} promised to orders`;
  const chart = lines({
    title: "Used and promised",
    words: `Last five minutes; now ${words}.`,
    series: [{ name: "process", values: resident }, { name: "promised", values: held }],
    slots: SLOTS, top, topWords: size(top), from: "5 min ago", rows,
  });
  chart.append(made("p", { class: "small muted" }, `Now ${words}. The machine gives us ${size(now.memory_machine_bytes)}.`));
  return chart;
}

function sampled(caption, columns) {
  const rows = history.filter((_, index) => (history.length - 1 - index) % TABLE_STEP === 0).reverse();
  return table(caption, [["At", (one) => new Date(one.at).toLocaleTimeString("en-GB")], ...columns], rows);
}

function nets({ models }) {
  return table("Models in use", [
    ["Model", (one) => made("strong", {}, one.name)],
    ["Device", (one) => one.device.replace("ExecutionProvider", "")],
    ["Waiting pictures", (one) => whole(one.waiting), { number: true }],
  ], models, "Loading …");
}

function timings({ timings: phases, timings_window_s: window }) {
  const slowest = Math.max(...phases.filter(({ phase }) => phase !== "all").map((one) => one.p95_ms), 0.001);
  return table(`What an order's phases took in the last ${span(window)}`, [
    ["Phase", (one) => made("strong", {}, one.phase)],
    ["What", (one) => STEPS[one.phase] ?? ""],
    ["Orders", (one) => whole(one.orders), { number: true }],
    ["Half within", (one) => milliseconds(one.p50_ms), { number: true }],
    ["95 % within", (one) => milliseconds(one.p95_ms), { number: true }],
    ["Share of the slowest", (one) => (one.phase === "all" ? "" : made("meter", { min: 0, max: 1, value: one.p95_ms / slowest, "aria-label": `${one.phase}: ${milliseconds(one.p95_ms)}` })), { unnamed: true }],
  ], phases, `No picture in the last ${span(window)}.`, { dense: true });
}
