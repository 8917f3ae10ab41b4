// The flows that serve an object, read from the switch when they are asked for.

import { get, objectPath } from "./api.js";
import { attr, h, write } from "./dom.js";
import { Listbox } from "./listbox.js";
import { plural } from "./model.js";

// flowsSection returns a section with those flows of routers that keep lets through.
export function flowsSection(routers, keep) {
  const says = h("p", { class: "says", role: "status" }, "Reading the flows…");
  const whole = h("pre", { class: "whole", hidden: true, tabindex: 0, "aria-label": "The whole flow" });
  const only = h("input", { type: "text", "aria-label": "Only flows that have", placeholder: "Only flows that have…", autocomplete: "off", spellcheck: "false" });
  const again = h("button", { type: "button" }, "Read again");
  let all = [];
  const box = new Listbox({
    label: "Flows",
    rowHeight: 62,
    most: 6,
    make: () => h("div", { class: "flow" }, h("span", { class: "does" }), h("span", { class: "meta" }), h("code")),
    fill: (row, f) => {
      write(row.children[0], f.does);
      write(row.children[1], `table ${f.table} · priority ${f.priority} · ${plural(f.packets, "packet")}`);
      write(row.children[2], f.flow);
    },
    moved: (f) => {
      whole.hidden = false;
      write(whole, f.flow);
    },
  });
  const show = () => {
    const q = only.value.trim().toLowerCase();
    const some = q ? all.filter((f) => (f.does + "\n" + f.flow).toLowerCase().includes(q)) : all;
    box.set(some);
    whole.hidden ||= some.length === 0;
    write(says, q ? `${plural(some.length, "flow")} of ${all.length.toLocaleString("en")}` : all.length ? plural(all.length, "flow") : "No flows.");
  };
  const read = async () => {
    again.disabled = true;
    try {
      const lists = await Promise.all(routers.map((id) => get(objectPath("router", id) + "/flows")));
      all = lists.flatMap(({ body }) => body.flows.filter(keep));
      attr(says, "class", "says");
      show();
    } catch (e) {
      all = [];
      box.set(all);
      attr(says, "class", "says bad");
      write(says, e.message);
    }
    again.disabled = false;
  };
  again.addEventListener("click", read);
  only.addEventListener("input", show);
  box.set([]);
  const section = h("section", { class: "flows" }, h("div", { class: "line" }, h("h3", {}, "Flows"), again), h("div", { class: "field" }, only), says, box.el, whole);
  if (routers.length === 0) {
    section.replaceChildren(h("h3", {}, "Flows"), h("p", { class: "says" }, "None: there is no router on its network."));
  } else {
    read();
  }
  return section;
}
