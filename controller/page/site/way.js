// The way of a traced packet as a line through the picture.

import { keyOf } from "./model.js";

// wayPoints returns { points, arrives, level }: where the line goes, whether it comes
// to whom it was sent, and otherwise how bad that is. placeOf gives the place of
// a port.
export function wayPoints(way, layout, placeOf) {
  const points = [];
  const go = (at) => {
    if (at) points.push({ x: at.x, y: at.y });
  };
  const network = (id) => layout.byKey.get(keyOf("network", id));
  go(way.from.port ? placeOf(way.from.port) : way.from.network && network(way.from.network));
  if (way.verdict === "switched") {
    go(way.to.port ? placeOf(way.to.port) : network(way.to.network));
    return { points, arrives: true };
  }
  const router = way.router && layout.byKey.get(keyOf("router", way.router));
  go(router);
  if (way.verdict === "answered") {
    points.push({ ...points[0] });
    return { points, arrives: true };
  }
  if (way.verdict !== "routed") return { points, arrives: false, level: way.verdict === "kernel" ? "busy" : "bad" };
  const exit = way.exits.find((e) => e.port && e.port === way.to.port) ?? way.exits[0];
  go(exit?.port ? placeOf(exit.port) : exit?.network && network(exit.network));
  return { points, arrives: true };
}
