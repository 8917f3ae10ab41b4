// Light, dark, or as the system has it.

import { attr } from "./dom.js";

const THEMES = ["auto", "light", "dark"];
const WORDS = { auto: "as the system", light: "light", dark: "dark" };
const ICONS = {
  auto: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  light: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13",
  dark: "M13 9.6A5.6 5.6 0 1 1 6.4 3a4.6 4.6 0 0 0 6.6 6.6",
};

// begin makes button switch between the themes. changed is called after each change.
export function begin(button, changed) {
  let theme = THEMES.includes(kept()) ? kept() : "auto";
  const apply = () => {
    attr(document.documentElement, "data-theme", theme);
    attr(button, "aria-label", "Theme: " + WORDS[theme]);
    attr(button, "title", "Theme: " + WORDS[theme]);
    button.querySelector("path").setAttribute("d", ICONS[theme]);
    changed();
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    keep(theme);
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  apply();
}

// A browser may be told to keep nothing: the choice is then for this visit.
function kept() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function keep(theme) {
  try {
    localStorage.setItem("theme", theme);
  } catch {
    return;
  }
}
