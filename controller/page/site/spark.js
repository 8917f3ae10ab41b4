// Sparklines: rates of the last 15 minutes as small curves.

import { attr, s } from "./dom.js";
import { bits } from "./rates.js";

export const SLOTS = 60; // samples of 15 minutes

// curve returns the paths of a line and of the area below it, in a box of a width and a
// height. The latest value is at the right edge; where a value is negative it is unknown,
// and there is a gap.
export function curve(values, width, height, most) {
  const step = width / (SLOTS - 1);
  const at = (i) => width - (values.length - 1 - i) * step;
  const y = (v) => height - 1 - (most > 0 ? (v / most) * (height - 2) : 0);
  const n = (v) => Number(v.toFixed(1));
  let line = "";
  let area = "";
  for (let i = 0; i < values.length; i++) {
    if (values[i] < 0) continue;
    const first = i;
    const points = [];
    for (; i < values.length && values[i] >= 0; i++) points.push(`${n(at(i))} ${n(y(values[i]))}`);
    if (points.length === 1) points.unshift(`${n(at(first) - Math.min(2, step))} ${n(y(values[first]))}`);
    line += "M" + points.join("L");
    area += `M${points[0].split(" ")[0]} ${height}L${points.join("L")}L${points.at(-1).split(" ")[0]} ${height}Z`;
  }
  return { line, area };
}

// words says in words what a curve shows.
export function words(values, unit = bits) {
  const known = values.filter((v) => v >= 0);
  if (known.length === 0) return "no history yet";
  return `the last ${span(values.length)}: at most ${unit(Math.max(...known))}, now ${values.at(-1) < 0 ? "unknown" : unit(values.at(-1))}`;
}

function span(samples) {
  const seconds = samples * 15;
  return seconds < 90 ? `${seconds} seconds` : `${Math.round(seconds / 60)} minutes`;
}

// A Spark is a sparkline of one or two series of rates; the first one has an area.
export class Spark {
  constructor({ width = 120, height = 26, name, classes = "" }) {
    Object.assign(this, { width, height, name });
    this.area = s("path", { class: "area" });
    this.lines = [s("path", { class: "out" }), s("path", { class: "in" })];
    this.el = s("svg", { class: "spark " + classes, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" }, this.area, this.lines);
    this.set([]);
  }

  // set shows series, on a scale up to the largest rate of all of them.
  set(...series) {
    const most = Math.max(0, ...series.flat());
    this.lines.forEach((line, i) => {
      const c = curve(series[i] ?? [], this.width, this.height, most);
      attr(line, "d", c.line);
      if (i === 0) attr(this.area, "d", c.area);
    });
    const text = `${this.name}, ${words(series[0] ?? [])}`;
    attr(this.el, "aria-label", text);
    attr(this.el, "data-tip", text);
    attr(this.el, "data-points", (series[0] ?? []).filter((v) => v >= 0).length);
  }
}
