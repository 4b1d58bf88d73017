// What is the matter, in words for who watches.

import { WAYS } from "./address.js";
import { named } from "./codecs.js";

/** @returns {{sentence: string, detail?: string}} what a codec that is not known here means */
export function ofCodecs(codecs) {
  const names = [...new Set(codecs.map(named))].join(" and ");
  return {
    sentence: `This browser cannot play ${names}.`,
    detail: `The stream is encoded so (${codecs.join(", ")}). Another browser or device may be able to.`,
  };
}

/** What a way means that this browser does not have. */
export function ofWay(way) {
  const { name = "HLS" } = WAYS.find(({ id }) => id === way) ?? {};
  return {
    sentence: `This browser cannot play ${name}.`,
    detail: "It has no Media Source Extensions. Another way below may do.",
  };
}

/**
 * What the node said when it was asked.
 *
 * @param {import("./ask.js").Answer} answer
 * @param {{stream: string, token: string}} address
 * @param {boolean} wasLive whether it played before
 */
export function ofAnswer({ kind, status, sentence: detail }, { stream, token }, wasLive) {
  if (kind === "ended") {
    return { sentence: ENDED };
  }
  if (kind === "silent") {
    return { sentence: "The node does not answer.", detail: "It may be restarting, or the network is down." };
  }
  switch (status) {
    case 401:
      return {
        sentence: token ? "The token is not accepted for this stream." : "This stream needs a token.",
        detail: "It belongs at the end of this page's address: ?token=…",
      };
    case 403:
      return { sentence: token ? "This may not be watched with this token." : "This stream cannot be watched here.", detail };
    case 404:
      return wasLive ? { sentence: ENDED } : { sentence: `Nobody publishes ${stream} at the moment.`, detail: STARTS };
    case 429:
      return { sentence: "Too many viewers come from your address.", detail };
    case 503:
      return { sentence: "The node is full, or about to leave.", detail };
    default:
      return { sentence: `The node refuses this (${status}).`, detail };
  }
}

const STARTS = "This page starts by itself when somebody does.";
const ENDED = "The stream has ended. This page goes on by itself when it starts again.";

/** No more comes of a stream that was there a moment ago. */
export const STANDING = {
  sentence: "No new pictures come.",
  detail: "The encoder or the network may be away for a moment.",
};

/** A play ended, though the node has the stream. */
export function ofPlay({ kind, detail }) {
  const sentence = kind === "media" ? "The picture could not be shown." : "The connection broke.";
  return { sentence: `${sentence} Trying again…`, detail };
}

export const NOT_LOADED = {
  sentence: "The player could not be loaded.",
  detail: "Load this page again.",
};

export const CONNECTING = { sentence: "Connecting…" };
