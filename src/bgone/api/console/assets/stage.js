// One picture, large: the original on the left of the slider, the cutout on the right.

import { byId, bytesInWords, tell } from "./dom.js";

const SHOWN = ["image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/bmp"];

export class Stage {
  #picture = null;
  #shown = { before: null, after: null }; // the blobs that are in sight
  #urls = { before: "", after: "" };

  constructor() {
    const slider = byId("slider");
    slider.addEventListener("input", () => this.#slide());
    for (const side of ["before", "after"]) {
      byId(side).addEventListener("load", () => this.#loaded(side));
      byId(side).addEventListener("error", () => this.#unreadable(side));
    }
    byId("zoom").addEventListener("click", () => {
      const isLarge = byId("view").classList.toggle("large");
      byId("zoom").setAttribute("aria-pressed", isLarge);
    });
    for (const radio of document.getElementsByName("look")) radio.addEventListener("change", () => this.#look());
    for (const kind of ["click", "input"]) byId("look-colour").addEventListener(kind, () => this.#look({ own: true }));
    this.#slide();
    this.#look();
  }

  /** Show a picture as it stands; null hides the stage. */
  show(picture) {
    byId("stage").hidden = !picture;
    if (picture !== this.#picture) {
      this.#picture = picture;
      byId("view").classList.remove("large");
      byId("zoom").setAttribute("aria-pressed", false);
      this.#slideTo(50);
    }
    if (!picture) {
      this.#put("before", null);
      this.#put("after", null);
      return;
    }
    byId("stage-title").textContent = picture.name;
    this.#put("before", picture.file ?? null);
    this.#put("after", picture.result?.blob ?? null);
    this.#words(picture);
  }

  #put(side, blob) {
    if (this.#shown[side] === blob) return;
    this.#shown[side] = blob;
    const image = byId(side);
    URL.revokeObjectURL(this.#urls[side]);
    this.#urls[side] = "";
    image.hidden = true;
    image.removeAttribute("src");
    const canShow = blob && (side === "before" || SHOWN.includes(blob.type));
    if (canShow) {
      this.#urls[side] = URL.createObjectURL(blob);
      image.src = this.#urls[side];
    }
    if (side === "after") {
      const link = byId("download");
      link.hidden = !blob;
      if (blob) {
        link.href = canShow ? this.#urls.after : (this.#urls.after = URL.createObjectURL(blob));
        link.download = this.#picture.result.name;
      }
    }
    this.#arrange();
  }

  #loaded(side) {
    byId(side).hidden = false;
    byId(side).alt = `${this.#picture.name}, ${side === "before" ? "the original" : "without its background"}`;
    this.#arrange();
  }

  #unreadable(side) {
    byId(side).hidden = true;
    this.#arrange();
    if (this.#picture) this.#words(this.#picture);
  }

  /** The frame has the shape of the cutout, or of the original until there is one. */
  #arrange() {
    const before = byId("before");
    const after = byId("after");
    const leading = after.hidden ? before : after;
    const frame = byId("frame");
    const isApart = !before.hidden && !after.hidden && this.#isMoved();
    frame.classList.toggle("apart", isApart);
    frame.hidden = leading.hidden;
    frame.classList.toggle("only-after", before.hidden && !after.hidden);
    frame.classList.toggle("only-before", after.hidden);
    byId("grounds").hidden = after.hidden;
    byId("zoom").hidden = leading.hidden;
    if (!leading.hidden) {
      frame.style.setProperty("--width", leading.naturalWidth);
      frame.style.setProperty("--height", leading.naturalHeight);
    }
    byId("slider").disabled = before.hidden || after.hidden || isApart;
  }

  /** Whether the subject lies elsewhere in the cutout: then one over the other would compare nothing. */
  #isMoved() {
    const [before, after] = [byId("before"), byId("after")];
    const shapes = [before, after].map((image) => image.naturalWidth / image.naturalHeight);
    return this.#picture.result.moved || Math.abs(shapes[0] / shapes[1] - 1) > 0.02;
  }

  #words(picture) {
    const { result, problem, state } = picture;
    const facts = [];
    if (result) {
      if (result.width) facts.push(`${result.width} × ${result.height}`);
      facts.push((result.blob.type.split("/")[1] ?? "").toUpperCase(), bytesInWords(result.blob.size), `${result.seconds.toFixed(1)} s`);
    }
    if (state !== "done" && state !== "failed") facts.push(picture.note);
    byId("stage-facts").textContent = facts.filter(Boolean).join(" · ");
    const isBusy = state !== "done" && state !== "failed";
    byId("view").classList.toggle("busy", isBusy);
    byId("stage-note").classList.toggle("bad", Boolean(problem));
    tell(byId("stage-note"), problem ? picture.note : this.#missing(picture));
  }

  #missing({ file, url, result }) {
    if (result && !SHOWN.includes(result.blob.type)) return "Browsers cannot show this kind of file. It is ready to download.";
    if (!result) return "";
    if (url) return "Only the cutout: this page loads nothing from other hosts, so not the original either.";
    const before = byId("before");
    const failed = file && before.hidden && before.complete;
    return failed ? "Only the cutout: this browser cannot show the original's kind of file." : "";
  }

  #slide() {
    const slider = byId("slider");
    byId("frame").style.setProperty("--cut", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % original`);
  }

  #slideTo(share) {
    byId("slider").value = share;
    this.#slide();
  }

  #look({ own = false } = {}) {
    const radios = [...document.getElementsByName("look")];
    if (own) for (const radio of radios) radio.checked = false;
    byId("look-colour").classList.toggle("chosen", own);
    const chosen = own ? byId("look-colour").value : radios.find((radio) => radio.checked).value;
    byId("view").classList.toggle("squares", chosen === "squares");
    byId("view").style.setProperty("--look", chosen === "squares" ? "transparent" : chosen);
  }
}
