// The layout of a neighbourhood: a router in the middle, its networks to the left and to the
// right of it, and the other routers beyond the networks that they are on.

const GAP = 24; // between cards in a column
const LINK = 175; // from the router to its networks
const SHORT = 175; // from a network to other routers
const MANY = 6; // other routers in a column from which their cards are low
const LOW = 40; // height of a low card

export const MOST = 12; // networks that have room beside a router

// placeAround gives the nodes of an island their places around a router that is on no more than
// MOST networks. Networks and other routers are reached by its links.
export function placeAround(root) {
  const networks = [...new Set(root.links.map((e) => e.network))];
  const placed = new Set([root]);
  const blocks = networks.map((n) => {
    const others = [...new Set(n.links.map((e) => e.router))].filter((r) => !placed.has(r));
    others.forEach((r) => placed.add(r));
    if (others.length > MANY) others.forEach((r) => (r.h = LOW));
    return { network: n, others, h: Math.max(n.h, column(others)) };
  });
  // Those with other routers are to the right, and the rest where there is more room.
  const sides = { left: [], right: [] };
  for (const b of blocks.toSorted((x, y) => y.others.length - x.others.length)) {
    const side = b.others.length ? "right" : "left";
    const other = side === "left" ? "right" : "left";
    sides[column(sides[side]) > column(sides[other]) + b.h ? other : side].push(b);
  }
  if (sides.right.length === 0 && sides.left.length > 1) sides.right = sides.left.splice(Math.ceil(sides.left.length / 2));
  root.x = root.y = 0;
  for (const [name, way] of [["left", -1], ["right", 1]]) {
    const wide = Math.max(0, ...sides[name].map((b) => b.network.w));
    stack(sides[name], (b, y) => {
      b.network.x = way * (root.w / 2 + LINK + wide / 2);
      b.network.y = y;
      const far = Math.max(0, ...b.others.map((r) => r.w));
      stack(b.others, (r, dy) => {
        r.x = way * (root.w / 2 + LINK + wide + SHORT + far / 2);
        r.y = y + dy;
      });
    });
  }
}

function column(boxes) {
  return boxes.reduce((sum, b) => sum + b.h + GAP, 0) - (boxes.length ? GAP : 0);
}

// stack calls put with each box of a column and the middle of its place.
function stack(boxes, put) {
  let y = -column(boxes) / 2;
  for (const b of boxes) {
    put(b, y + b.h / 2);
    y += b.h + GAP;
  }
}
