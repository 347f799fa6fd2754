// Keys: made (the secret is shown once), rotated, ended.

import { made, say } from "../dom.js";
import { accountNames, call, part } from "./call.js";
import { ask, showSecret } from "./dialogs.js";
import { PAGE, accountField, badge, button, code, filters, labelled, link, pageOf, pager, table, when } from "./parts.js";

export async function show({ params, signal, again }) {
  const account = params.get("account") ?? "";
  const [names, { keys }] = await Promise.all([accountNames(signal), call("GET", "keys", { query: { ...pageOf(params), account }, signal })]);
  const controls = [labelled("Account", accountField(names, account)[0]), accountField(names, account)[1], made("button", { class: "button" }, "Show")];
  return {
    title: "Keys",
    tools: [button("Create key", () => createKey({ account, names, again }), { class: "button small primary", "data-focus": "create-key" })],
    body: [filters(controls, "keys"), keyTable(keys.slice(0, PAGE), { names, again }), pager(keys.length, params, "keys")],
  };
}

/** What a key is at this moment. */
function stateOf({ revoked_at: revoked, expires_at: expires }) {
  if (revoked) return "revoked";
  return expires && new Date(expires) <= new Date() ? "expired" : "valid";
}

/** A table of keys; with `names` it tells whose they are. */
export function keyTable(keys, { names, again }) {
  const whose = names ? [["Account", (key) => link(names.get(key.account_id) ?? key.account_id, "accounts", key.account_id)]] : [];
  const tools = (key) =>
    stateOf(key) === "valid"
      ? [
          key.replaced_by ? "" : button("Rotate", () => rotate(key, again), { "aria-label": `Rotate ${key.name}`, "data-focus": `rotate-${key.id}` }),
          button("Revoke", () => revoke(key, again), { class: "button small danger", "aria-label": `Revoke ${key.name}`, "data-focus": `revoke-${key.id}` }),
        ]
      : "";
  return table("Keys, newest first", [
    ["Begins with", (key) => code(key.name)],
    ...whose,
    ["Mode", (key) => badge(key.mode)],
    ["State", (key) => made("span", {}, badge(stateOf(key)), key.replaced_by ? " replaced" : "")],
    ["Made", (key) => when(key.created_at)],
    ["Ends", (key) => when(key.revoked_at ?? key.expires_at, "never")],
    ["Last used", (key) => when(key.last_used_at, "never")],
    ["What can be done", tools, { unnamed: true }],
  ], keys, "No keys.");
}

/** Ask, make, show once. */
export async function createKey({ account, names, again }) {
  const whose = names ? [{ name: "account", label: "Account", value: account, required: true, list: [...names.values()] }] : [];
  const fresh = await ask({
    title: names ? "Create a key" : `Create a key for ${account}`,
    fields: [
      ...whose,
      { name: "mode", label: "Mode", options: [["live", "live: calls cost credits"], ["test", "test: calls cost nothing"], ["admin", "admin: opens this page, cuts nothing"]] },
      { name: "prefix", label: "Begins with", placeholder: "sk_live_", pattern: "([a-z0-9]+_)*", maxlength: 32, hint: "Words of small letters and digits, each with its underscore; may be empty. Some providers' own clients look for theirs." },
      { name: "days", label: "Ends after days", type: "number", min: 1, max: 3650, placeholder: "never" },
    ],
    submit: "Create",
    does: ({ account: owner = account, mode, prefix, days }) => {
      const expires_at = days ? new Date(Date.now() + Number(days) * 86_400_000).toISOString() : null;
      return call("POST", `accounts/${part(owner.trim())}/keys`, { body: { mode, prefix, expires_at } });
    },
  });
  if (!fresh) return;
  await showSecret(fresh.key, "Give it to whoever calls the server.");
  again();
}

async function rotate(key, again) {
  const fresh = await ask({
    title: `Rotate ${key.name}?`,
    words: "A new key like it is made. The old one works beside it for a while, and then ends.",
    fields: [{ name: "overlap_s", label: "The old one ends", options: [["0", "at once"], ["3600", "in an hour"], ["86400", "in a day"], ["604800", "in a week"]], value: "86400" }],
    submit: "Rotate",
    does: ({ overlap_s: seconds }) => call("POST", `keys/${part(key.name)}/rotate`, { body: { overlap_s: Number(seconds) } }),
  });
  if (!fresh) return;
  await showSecret(fresh.key, `It takes the place of ${key.name}.`);
  again();
}

async function revoke(key, again) {
  const done = await ask({
    title: `Revoke ${key.name}?`,
    words: "Calls with it are refused within seconds. This cannot be undone.",
    submit: "Revoke",
    danger: true,
    does: () => call("DELETE", `keys/${part(key.name)}`),
  });
  if (!done) return;
  say(`${key.name} is revoked`);
  again();
}
