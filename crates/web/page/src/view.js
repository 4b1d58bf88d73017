// What stands on the page.

import { WAYS } from "./address.js";
import { named } from "./codecs.js";

const element = (id) => document.getElementById(id);

const STATES = { playing: "live", standing: "standing", connecting: "connecting", waiting: "waiting", cannot: "cannot play" };

const NONE = "–";
// Who is so much farther behind than meant has paused, and may want to be live again; in seconds.
const FAR_BEHIND = 3;

/** Asks which stream is meant, where the address names none. */
export function choose() {
  const form = element("choose");
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const path = element("stream").value.trim().replace(/^\/+/, "");
    location.assign(`/watch/${path.split("/").map(encodeURIComponent).join("/")}${location.search}`);
  });
  element("stream").focus();
}

/**
 * Shows the player of a stream.
 *
 * @param {import("./address.js").Address} address
 * @param {{way: (id: string) => void, now: () => void, live: () => void}} wishes heard of what the viewer does
 */
export function show(address, wishes) {
  document.title = `${address.stream} · Weir`;
  element("name").textContent = address.stream;
  element("screen").hidden = false;
  element("about").hidden = false;
  const video = element("video");
  video.setAttribute("aria-label", `Live picture of ${address.stream}`);
  // Sound waits for a wish: browsers let nothing else play by itself.
  video.muted = true;
  video.autoplay = true;
  const unmute = element("unmute");
  const offer = () => {
    unmute.hidden = !video.muted || video.readyState === 0;
  };
  for (const event of ["volumechange", "loadeddata", "emptied"]) {
    video.addEventListener(event, offer);
  }
  unmute.addEventListener("click", () => {
    video.muted = false;
    video.focus();
  });
  element("now").addEventListener("click", wishes.now);
  element("live").addEventListener("click", wishes.live);
  offerWays(address.way, wishes.way);
  return video;
}

function offerWays(chosen, choose) {
  for (const { id, name, about } of WAYS) {
    const [label, input, note] = ["label", "input", "small"].map((kind) => document.createElement(kind));
    Object.assign(input, { type: "radio", name: "way", value: id, checked: id === chosen });
    input.addEventListener("change", () => choose(id));
    note.textContent = about;
    label.append(input, name, note);
    element("ways").append(label);
  }
}

/** Says how it is. */
export function tell({ state, sentence, detail }) {
  const badge = element("badge");
  badge.hidden = false;
  badge.textContent = STATES[state];
  badge.className = state;
  element("sentence").textContent = sentence ?? "";
  element("detail").textContent = detail ?? "";
  element("message").hidden = !sentence;
  element("screen").className = state;
  element("now").hidden = state !== "waiting";
  // Where there is nothing to see there is nothing to control.
  element("video").controls = state === "playing" || state === "standing";
}

/** Shows the figures of the moment. */
export function write(figures, video) {
  const isShown = figures.firstFrame !== undefined;
  const rows = Object.entries({
    Latency: isShown && figures.latency ? [seconds(figures.latency), figures.latencyBy] : NONE,
    Stalls: `${figures.stalls}${figures.stalls ? ` (${seconds(figures.stalledSeconds)})` : ""}`,
    Picture: picture(figures, video),
    Codecs: figures.codecs?.map(named).join(", ") || NONE,
    "Dropped frames": figures.frames ? `${figures.droppedFrames} of ${figures.frames}` : NONE,
    "First picture": isShown ? `after ${seconds(figures.firstFrame)}` : NONE,
  });
  const { state, latency = 0, targetLatency = 0 } = figures;
  element("live").hidden = state !== "playing" || latency < targetLatency + FAR_BEHIND;
  const list = element("figures");
  rows.forEach(([name, told], at) => {
    const [value, note = ""] = [told].flat();
    const cell = (list.children[at] ?? list.appendChild(newRow(name))).lastChild;
    change(cell.firstChild, value);
    change(cell.lastChild, note);
  });
}

function change(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

function newRow(name) {
  const [row, term, cell, note] = ["div", "dt", "dd", "small"].map((kind) => document.createElement(kind));
  term.textContent = name;
  cell.append(new Text(), note);
  row.append(term, cell);
  return row;
}

function picture({ frameRate }, { videoWidth, videoHeight }) {
  if (!videoWidth) {
    return NONE;
  }
  const rate = frameRate ? `, ${Math.round(frameRate * 100) / 100} fps` : "";
  return `${videoWidth} × ${videoHeight}${rate}`;
}

function seconds(count) {
  return `${count.toFixed(count < 10 ? 2 : 0)} s`;
}
