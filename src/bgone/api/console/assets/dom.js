// The few words in which the other modules speak to the page.

export const byId = (id) => document.getElementById(id);

/** A new element: `made("button", {class: "button", type: "button"}, "Save")`; `onclick` and the like are listeners. */
export function made(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Tell who cannot see: read aloud when nothing else is. */
export function say(words) {
  byId("said").textContent = words;
}

/** Show words in an element, or hide it where there are none. */
export function tell(element, words) {
  element.textContent = words;
  element.hidden = !words;
}

/** 1234567 → "1.2 MB". */
export function bytesInWords(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** 75 → "75 seconds", 3700 → "1 hour". */
export function secondsInWords(seconds) {
  const [amount, unit] =
    seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  const whole = Math.max(1, Math.round(amount));
  return `${whole} ${unit}${whole === 1 ? "" : "s"}`;
}

/** Hand a blob to the browser's downloads. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  made("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the download has long begun
}
