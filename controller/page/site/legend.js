// The legend: which sign is which state, and how much traffic a line of a width is.

import { SIGNS, h, s } from "./dom.js";
import { bits, lineWidth } from "./rates.js";

const STATES = [
  ["ok", "settled", "The switch has confirmed everything that is wanted"],
  ["busy", "working", "The switch is being read, or flows are being sent"],
  ["warn", "degraded", "The switch refuses a part, or there are problems"],
  ["bad", "disconnected", "The bridge is not connected: it goes on with the flows that it has"],
  ["idle", "standby, down", "Another daemon leads, or the machine is switched off or not bound"],
];
const RATES = [0, 1e3, 1e6, 1e9];

// fill makes the legend.
export function fill(el) {
  const line = (rate) => s("svg", { viewBox: "0 0 30 10", class: "sample" + (rate ? "" : " quiet"), "aria-hidden": "true" }, s("path", { d: "M1 5H29", "stroke-width": rate ? lineWidth(rate) : 1.5 }));
  el.append(h("ul", { "aria-label": "Signs" }, STATES.map(([level, word, tip]) => h("li", { "data-tip": tip }, s("svg", { viewBox: "0 0 16 16", class: level, "aria-hidden": "true" }, s("path", { d: SIGNS[level] })), word))),
    h("ul", { "aria-label": "Traffic" }, RATES.map((rate) => h("li", { "data-tip": "The wider a line, the more traffic: each step of ten counts the same. Dashes move the way that packets go" }, line(rate), rate ? bits(rate).replace(".0", "") : "no traffic"))));
}
