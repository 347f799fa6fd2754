// Questions before something is changed, and a secret that is shown once.

import { made, say, tell } from "../dom.js";

/**
 * Ask, and do it; the dialog stays, with the words, where it is refused.
 * @param {{title: string, words?: string, fields?: Field[], does: (values: object) => Promise<any>, submit: string, danger?: boolean}} what
 * A field: {name, label, value, hint, options: [[value, words]], list: string[], ...attributes of the input}.
 * @returns {Promise<any>} What `does` gave; undefined where nothing was done.
 */
export function ask({ title, words = "", fields = [], does, submit, danger = false }) {
  const wrong = made("p", { class: "wrong", role: "alert", hidden: true });
  const go = made("button", { class: `button ${danger ? "danger" : "primary"}` }, submit);
  const stop = made("button", { type: "button", class: "button" }, "Cancel");
  const form = made("form", { class: "stack" }, made("h2", { id: "dialog-title" }, title), words && made("p", {}, words), ...fields.map(field), wrong, made("div", { class: "row end" }, stop, go));
  return open(form, (close) => {
    stop.addEventListener("click", () => close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      tell(wrong, "");
      try {
        close(await does(Object.fromEntries(new FormData(form))));
      } catch (error) {
        tell(wrong, error.message);
      } finally {
        go.disabled = false;
      }
    });
  });
}

function field({ name, label, hint = "", options, list, ...attributes }) {
  const id = `ask-${name}`;
  const described = hint ? { "aria-describedby": `${id}-hint` } : {};
  const control = options
    ? made("select", { id, name, ...described }, ...options.map(([value, words]) => made("option", { value, selected: value === attributes.value }, words)))
    : made("input", { id, name, autocomplete: "off", spellcheck: "false", list: list && `${id}-list`, ...described, ...attributes });
  return made("div", { class: "field" }, made("label", { for: id }, label), control,
    list ? made("datalist", { id: `${id}-list` }, ...list.map((value) => made("option", { value }))) : "",
    hint && made("p", { class: "hint", id: `${id}-hint` }, hint));
}

/** Show a new key, once; only its button closes this, so that no slip of the finger loses it. */
export function showSecret(secret, words) {
  const shown = made("code", { id: "secret", tabindex: 0, "aria-label": "The new key" }, secret);
  const copy = made("button", { type: "button", class: "button primary" }, "Copy");
  const done = made("button", { type: "button", class: "button" }, "Done");
  const content = made("div", { class: "stack" }, made("h2", { id: "dialog-title" }, "Copy this key now"), made("p", {}, words), shown,
    made("p", { class: "notice warn small" }, "It cannot be shown again: the server keeps its digest only."), made("div", { class: "row end" }, copy, done));
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret);
      copy.textContent = "Copied";
    } catch {
      // Over plain http from another machine browsers give no clipboard: the text is selected for the user's own copy.
      getSelection().selectAllChildren(shown);
      copy.textContent = "Selected: now copy";
    }
    say(copy.textContent);
  });
  return open(content, (close, dialog) => {
    done.addEventListener("click", () => close());
    dialog.addEventListener("cancel", (event) => event.preventDefault());
  });
}

function open(content, wire) {
  const dialog = made("dialog", { "aria-labelledby": "dialog-title" }, content);
  return new Promise((resolve) => {
    let given;
    const close = (value) => {
      given = value;
      dialog.close();
    };
    dialog.addEventListener("close", () => {
      dialog.remove(); // with whatever secret was in it
      resolve(given);
    });
    wire(close, dialog);
    document.body.append(dialog);
    dialog.showModal();
  });
}
