// The pictures as a list: what each is called, how it stands, and what can be done with it.

import { byId, made, save } from "./dom.js";

const THUMB_PX = 112;

export class List {
  #rows = new Map();
  #acts;
  #drawing = Promise.resolve();

  /** @param {{pick, again, remove}} acts What the buttons do, each with the picture. */
  constructor(acts) {
    this.#acts = acts;
  }

  /** Rows for all pictures, in order. */
  show(pictures, selected) {
    const wanted = new Set(pictures.all);
    for (const [picture, row] of this.#rows) {
      if (wanted.has(picture)) continue;
      row.item.remove();
      this.#rows.delete(picture);
    }
    for (const picture of pictures.all) {
      if (!this.#rows.has(picture)) byId("list").append(this.#add(picture).item);
      this.update(picture, pictures, selected);
    }
  }

  /** One row anew. */
  update(picture, pictures, selected) {
    const row = this.#rows.get(picture);
    if (!row) return;
    const { state, share, note, result } = picture;
    const isStale = pictures.isStale(picture) && state === "done";
    row.item.dataset.state = isStale ? "stale" : state;
    row.pick.setAttribute("aria-pressed", picture === selected);
    row.note.textContent = isStale ? "Ready, with earlier options" : note;
    row.bar.hidden = !["sending", "working", "receiving"].includes(state);
    if (share === null) row.bar.removeAttribute("value");
    else row.bar.value = share;
    row.save.hidden = !result;
    row.again.hidden = !(state === "failed" || isStale);
    row.again.textContent = state === "failed" ? "Try again" : "Update";
    row.again.setAttribute("aria-label", `${row.again.textContent} ${picture.name}`);
    this.#thumb(row, result?.blob ?? picture.file);
  }

  /** Put the keyboard where the row of a removed picture was. */
  focusNear(index) {
    const picks = [...byId("list").querySelectorAll(".pick")];
    (picks[Math.min(index, picks.length - 1)] ?? byId("choose")).focus();
  }

  #add(picture) {
    const { name } = picture;
    const note = made("span", { class: "note small muted number" });
    const canvas = made("canvas", { width: THUMB_PX, height: THUMB_PX, class: "thumb", "aria-hidden": "true" });
    const pick = made(
      "button",
      { type: "button", class: "pick", onclick: () => this.#acts.pick(picture) },
      canvas,
      made("span", { class: "words" }, made("span", { class: "name" }, name), note),
    );
    const bar = made("progress", { max: "1", "aria-label": `Progress of ${name}` });
    const button = (words, act) =>
      made("button", { type: "button", class: "button small quiet", "aria-label": `${words} ${name}`, onclick: act }, words);
    const save_ = button("Download", () => save(picture.result.blob, picture.result.name));
    const again = made("button", { type: "button", class: "button small", onclick: () => this.#acts.again(picture) });
    const remove = button("Remove", () => this.#acts.remove(picture));
    const item = made("li", { class: "picture" }, pick, bar, made("div", { class: "row acts" }, again, save_, remove));
    const row = { item, pick, note, bar, canvas, save: save_, again, drawn: null };
    this.#rows.set(picture, row);
    return row;
  }

  /** A small view, one at a time: a hundred photos decoded at once would fill the memory. */
  #thumb(row, blob) {
    if (!blob || row.drawn === blob) return;
    row.drawn = blob;
    this.#drawing = this.#drawing.then(async () => {
      if (row.drawn !== blob || !row.item.isConnected) return;
      try {
        const whole = await createImageBitmap(blob);
        const scale = Math.min(THUMB_PX / whole.width, THUMB_PX / whole.height);
        const [width, height] = [whole.width * scale, whole.height * scale];
        const context = row.canvas.getContext("2d");
        context.clearRect(0, 0, THUMB_PX, THUMB_PX);
        context.imageSmoothingQuality = "high";
        context.drawImage(whole, (THUMB_PX - width) / 2, (THUMB_PX - height) / 2, width, height);
        whole.close();
      } catch {
        // a kind that the browser cannot read: the field stays as it is
      }
    });
  }
}
