// Webhooks: what was to be told, and whether it was.

import { made, say } from "../dom.js";
import { accountNames, call, part } from "./call.js";
import { ask } from "./dialogs.js";
import { PAGE, accountField, badge, button, choice, code, filters, labelled, link, pageOf, pager, table, to, when } from "./parts.js";
import { milliseconds, whole } from "./words.js";

const STATES = ["waiting", "delivered", "failed"];

export async function show({ params, signal, again }) {
  const account = params.get("account") ?? "";
  const state = params.get("state") ?? "";
  const [names, { deliveries }] = await Promise.all([accountNames(signal), call("GET", "deliveries", { query: { ...pageOf(params), account, state }, signal })]);
  const [input, known] = accountField(names, account);
  const controls = [
    labelled("Account", input), known,
    labelled("State", choice("state", state, ["", "any"], ...STATES.map((word) => [word, word]))),
    made("button", { class: "button" }, "Show"),
  ];
  return {
    title: "Webhooks",
    body: [
      filters(controls, "webhooks"),
      deliveryTable(deliveries.slice(0, PAGE), { names, again, none: account || state ? "No message is like that." : "Nothing was to be told yet." }),
      pager(deliveries.length, params, "webhooks"),
    ],
  };
}

/** A table of messages; with `names` it tells whose they are and of which job, and they can be sent again. */
export function deliveryTable(rows, { names, again, none }) {
  const of = names
    ? [
        ["Job", (row) => made("a", { href: to("jobs", row.job_id), title: row.job_id }, code(row.job_id.slice(0, 12)))],
        ["Account", (row) => (names.has(row.owner) ? link(names.get(row.owner), "accounts", row.owner) : code(row.owner))],
      ]
    : [];
  const tools = (row) => button("Send again", () => sendAgain(row.job_id, again), { "aria-label": `Send again what was to be told of job ${row.job_id}`, "data-focus": `again-${row.id}` });
  return table("Webhooks, newest first", [
    ["State", (row) => badge(row.state)],
    ["To", (row) => made("span", { class: "url" }, row.url)],
    ...of,
    ["Made", (row) => when(row.created_at)],
    ["Tries", (row) => whole(row.tries), { number: true }],
    ["Latest answer", (row) => (row.tries ? `${row.error || row.status}, ${milliseconds(row.ms)}` : "not tried yet")],
    ["Next try", (row) => when(row.due_at, "–")],
    ...(names ? [["What can be done", tools, { unnamed: true }]] : []),
  ], rows, none);
}

/** Ask, and send what was to be told of a job once more. */
export async function sendAgain(jobId, again) {
  const done = await ask({
    title: "Send again?",
    words: "Everything that was to be told of this job goes out again, with the same ids, so that receivers can tell a repetition. Tries begin anew.",
    submit: "Send again",
    does: () => call("POST", `jobs/${part(jobId)}/redeliver`),
  });
  if (!done) return;
  say(done.messages === 1 ? "1 message goes out again" : `${done.messages} messages go out again`);
  again();
}
