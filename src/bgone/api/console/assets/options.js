// The form of options: what is asked, as (name, value) pairs of the API; only what differs from the API's defaults.

import { byId, made } from "./dom.js";

// What the buttons above the options set; whatever they do not name goes back to its start.
const PRESETS = {
  cutout: {},
  white: { ground: "colour", "o-background": "#ffffff", "o-format": "jpg" },
  shop: {
    ground: "colour", "o-background": "#ffffff", "o-format": "jpg", crop: true, "o-margin": "8%", "o-aspect": "1:1",
    "o-max_side": "2000",
  },
  shadow: { ground: "colour", "o-background": "#ffffff", "o-shadow": "drop" },
};

export class Options extends EventTarget {
  #form;
  #presets = new Map(); // button → the mark of what it asks

  /** Tells `change` when something else is asked. */
  constructor(form) {
    super();
    this.#form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const kind of ["input", "change"]) form.addEventListener(kind, (event) => this.#heard(event));
    for (const button of form.querySelectorAll("[data-preset]")) {
      button.addEventListener("click", () => this.#set(PRESETS[button.dataset.preset]));
      this.#presets.set(button, null);
    }
    this.#offerModels(document.body.dataset.models.split("/"));
    for (const button of this.#presets.keys()) {
      this.#fill(PRESETS[button.dataset.preset]);
      this.#presets.set(button, markOf(this.read()));
    }
    this.#fill({}); // browsers keep what was there before a reload
  }

  /** [name, value] pairs, of all options or of one group; a value is a text or a File. */
  read(within = this.#form) {
    const asked = [];
    for (const control of within.querySelectorAll("[data-option]:enabled")) {
      const { option } = control.dataset;
      if (control.type === "file") {
        if (control.files.length) asked.push([option, control.files[0]]);
        continue;
      }
      const value = control.type === "checkbox" ? String(control.checked) : control.value.trim();
      if (value === "" || value === "own" || value === control.dataset.default) continue;
      const said = asked.find(([name]) => name === option); // quality: of the file, and of the edges
      if (said) said[1] += ` ${value}`;
      else asked.push([option, (control.dataset.prefix ?? "") + value]);
    }
    return asked;
  }

  /** Mark the option that the server complained of, and open its group; none: all are well. */
  complain(option, words) {
    for (const field of this.#form.querySelectorAll("[data-wrong]")) {
      delete field.dataset.wrong;
      field.querySelector(".wrong")?.remove();
      for (const control of field.querySelectorAll("[aria-invalid]")) {
        control.removeAttribute("aria-invalid");
        control.removeAttribute("aria-errormessage");
      }
    }
    if (!option) return;
    const control = [...this.#form.elements].find(
      (one) => one.dataset.option === option && !one.matches(":disabled") && one.value !== "own",
    );
    if (!control) return;
    const field = control.closest(".field") ?? control.parentElement;
    const line = made("p", { class: "wrong whole", id: `wrong-${option}` }, words);
    field.dataset.wrong = "";
    field.append(line);
    control.setAttribute("aria-invalid", "true");
    control.setAttribute("aria-errormessage", line.id);
    field.closest("details")?.setAttribute("open", "");
  }

  /** Where the server has several; the first is what it takes when nothing is said. */
  #offerModels(names) {
    const select = byId("o-model");
    select.append(...names.map((name) => made("option", { value: name }, name)));
    select.dataset.default = names[0];
    select.closest(".field").hidden = names.length < 2;
  }

  #heard(event) {
    const control = event.target;
    if (control.id === "live") return;
    if (control.dataset.mirrors) byId(control.dataset.mirrors).value = control.value;
    this.#settle();
    this.dispatchEvent(new Event("change"));
  }

  #set(values) {
    this.#fill(values);
    this.dispatchEvent(new Event("change"));
  }

  #fill(values) {
    const live = byId("live").checked;
    this.#form.reset();
    byId("live").checked = live;
    for (const [name, value] of Object.entries(values)) {
      const control = this.#form.elements.namedItem(name);
      if (value === true) control.checked = true;
      else control.value = value; // a RadioNodeList checks the one that has it
    }
    this.#settle();
  }

  /** Show what has a meaning now; what is hidden is disabled, so that it is not asked. */
  #settle() {
    for (const group of this.#form.querySelectorAll("[data-when]")) {
      const wanted = group.dataset.when.split(" or ").some((rule) => this.#holds(rule));
      group.hidden = group.disabled = !wanted;
    }
    for (const picker of this.#form.querySelectorAll("[data-mirrors]")) {
      const text = byId(picker.dataset.mirrors).value.trim();
      if (/^#[0-9a-f]{6}$/i.test(text)) picker.value = text;
    }
    for (const output of this.#form.querySelectorAll("output")) output.value = byId(output.htmlFor.value).value;
    for (const group of this.#form.querySelectorAll("details")) {
      const set = this.read(group).length;
      group.querySelector("summary").dataset.set = set || "";
    }
    const mark = markOf(this.read());
    for (const [button, its] of this.#presets) button.setAttribute("aria-pressed", mark === its);
  }

  /** `name=a|b`: the control has one of the values; `name=*`: any at all. */
  #holds(rule) {
    const [name, values] = rule.split("=");
    const control = this.#form.elements.namedItem(name);
    const value = control.type === "checkbox" ? String(control.checked) : control.value;
    return values === "*" ? value.trim() !== "" : values.split("|").includes(value);
  }
}

/** The pairs as one text, so that two orders can be compared. */
export function markOf(asked) {
  return JSON.stringify(
    asked.map(([name, value]) =>
      value instanceof File ? [name, value.name, value.size, value.lastModified] : [name, value],
    ),
  );
}
