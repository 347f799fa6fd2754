// Jobs: the list, and one with what was told of its end.

import { made, say } from "../dom.js";
import { accountNames, call, part } from "./call.js";
import { ask } from "./dialogs.js";
import { PAGE, accountField, badge, button, choice, code, filters, labelled, link, pageOf, pager, panel, table, to, when } from "./parts.js";
import { deliveryTable, sendAgain } from "./webhooks.js";
import { credits, milliseconds, span, whole } from "./words.js";

const STATES = ["queued", "running", "done", "failed", "cancelled", "expired"];
const isOpen = ({ state }) => state === "queued" || state === "running";

export const show = (visit) => (visit.id ? one(visit) : list(visit));

/** From taking to end, or until now. */
function took({ created_at: from, finished_at: until }) {
  return until ? span((new Date(until) - new Date(from)) / 1000) : "";
}

async function list({ params, signal, again }) {
  const account = params.get("account") ?? "";
  const state = params.get("state") ?? "";
  const [names, { jobs }] = await Promise.all([accountNames(signal), call("GET", "jobs", { query: { ...pageOf(params), account, state }, signal })]);
  const [input, known] = accountField(names, account);
  const controls = [
    labelled("Account", input), known,
    labelled("State", choice("state", state, ["", "any"], ...STATES.map((word) => [word, word]))),
    made("button", { class: "button" }, "Show"),
  ];
  return {
    title: "Jobs",
    body: [
      filters(controls, "jobs"),
      table("Jobs, newest first", [
        ["Job", (job) => made("a", { href: to("jobs", job.id), title: job.id }, code(job.id.slice(0, 12)))],
        ["State", (job) => badge(job.state)],
        ["API", (job) => job.dialect],
        ["Account", (job) => whose(job.owner, names)],
        ["Taken", (job) => when(job.created_at)],
        ["Took", took, { number: true }],
        ["Credits", (job) => credits(job.price), { number: true }],
        ["Tries", (job) => whole(job.tries), { number: true }],
        ["Why not", (job) => job.error],
        ["What can be done", (job) => (isOpen(job) ? button("Cancel", () => cancel(job, again), { class: "button small danger", "aria-label": `Cancel job ${job.id}`, "data-focus": `cancel-${job.id}` }) : ""), { unnamed: true }],
      ], jobs.slice(0, PAGE), account || state ? "No job is like that." : "No jobs yet: calls that are answered at once are none."),
      pager(jobs.length, params, "jobs"),
    ],
  };
}

export function whose(owner, names) {
  return names.has(owner) ? link(names.get(owner), "accounts", owner) : code(owner);
}

async function one({ id, signal, again }) {
  const path = `jobs/${part(id)}`;
  const [names, job, told] = await Promise.all([accountNames(signal), call("GET", path, { signal }), call("GET", `${path}/deliveries`, { signal })]);
  const remove = async () => {
    const done = await ask({
      title: "Delete this job?",
      words: `${isOpen(job) ? "It is cancelled. " : ""}Its pictures are removed at once, and nobody can ask for it any more. This cannot be undone.`,
      submit: "Delete",
      danger: true,
      does: () => call("DELETE", path),
    });
    if (!done) return;
    say("The job is deleted");
    location.hash = to("jobs");
  };
  const facts = [
    ["Id", code(job.id)],
    ["API", job.dialect],
    ["Account", whose(job.owner, names)],
    ["Taken", when(job.created_at)],
    ["Over", when(job.finished_at, "not yet")],
    ["Took", took(job) || "–"],
    ["Credits", credits(job.price)],
    ["Tries", whole(job.tries)],
    ...(job.error ? [["Why there is no result", job.error]] : []),
  ];
  return {
    title: `Job ${job.id.slice(0, 12)}`,
    tools: [
      isOpen(job) ? button("Cancel", () => cancel(job, again), { class: "button small danger", "data-focus": "cancel" }) : "",
      button("Delete", remove, { class: "button small danger", "data-focus": "delete" }),
    ],
    body: [
      made("p", {}, badge(job.state)),
      panel("What is known of it", made("dl", { class: "known" }, ...facts.flatMap(([words, value]) => [made("dt", {}, words), made("dd", {}, value)]))),
      panel("Webhooks", told.deliveries.length ? [button("Send all again", () => sendAgain(job.id, again), { "data-focus": "again" })] : [], deliveryTable(told.deliveries, { none: "Nobody is to be told of it." })),
      ...(told.tries.length ? [panel("Each try", tries(told.tries))] : []),
    ],
  };
}

function tries(rows) {
  return table("Tries, oldest first", [
    ["At", (row) => when(row.at)],
    ["Message", (row) => code(row.delivery, row.delivery.slice(0, 12))],
    ["Answer", (row) => row.status ?? "none", { number: true }],
    ["Took", (row) => milliseconds(row.ms), { number: true }],
    ["Why it failed", (row) => row.error],
  ], rows);
}

async function cancel(job, again) {
  const done = await ask({
    title: "Cancel this job?",
    words: "It ends without a result, and what it holds of the account's credits is given back.",
    submit: "Cancel the job",
    danger: true,
    does: () => call("POST", `jobs/${part(job.id)}/cancel`),
  });
  if (!done) return;
  say(`The job is ${done.state}`);
  again();
}
