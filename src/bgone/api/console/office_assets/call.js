// Asking the server: /admin/v1 with the admin key, which lives in this module and nowhere else.

const ROOT = new URL("../admin/v1/", document.baseURI);
let key = "";

/** The server said no, or nothing: words for people. `status` 0: nothing. */
export class Refusal extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  /** The key is not one for this page, or is no longer. */
  get isOfKey() {
    return this.status === 401 || this.status === 403;
  }
}

/** Show this key from now on; "": none. */
export function useKey(text) {
  // Header values are bytes to a browser: UTF-8, as every other client of the server sends it.
  key = String.fromCharCode(...new TextEncoder().encode(text));
}

/**
 * Ask for something.
 * @param {string} method
 * @param {string} path Below /admin/v1/; its parts encoded.
 * @param {{query?: object, body?: object, signal?: AbortSignal, as?: "json"|"blob"}} how Empty parts of the query are left out.
 */
export async function call(method, path, { query = {}, body, signal, as = "json" } = {}) {
  const address = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value !== "" && value != null) address.searchParams.set(name, value);
  const headers = { "x-api-key": key };
  if (body) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store", credentials: "omit" });
    if (answer.ok) return await answer[as]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer. Is it running?");
  }
  throw new Refusal(await wordsOf(answer), answer.status);
}

async function wordsOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The server answered ${answer.status}.`; // a proxy's page, not the server's words
  }
}

/** One part of a path. */
export const part = encodeURIComponent;

// --- accounts by name ------------------------------------------------------------------------------------------------

const KEPT_MS = 30_000;
let names = { at: -Infinity, found: new Map() };

/** id → name, of the first thousand accounts; others are called by their ids. */
export async function accountNames(signal) {
  if (performance.now() - names.at > KEPT_MS) {
    const { accounts } = await call("GET", "accounts", { query: { limit: 1000 }, signal });
    names = { at: performance.now(), found: new Map(accounts.map(({ id, name }) => [id, name])) };
  }
  return names.found;
}

/** There are others now. */
export function forgetNames() {
  names.at = -Infinity;
}
