// Accounts: the list, and one with its credits, keys and ledger.

import { made, say } from "../dom.js";
import { call, forgetNames, part } from "./call.js";
import { ask } from "./dialogs.js";
import { createKey, keyTable } from "./keys.js";
import { PAGE, badge, button, code, figures, filters, labelled, link, pageOf, pager, panel, table, to, when } from "./parts.js";
import { credits, whole } from "./words.js";

export const show = (visit) => (visit.id ? one(visit) : list(visit));

// --- all of them -----------------------------------------------------------------------------------------------------

async function list({ params, signal }) {
  const search = params.get("search") ?? "";
  const { accounts } = await call("GET", "accounts", { query: { ...pageOf(params), search }, signal });
  const controls = [
    labelled("Find", made("input", { name: "search", type: "search", value: search, placeholder: "name, address or id", autocomplete: "off" })),
    made("button", { class: "button" }, "Find"),
  ];
  return {
    title: "Accounts",
    tools: [button("Create account", create, { class: "button small primary", "data-focus": "create" })],
    body: [
      filters(controls, "accounts"),
      table("Accounts by name", [
        ["Name", (row) => link(row.name, "accounts", row.id)],
        ["Status", (row) => badge(row.status)],
        ["Plan", (row) => row.plan],
        ["Balance", (row) => (row.billing === "metered" ? "metered" : credits(row.balance)), { number: true }],
        ["Address", (row) => row.email],
        ["Since", (row) => when(row.created_at)],
      ], accounts.slice(0, PAGE), search ? "No account has this in its name, address or id." : "No account yet: create the first one."),
      pager(accounts.length, params, "accounts"),
    ],
  };
}

async function create() {
  const { plans } = await call("GET", "plans");
  const account = await ask({
    title: "Create an account",
    fields: [
      { name: "name", label: "Name", required: true, maxlength: 200 },
      { name: "email", label: "E-mail address, for you", type: "email" },
      { name: "plan", label: "Plan", options: plans.map(({ name }) => [name, name]), value: "payg" },
      { name: "credits", label: "Credits to begin with", value: "0", inputmode: "decimal", pattern: "[0-9]+([.][0-9]+)?" },
    ],
    submit: "Create",
    does: (values) => call("POST", "accounts", { body: values }),
  });
  if (!account) return;
  forgetNames();
  say(`${account.name} is created`);
  location.hash = to("accounts", account.id);
}

// --- one of them -----------------------------------------------------------------------------------------------------

async function one({ id, params, signal, again }) {
  const path = `accounts/${part(id)}`;
  const [account, { keys }, { entries }] = await Promise.all([
    call("GET", path, { signal }),
    call("GET", `${path}/keys`, { query: { limit: 1000 }, signal }),
    call("GET", `${path}/ledger`, { query: pageOf(params), signal }),
  ]);
  const { name } = account;
  const isBarred = account.status === "barred";

  async function change(words, what) {
    if (!(await ask({ does: what, ...words }))) return;
    say("Done");
    again();
  }
  const addCredits = () =>
    change({
      title: `Credits for ${name}`,
      words: "They are added to what was bought; a number below 0 takes some away.",
      fields: [
        { name: "amount", label: "Credits", required: true, inputmode: "decimal", pattern: "-?[0-9]+([.][0-9]+)?" },
        { name: "reason", label: "Reason, for the ledger", value: "credit", required: true, maxlength: 200 },
      ],
      submit: "Add",
    }, (values) => call("POST", `${path}/credit`, { body: values }));
  const setPlan = async () => {
    const { plans } = await call("GET", "plans");
    await change({
      title: `Plan of ${name}`,
      words: "Its first period begins now.",
      fields: [{ name: "plan", label: "Plan", options: plans.map((plan) => [plan.name, `${plan.name} (${plan.billing === "metered" ? "metered" : `${credits(plan.quota)} credits`})`]), value: account.plan }],
      submit: "Begin this plan",
    }, (values) => call("POST", `${path}/plan`, { body: values }));
  };
  const bar = () =>
    change({
      title: isBarred ? `Serve ${name} again?` : `Bar ${name}?`,
      words: isBarred ? "Its keys work again within seconds." : "Every call with its keys is refused within seconds, until you serve it again.",
      submit: isBarred ? "Serve again" : "Bar",
      danger: !isBarred,
    }, () => call("POST", `${path}/${isBarred ? "unbar" : "bar"}`));

  return {
    title: name,
    tools: [
      button("Add credits", addCredits, { class: "button small primary", "data-focus": "credits" }),
      button("Change plan", setPlan, { "data-focus": "plan" }),
      button(isBarred ? "Serve again" : "Bar", bar, { class: `button small${isBarred ? "" : " danger"}`, "data-focus": "bar" }),
    ],
    body: [
      made("p", { class: "row facts" }, badge(account.status), code(account.id), account.email, made("span", { class: "muted" }, "since "), when(account.created_at)),
      figures(
        ["credits to spend", account.billing === "metered" ? "metered" : credits(account.balance)],
        ["of these bought", credits(account.payg)],
        [account.period_end ? `of this period's ${credits(account.quota)}` : "of a subscription", credits(account.subscription)],
        ["free previews", whole(account.free_calls)],
        ["plan", account.plan],
      ),
      made("p", { class: "row" }, ...["Usage", "Jobs", "Webhooks"].map((words) => made("a", { class: "button small", href: to(words.toLowerCase(), { account: name }) }, `Its ${words.toLowerCase()}`))),
      panel("Keys", [button("Create key", () => createKey({ account: name, again }), { "data-focus": "create-key" })], keyTable(keys, { again })),
      panel("Ledger", ledger(entries.slice(0, PAGE)), pager(entries.length, params, "accounts", id)),
    ],
  };
}

function ledger(entries) {
  const change = ({ subscription, payg }) => [subscription, payg].filter((text) => Number(text) !== 0).map((text) => (text.startsWith("-") ? credits(text) : `+${credits(text)}`)).join(", ");
  return table("Ledger, newest first", [
    ["At", (row) => when(row.at)],
    ["Why", (row) => row.reason],
    ["Change", (row) => change(row) || (row.free_calls ? `${row.free_calls > 0 ? "+" : ""}${row.free_calls} free` : "0"), { number: true }],
    ["Balance", (row) => credits(row.balance_after), { number: true }],
    ["API", (row) => row.dialect],
    ["Key", (row) => (row.key_id ? code(row.key_id) : "")],
  ], entries, "Nothing was booked yet.");
}
