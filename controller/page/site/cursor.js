// The keyboard in the picture: where an arrow key leads.

import { indexOf } from "./layout.js";
import { keyOf, parseKey } from "./model.js";

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// next returns the key of what an arrow leads to from an object, or undefined. In a
// network it leads from machine to machine and, at the rim, out of it.
export function next(layout, world, from, arrow) {
  const [dx, dy] = WAYS[arrow];
  const { kind, id } = parseKey(from ?? "");
  const node = layout.byKey.get(from);
  if (kind === "network" && node?.ports.length && arrow === "ArrowDown") return keyOf("port", node.ports[0].id);
  if (kind === "port") {
    const card = layout.byKey.get(keyOf("network", world.ports.get(id)?.network));
    if (!card) return layout.nodes[0]?.key;
    const i = indexOf(card, id);
    const column = (i % card.columns) + dx;
    const to = i + dx + dy * card.columns;
    if (to < 0) return card.key;
    if (column >= 0 && column < card.columns && to < card.ports.length) return keyOf("port", card.ports[to].id);
    return dy < 0 ? card.key : nearest(layout, card, dx, dy) ?? card.key;
  }
  if (!node) return layout.nodes[0]?.key;
  return nearest(layout, node, dx, dy);
}

// nearest returns the key of the node that is nearest in a direction: what is off to
// the side counts double.
function nearest(layout, from, dx, dy) {
  let best;
  let least = Infinity;
  for (const n of layout.nodes) {
    const along = (n.x - from.x) * dx + (n.y - from.y) * dy;
    const aside = Math.abs((n.x - from.x) * dy) + Math.abs((n.y - from.y) * dx);
    if (n === from || along <= 0 || aside > 2 * along) continue;
    const d = along + 2 * aside;
    if (d < least) [best, least] = [n.key, d];
  }
  return best;
}
