// The page /watch/app/name: finds out what is to be played, and puts the parts together.

import "./style.css";
import { read, withWay } from "./address.js";
import { Meter } from "./meter.js";
import { Session } from "./session.js";
import { choose, show, tell, write } from "./view.js";
import * as hls from "./ways/hls.js";
import * as native from "./ways/native.js";

const FIGURES_EVERY = 500;

const flv = () => import("./ways/flv.js");
// hls.js where it can, the browser itself where it has nothing that hls.js could use.
const LOAD = { hls: async () => (hls.isPossible() ? hls : native), native: async () => native, flv, ws: flv };

const address = read(location);
if (address.stream) {
  watch();
} else {
  choose();
}

function watch() {
  const video = show(address, {
    way(way) {
      history.replaceState(null, "", withWay(location, way));
      Object.assign(address, { way });
      session.start({ ...address }, LOAD[way]);
    },
    now: () => session.now(),
    live: () => session.catchUp(),
  });
  const session = new Session(video, new Meter(video), tell);
  session.start({ ...address }, LOAD[address.way]);
  const look = () => write(session.figures(), video);
  look();
  setInterval(look, FIGURES_EVERY);
  // What a sleeping or unconnected device waited for may be there now.
  addEventListener("online", () => session.now());
  document.addEventListener("visibilitychange", () => document.hidden || session.now());
  // For tests, and for who wants to look closer.
  globalThis.weir = session;
}
