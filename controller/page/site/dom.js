// What the other files need to build and change elements. Text is only ever set
// as text, so nothing that an object is called can become markup.

const SVG = "http://www.w3.org/2000/svg";

// h returns an element with attributes, on… listeners and children, which are
// elements, texts, lists of these, or nothing.
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// s is h for SVG.
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(el, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else el.setAttribute(name, value === true ? "" : value);
  }
  for (const c of children.flat(3)) {
    if (c !== undefined && c !== null && c !== false) el.append(c);
  }
  return el;
}

// write sets the text of el, if it is another.
export function write(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

// attr sets an attribute of el, if it is another; undefined and false remove it.
export function attr(el, name, value) {
  if (value === undefined || value === false) el.removeAttribute(name);
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
}

// SIGNS are the shapes of health: it is never told by colour alone.
export const SIGNS = {
  ok: "M3 8.5 6.6 12 13 4.5",
  busy: "M3 8h.01M8 8h.01M13 8h.01",
  warn: "M8 2.5 14 13.5H2zM8 6.5v3M8 11.6h.01",
  bad: "M4 4l8 8M12 4l-8 8",
  idle: "M5.5 4v8M10.5 4v8",
};

// sign returns the shape of a level of health.
export function sign(level) {
  return s("svg", { viewBox: "0 0 16 16", class: "sign " + level, "aria-hidden": "true" }, s("path", { d: SIGNS[level] }));
}

// pill returns a level of health with its word.
export function pill({ level, word }) {
  return h("span", { class: "pill " + level }, sign(level), h("span", {}, word));
}
