// Low-latency HLS by hls.js.

import Hls from "hls.js";

import { sources } from "../address.js";
import { unsupported } from "../codecs.js";

export const isPossible = () => Hls.isSupported();

// One that fails is asked again, later each time, as long as that may help. What the node refuses for good (404, 401)
// ends the play, and whoever started it asks the node what is the matter.
const RETRY = {
  maxNumRetry: 6,
  retryDelayMs: 250,
  maxRetryDelayMs: 4000,
  shouldRetry: ({ maxNumRetry }, count, isTimeout, answer) => {
    const status = answer?.code ?? 0;
    const mayHelp = isTimeout || status === 0 || status === 429 || status >= 500;
    return mayHelp && count < maxNumRetry;
  },
};
const POLICY = { default: { maxTimeToFirstByteMs: 15_000, maxLoadTimeMs: 30_000, timeoutRetry: RETRY, errorRetry: RETRY } };

/**
 * Begins anew in a source buffer where the stream does. Else the first sound behind a gap makes Chromium wait for
 * another keyframe, though it has just been given one: a gap of one track of a buffer is a gap of all.
 */
class Buffers extends Hls.DefaultConfig.bufferController {
  updateTimestampOffset(buffer, offset, tolerance, ...more) {
    if (Math.abs(offset - buffer.timestampOffset) >= tolerance) {
      buffer.abort();
    }
    super.updateTimestampOffset(buffer, offset, tolerance, ...more);
  }
}

const SETTINGS = {
  bufferController: Buffers,
  lowLatencyMode: true,
  // What comes is fragmented MP4 already: a worker would only pass it on.
  enableWorker: false,
  // What was shown is left to the browser to throw away. Where hls.js does it while parts come in, it forgets which of
  // them it has, and at the end of the segment it does not go on (1.7.4).
  backBufferLength: Infinity,
  // How much farther behind it plays after each stall, in seconds.
  liveSyncOnStallIncrease: 0.25,
  // How fast it may play to come back to the distance from live that the playlist asks for.
  maxLiveSyncPlaybackRate: 1.5,
  manifestLoadPolicy: POLICY,
  playlistLoadPolicy: POLICY,
  fragLoadPolicy: POLICY,
};

// Farther behind than so many segments it jumps. (Its constructor wants this only with a distance in segments, too.)
const MOST_BEHIND = 4;

// So many mendings of a decoder in this time are enough: then all begins anew.
const MENDINGS = 3;
const MENDING_PERIOD = 30_000;

// There is nothing to mend. Which codecs those are, errors or the playlist tell.
const NO_DECODER = [
  Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
  Hls.ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
  Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR,
];

/**
 * Plays until it cannot go on.
 *
 * @param {HTMLVideoElement} video
 * @param {import("../address.js").Address} address
 * @param {(end: {kind: string, detail?: string, codecs?: string[]}) => void} ended told once
 */
export function play(video, address, ended) {
  const hls = new Hls({ ...SETTINGS, debug: address.debug });
  hls.config.liveMaxLatencyDurationCount = MOST_BEHIND;
  if (address.debug) {
    globalThis.hls = hls;
  }
  const errors = { fatal: 0, stalls: 0, other: 0, last: [] };
  const mendings = [];
  let isLive = true;
  let last;

  hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => {
    isLive = details.live;
    // Nothing of what was known is left: the node that took the stream is gone, or this one was asleep.
    if (last !== undefined && details.startSN > last + 1) {
      ended({ kind: "renewed" });
    }
    last = details.endSN;
  });
  hls.on(Hls.Events.ERROR, (_, error) => {
    note(errors, error);
    const codecs = unknown(error);
    const isMedia = error.type === Hls.ErrorTypes.MEDIA_ERROR;
    if (codecs.length > 0) {
      ended({ kind: "codec", codecs });
    } else if (error.fatal && isMedia && !NO_DECODER.includes(error.details) && mayMend(mendings)) {
      hls.recoverMediaError();
    } else if (error.fatal) {
      ended({ kind: isMedia ? "media" : "network", detail: error.details });
    }
  });
  const over = () => !isLive && ended({ kind: "ended" });
  video.addEventListener("ended", over);

  hls.loadSource(sources(address).index);
  hls.attachMedia(video);

  return {
    /** The end of what there is to play, wherever the picture stands. */
    newest: () => hls.latestLevelDetails?.edge ?? 0,
    /** Back to where the picture is live. */
    catchUp: () => {
      video.currentTime = hls.liveSyncPosition ?? video.currentTime;
    },
    figures: () => ({ ...told(hls), errors }),
    stop() {
      video.removeEventListener("ended", over);
      hls.destroy();
    },
  };
}

function told(hls) {
  const level = hls.levels[hls.currentLevel] ?? hls.levels[0];
  const date = hls.playingDate;
  return {
    codecs: [level?.videoCodec, level?.audioCodec].filter(Boolean),
    frameRate: level?.frameRate || undefined,
    latency: hls.latency || undefined,
    latencyBy: "behind the newest part of the stream, as hls.js estimates it",
    targetLatency: hls.targetLatency ?? undefined,
    // By the clock of the node that took the stream: right if this machine's agrees.
    byClock: date ? (Date.now() - date.getTime()) / 1000 : undefined,
  };
}

function note(errors, { fatal, details, response, error }) {
  errors.fatal += fatal ? 1 : 0;
  errors.stalls += details === Hls.ErrorDetails.BUFFER_STALLED_ERROR ? 1 : 0;
  errors.other += fatal ? 0 : 1;
  const what = [details, response?.code, error?.message].filter(Boolean).join(" ");
  errors.last = [...errors.last.slice(-9), `${fatal ? "fatal " : ""}${what}`];
}

function mayMend(mendings) {
  const now = performance.now();
  const recent = mendings.filter((at) => at > now - MENDING_PERIOD);
  mendings.splice(0, Infinity, ...recent, now);
  return recent.length < MENDINGS;
}

/** The codecs that an error is about because this browser does not know them. */
function unknown({ details, mimeType }) {
  return NO_DECODER.includes(details) ? unsupported(/codecs="?([^"]*)/.exec(mimeType ?? "")?.[1].split(",") ?? []) : [];
}
