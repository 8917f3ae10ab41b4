// The doctor: the daemon examines the whole installation and returns findings with remedies.

import { Problem, get } from "./api.js";
import { h, pill, sign, write } from "./dom.js";
import { plural } from "./model.js";
import { stamp, zone } from "./time.js";

const LEVELS = { problem: "bad", warning: "warn", note: "idle", ok: "ok" };
const AGAIN = 5000; // ms until a result is asked for again that was not finished

// doctorSection returns a section with a heading, a button that examines, and the findings.
export function doctorSection(heading = "h2") {
  const button = h("button", { type: "button", "data-tip": "Reads the database, all bridges with their flows, and all namespaces again. At most one examination a minute is made, for all viewers together" }, "Examine");
  const says = h("p", { class: "says", role: "status" }, "Not examined yet.");
  const box = h("div", { class: "findings" });
  const examine = async () => {
    button.disabled = true;
    write(says, "Examining…");
    for (let tries = 0; tries < 12; tries++) {
      try {
        const { body, age } = await get("/v1/examination");
        write(says, `Examined at ${stamp(Date.now() - 1000 * age)} ${zone()}.`);
        box.replaceChildren(...findings(body));
        break;
      } catch (e) {
        if (!(e instanceof Problem)) throw e;
        write(says, e.message);
        if (e.status !== 503 && e.status !== 0) break;
        await new Promise((done) => setTimeout(done, AGAIN));
        if (!button.isConnected) return;
      }
    }
    button.disabled = false;
  };
  button.addEventListener("click", examine);
  return h("section", { class: "doctor" }, h("div", { class: "line" }, h(heading, {}, "Doctor"), button), says, box);
}

function findings({ problems, warnings, findings: all }) {
  const of = (level) => all.filter((f) => f.level === level);
  const item = (f) => h("li", {}, sign(LEVELS[f.level]), h("div", {}, h("p", {}, h("span", { class: "hidden" }, f.level + ": "), h("strong", {}, f.about), ": " + f.says), f.remedy ? h("p", { class: "remedy" }, "→ " + f.remedy) : null));
  const fine = of("ok");
  return [
    h("p", {}, pill(problems ? { level: "bad", word: plural(problems, "problem") } : warnings ? { level: "warn", word: plural(warnings, "warning") } : { level: "ok", word: "No problems" })),
    h("ul", {}, [...of("problem"), ...of("warning"), ...of("note")].map(item)),
    fine.length ? h("details", {}, h("summary", {}, `${plural(fine.length, "check")} without findings`), h("ul", {}, fine.map(item))) : null,
  ].filter(Boolean);
}
