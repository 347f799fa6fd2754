// Numbers, credits and moments as people read them.

const WHOLE = new Intl.NumberFormat("en");
const MOMENT = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

export const whole = (number) => WHOLE.format(number);

/** "1234.500000" → "1,234.5"; credits are decimal text, and never become floating point on the way. */
export function credits(text) {
  const [, sign, integer, fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [null, "", "0"];
  const rest = fraction.replace(/0+$/, "");
  return `${sign}${WHOLE.format(BigInt(integer))}${rest && `.${rest}`}`;
}

/** Decimal text → millionths. */
export function micros(text) {
  const [integer, fraction = ""] = text.replace("-", "").split(".");
  const size = BigInt(integer + fraction.padEnd(6, "0").slice(0, 6));
  return text.startsWith("-") ? -size : size;
}

/** Millionths → decimal text. */
export function decimal(size) {
  const digits = String(size).padStart(7, "0");
  return `${digits.slice(0, -6)}.${digits.slice(-6)}`;
}

export const moment = (text) => MOMENT.format(new Date(text));
export const day = (text) => DAY.format(new Date(`${text}T00:00:00Z`));

/** 0.0042 s → "4 ms", 75 → "1 min 15 s", 90000 → "1 d 1 h". */
export function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.round(seconds);
  const said = [];
  for (const [unit, size] of parts) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count || said.length) said.push([count, unit]);
  }
  return said.slice(0, 2).filter(([count]) => count).map((one) => one.join(" ")).join(" ");
}

/** 237191168 → "237 MB". */
export function size(bytes) {
  if (bytes == null) return "not known";
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** 12.345 → "12 ms", 4512 → "4.5 s". */
export function milliseconds(ms) {
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
