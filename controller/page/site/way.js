// The way of a traced packet as a line through the picture.

import { keyOf } from "./model.js";

// wayPoints returns { points, keys, arrives, level }: where the line goes, the objects
// there, whether it comes to whom it was sent, and otherwise how bad that is. placeOf
// gives the place of a port.
export function wayPoints(way, layout, placeOf) {
  const points = [];
  const keys = [];
  const go = (key, at) => {
    if (!at) return;
    points.push({ x: at.x, y: at.y });
    keys.push(key);
  };
  const end = (port, network) => {
    if (port) go(keyOf("port", port), placeOf(port));
    else if (network) go(keyOf("network", network), layout.byKey.get(keyOf("network", network)));
  };
  end(way.from.port, way.from.network);
  if (way.verdict === "switched") {
    end(way.to.port, way.to.network);
    return { points, keys, arrives: true };
  }
  if (way.router) go(keyOf("router", way.router), layout.byKey.get(keyOf("router", way.router)));
  if (way.verdict === "answered") {
    points.push({ ...points[0] });
    return { points, keys, arrives: true };
  }
  if (way.verdict !== "routed") return { points, keys, arrives: false, level: way.verdict === "kernel" ? "busy" : "bad" };
  const exit = way.exits.find((e) => e.port && e.port === way.to.port) ?? way.exits[0];
  end(exit?.port, exit?.network);
  return { points, keys, arrives: true };
}
