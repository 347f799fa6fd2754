// The queue: every picture and how it stands. A few are with the server at a time; a busy server is waited for.

import { bytesInWords, secondsInWords } from "./dom.js";
import { markOf } from "./options.js";
import { Refusal, send } from "./send.js";

const LANES = 2;
const PATIENCE_MS = 600_000; // with a server that is busy
const LONGEST_WAIT_S = 120; // a server that says "in an hour" is not busy: its words are shown instead

const MOVES = new Set(["crop", "scale", "position"]); // options after which the subject lies elsewhere

let lastId = 0;

/**
 * @typedef {object} Picture
 * @property {number} id
 * @property {string} name
 * @property {File} [file] One of these two.
 * @property {string} [url]
 * @property {"waiting"|"sending"|"working"|"receiving"|"done"|"failed"} state
 * @property {number|null} share Of the stage, 0..1; null where nobody knows.
 * @property {string} note In words.
 * @property {Refusal|null} problem
 * @property {{blob: Blob, mark: string, moved: boolean, name: string, width: number, height: number, seconds: number}|null} result
 */

/** Tells `change` (detail: the picture, or null for all) and `key` when the server asks for one. */
export class Pictures extends EventTarget {
  all = [];
  #asked = [];
  #mark = markOf([]);
  #key = "";
  #locked = false;
  #paused = 0;
  #maxBytes;

  /** @param {{maxBytes: number, needsKey: boolean}} server What the server said of itself. */
  constructor({ maxBytes, needsKey }) {
    super();
    this.#maxBytes = maxBytes;
    this.#locked = needsKey;
  }

  /** @param {{file?: File, url?: string, name: string}[]} sources */
  add(sources) {
    const fresh = sources.map((source) => ({
      ...source, id: ++lastId, state: "waiting", share: null, note: "Waiting", problem: null, result: null, tries: 0,
    }));
    this.all.push(...fresh);
    for (const picture of fresh) {
      if (this.#maxBytes && picture.file?.size > this.#maxBytes) {
        const words = `This file has ${bytesInWords(picture.file.size)}; the server takes at most ${bytesInWords(this.#maxBytes)}.`;
        this.#fail(picture, new Refusal(words, { status: 413 }));
      }
    }
    this.#told(null);
    if (this.#locked) this.#askKey("This server asks for a key.");
    this.#run();
    return fresh;
  }

  remove(picture) {
    picture.stop?.abort();
    this.all = this.all.filter((one) => one !== picture);
    this.#told(null);
    this.#run();
  }

  clear() {
    for (const picture of this.all) picture.stop?.abort();
    this.all = [];
    this.#told(null);
  }

  /** What is asked from now on; what is finished stays as it is, and `isStale` knows. */
  ask(asked) {
    this.#asked = asked;
    this.#mark = markOf(asked);
    this.#told(null);
  }

  isStale(picture) {
    const mark = picture.result?.mark ?? picture.failedMark;
    return (picture.state === "done" || picture.state === "failed") && mark !== undefined && mark !== this.#mark;
  }

  /** Whether it is with the server for something that is no longer asked. */
  isBehind(picture) {
    return picture.stop !== undefined && picture.runMark !== this.#mark;
  }

  /** Cut again, first of all where `first`; its earlier result stays in sight meanwhile. */
  again(pictures, { first = false } = {}) {
    for (const picture of pictures) {
      picture.stop?.abort();
      delete picture.stop;
      delete picture.refusedAt;
      Object.assign(picture, { state: "waiting", note: "Waiting", share: null, problem: null, tries: 0, first });
      this.#told(picture);
    }
    this.#run();
  }

  useKey(key) {
    this.#key = key;
    this.#locked = false;
    for (const one of this.all) if (one.state === "waiting") one.note = "Waiting";
    this.#told(null);
    this.#run();
  }

  get hasKey() {
    return this.#key !== "";
  }

  /** Resolves when nothing waits and nothing is with the server. */
  settled() {
    const isBusy = () => this.all.some((one) => one.state !== "done" && one.state !== "failed");
    return new Promise((resolve) => {
      const look = () => {
        if (isBusy()) return;
        this.removeEventListener("change", look);
        resolve();
      };
      this.addEventListener("change", look);
      look();
    });
  }

  #run() {
    if (this.#locked || this.#paused) return;
    for (;;) {
      const busy = this.all.filter((one) => one.stop).length;
      const waiting = this.all.filter((one) => one.state === "waiting" && !one.stop);
      const next = waiting.find((one) => one.first) ?? waiting[0];
      if (!next || busy >= LANES) return;
      this.#cut(next);
    }
  }

  async #cut(picture) {
    const stop = new AbortController();
    const [asked, mark] = [this.#asked, this.#mark];
    Object.assign(picture, { stop, runMark: mark, first: false, state: "sending", share: 0, problem: null });
    const onProgress = (state, share) => {
      if (picture.stop !== stop) return;
      Object.assign(picture, { state, share, note: noteOf(state, share) });
      this.#told(picture);
    };
    try {
      const answer = await send(picture, asked, { key: this.#key, signal: stop.signal, onProgress });
      if (picture.stop !== stop) return;
      delete picture.stop;
      const moved = asked.some(([name]) => MOVES.has(name));
      picture.result = { ...answer, mark, moved, name: resultName(picture.name, suffixOf(answer.blob.type)) };
      Object.assign(picture, { state: "done", share: 1, note: "Ready", tries: 0 });
      delete picture.failedMark;
      delete picture.refusedAt;
      this.#told(picture);
    } catch (refusal) {
      if (picture.stop !== stop) return; // stopped by us: somebody else decides what comes next
      delete picture.stop;
      if (!(refusal instanceof Refusal)) throw refusal;
      this.#refused(picture, refusal, mark);
    } finally {
      this.#run();
    }
  }

  #refused(picture, refusal, mark) {
    if (refusal.status === 401) {
      this.#locked = true;
      Object.assign(picture, { state: "waiting", share: null });
      this.#askKey(refusal.message);
      return;
    }
    const isBusy = refusal.status === 429 || refusal.status === 503;
    const wait = refusal.retryAfter || Math.min(30, 2 ** picture.tries);
    picture.refusedAt ??= performance.now();
    if (isBusy && performance.now() - picture.refusedAt < PATIENCE_MS && wait <= LONGEST_WAIT_S) {
      picture.tries++;
      const why = refusal.status === 429 ? "Too many at once" : "The server is busy";
      Object.assign(picture, { state: "waiting", share: null, note: `${why}: again in ${secondsInWords(wait)}` });
      this.#told(picture);
      this.#pause(wait);
      return;
    }
    this.#fail(picture, refusal, mark);
  }

  /** Nothing new is sent for a while; whoever waits longest decides when it ends. */
  #pause(seconds) {
    const pause = (this.#paused = Math.max(this.#paused, performance.now() + seconds * 1000));
    setTimeout(() => {
      if (this.#paused !== pause) return;
      this.#paused = 0;
      this.#run();
    }, pause - performance.now());
  }

  #askKey(words) {
    for (const one of this.all) {
      if (one.state !== "waiting" || one.stop) continue;
      one.note = "Waiting for a key";
      this.#told(one);
    }
    this.dispatchEvent(new CustomEvent("key", { detail: words }));
  }

  #fail(picture, refusal, mark) {
    const wait = refusal.retryAfter ? ` Try again in ${secondsInWords(refusal.retryAfter)}.` : "";
    const note = refusal.message + wait;
    Object.assign(picture, { state: "failed", share: null, problem: refusal, note, failedMark: mark, result: null });
    this.#told(picture);
  }

  #told(picture) {
    this.dispatchEvent(new CustomEvent("change", { detail: picture }));
  }
}

function noteOf(state, share) {
  const percent = share === null ? "" : ` ${Math.round(share * 100)} %`;
  return { sending: `Sending${percent}`, working: "Cutting out", receiving: `Receiving${percent}` }[state];
}

const SUFFIXES = {
  "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/avif": "avif", "image/tiff": "tiff",
  "image/gif": "gif", "image/bmp": "bmp", "application/zip": "zip",
};

/** "image/jpeg" → "jpg" */
export function suffixOf(type) {
  return SUFFIXES[type] ?? "bin";
}

/** photo.jpeg → photo-cutout.png */
export function resultName(name, suffix) {
  return `${name.replace(/\.[^.]{1,5}$/, "")}-cutout.${suffix}`;
}
