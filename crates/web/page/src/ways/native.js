// HLS by the browser itself, where it has no Media Source Extensions for hls.js: older iPhones.

import { sources } from "../address.js";

export const isPossible = () => document.createElement("video").canPlayType("application/vnd.apple.mpegurl") !== "";

/** Plays until it cannot go on; as that of hls.js does. */
export function play(video, address, ended) {
  const events = {
    ended: () => ended({ kind: "ended" }),
    error: () => ended({ kind: "network", detail: video.error?.message }),
  };
  for (const [event, heard] of Object.entries(events)) {
    video.addEventListener(event, heard);
  }
  video.src = sources(address).index;
  const end = () => (video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : 0);
  return {
    newest: end,
    catchUp: () => {
      video.currentTime = end();
    },
    figures: () => {
      const date = video.getStartDate?.().getTime();
      return {
        codecs: [],
        latency: date ? (Date.now() - date) / 1000 - video.currentTime : undefined,
        latencyBy: "since the node took the picture, if its clock and this one agree",
      };
    },
    stop() {
      for (const [event, heard] of Object.entries(events)) {
        video.removeEventListener(event, heard);
      }
      video.removeAttribute("src");
      video.load();
    },
  };
}
