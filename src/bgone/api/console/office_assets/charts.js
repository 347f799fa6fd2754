// Small charts of our own: what they show is also told in words and as a table.

import { made } from "../dom.js";

const WIDE = 600;
const HIGH = 120;
export const COLOURS = 4;

function drawn(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function frame(title, words, shapes, { top, from, until, legend, rows }) {
  const picture = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": words }, ...shapes);
  const names = legend.map((name, index) => made("span", { class: "row" }, made("span", { class: `spot c${index + 1}` }), name));
  return made("figure", { class: "chart" },
    made("figcaption", { class: "row between" }, made("h3", {}, title), made("span", { class: "row small muted legend" }, ...names)),
    made("div", { class: "plot" }, made("span", { class: "top" }, top), picture, made("span", { class: "bottom" }, "0")),
    made("div", { class: "row between small muted ends" }, made("span", {}, from), made("span", {}, until)),
    made("details", { class: "small" }, made("summary", {}, "As a table"), rows));
}

function grid() {
  return [0, 0.5, 1].map((share) => drawn("line", { class: "rule", x1: 0, x2: WIDE, y1: share * HIGH, y2: share * HIGH }));
}

/** A top that lies still while the values beneath it move: 1, 2, 5, 10, 20 … */
export function roundTop(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/**
 * Lines over time, the newest at the right edge.
 * @param {{title: string, words: string, series: {name: string, values: number[]}[], slots: number, top: number, topWords: string, from: string, rows: Node}} what
 * `slots`: values that fit; with fewer the left is empty.
 */
export function lines({ title, words, series, slots, top, topWords, from, rows }) {
  const x = (index, count) => ((slots - count + index) / Math.max(1, slots - 1)) * WIDE;
  const y = (value) => HIGH - (Math.min(value, top) / top) * HIGH;
  const shapes = series.flatMap(({ values }, index) => {
    const points = values.map((value, at) => `${x(at, values.length).toFixed(1)},${y(value).toFixed(1)}`);
    const line = drawn("polyline", { class: `line c${index + 1}`, points: points.join(" ") });
    if (index > 0 || points.length < 2) return [line];
    const area = [`${x(0, values.length).toFixed(1)},${HIGH}`, ...points, `${WIDE},${HIGH}`].join(" ");
    return [drawn("polygon", { class: `area c${index + 1}`, points: area }), line];
  });
  return frame(title, words, [...grid(), ...shapes], { top: topWords, from, until: "now", legend: series.map(({ name }) => name), rows });
}

/**
 * A bar per day, made of parts.
 * @param {{title: string, words: string, days: {label: string, parts: number[], tip: string}[], legend: string[], top: number, topWords: string, rows: Node}} what
 */
export function bars({ title, words, days, legend, top, topWords, rows }) {
  const step = WIDE / days.length;
  const shapes = days.flatMap(({ parts, tip }, at) => {
    let base = HIGH;
    const blocks = parts.map((value, index) => {
      const height = (value / top) * HIGH;
      base -= height;
      return drawn("rect", { class: `block c${index + 1}`, x: at * step + step * 0.1, y: base, width: step * 0.8, height });
    });
    const hover = drawn("rect", { class: "hover", x: at * step, y: 0, width: step, height: HIGH });
    return [drawn("g", {}, drawn("title", {}, tip), hover, ...blocks)];
  });
  return frame(title, words, [...grid(), ...shapes], { top: topWords, from: days[0].label, until: days.at(-1).label, legend, rows });
}
