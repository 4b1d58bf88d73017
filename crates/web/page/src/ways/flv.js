// HTTP-FLV and WebSocket-FLV by mpegts.js.

import mpegts from "mpegts.js";

import { sources } from "../address.js";

export const isPossible = () => mpegts.isSupported();

const SETTINGS = {
  // What has come is played: nothing is held back, and nothing is fetched later.
  enableStashBuffer: false,
  lazyLoad: false,
  autoCleanupSourceBuffer: true,
  autoCleanupMaxBackwardDuration: 60,
  autoCleanupMinBackwardDuration: 30,
};

// So much of what has come lies before the picture, in seconds. More is caught up with: faster where it is a little,
// by a jump where it is much. A play begins with up to a whole group of pictures more. With less a pause of the network or
// of the browser that nobody would notice stops the picture.
const REST = 0.45;
const MORE = 0.72;
const MUCH = 1.2;
const RATE = 1.15;

/** Plays until it cannot go on; as that of hls.js does. */
export function play(video, address, ended) {
  mpegts.LoggingControl.enableAll = address.debug;
  const url = sources(address)[address.way];
  const player = mpegts.createPlayer({ type: "flv", isLive: true, url }, SETTINGS);
  const errors = { fatal: 0, stalls: 0, other: 0, last: [] };
  let info = {};

  player.on(mpegts.Events.MEDIA_INFO, (told) => {
    info = told;
  });
  // The node has closed: whoever started this asks it why.
  player.on(mpegts.Events.LOADING_COMPLETE, () => ended({ kind: "network", detail: "the node closed" }));
  player.on(mpegts.Events.ERROR, (type, detail, more) => {
    errors.fatal += 1;
    errors.last.push(`${type} ${detail} ${more?.msg ?? ""}`);
    ended(endOf(type, detail, more));
  });
  const keepUp = () => chase(video);
  video.addEventListener("progress", keepUp);
  video.addEventListener("timeupdate", keepUp);

  player.attachMediaElement(video);
  player.load();

  return {
    newest: () => lastBuffered(video),
    catchUp: () => jump(video),
    figures: () => ({
      codecs: [info.videoCodec, info.audioCodec].filter(Boolean),
      frameRate: info.fps || undefined,
      latency: lastBuffered(video) > 0 ? lastBuffered(video) - video.currentTime : undefined,
      latencyBy: "from the picture to the end of what has come; the way here is not in it",
      errors,
    }),
    stop() {
      video.removeEventListener("progress", keepUp);
      video.removeEventListener("timeupdate", keepUp);
      video.playbackRate = 1;
      player.destroy();
    },
  };
}

function endOf(type, detail, more) {
  const said = more?.msg ?? detail;
  if (detail === mpegts.ErrorDetails.MEDIA_CODEC_UNSUPPORTED) {
    return { kind: "codec", codecs: [String(said).split(": ").pop()] };
  }
  // A source buffer of a codec that the browser does not know.
  const refused = /codecs=([^'"; ]+)/.exec(said);
  if (type === mpegts.ErrorTypes.MEDIA_ERROR && refused) {
    return { kind: "codec", codecs: [refused[1]] };
  }
  const kind = type === mpegts.ErrorTypes.NETWORK_ERROR ? "network" : "media";
  return { kind, detail: `${detail}: ${said}` };
}

function lastBuffered({ buffered }) {
  return buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
}

function jump(video) {
  video.currentTime = Math.max(lastBuffered(video) - REST, 0);
}

function chase(video) {
  const ahead = lastBuffered(video) - video.currentTime;
  if (video.paused || video.seeking) {
    return;
  }
  if (ahead > MUCH) {
    jump(video);
  } else if (ahead > MORE) {
    video.playbackRate = RATE;
  } else if (ahead < REST) {
    video.playbackRate = 1;
  }
}
