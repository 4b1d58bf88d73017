// What the address of the page says: which stream, with which token, by which way.

/** The ways to play, in the order in which they are offered. */
export const WAYS = [
  { id: "hls", name: "LL-HLS", about: "plays everywhere, by plain requests" },
  { id: "flv", name: "HTTP-FLV", about: "least latency, by one long answer" },
  { id: "ws", name: "WebSocket-FLV", about: "the same, by a WebSocket" },
];

// What no name on the page offers: the browser's own player of HLS.
const NATIVE = "native";

/**
 * @typedef {object} Address
 * @property {string} stream `live/cam`; empty if none is named
 * @property {string} token
 * @property {string} way
 * @property {boolean} debug whether players shall write to the console what they do: `?debug`
 */

/** @returns {Address} */
export function read(location) {
  const query = new URLSearchParams(location.search);
  const way = query.get("via");
  const isKnown = way === NATIVE || WAYS.some(({ id }) => id === way);
  return {
    stream: streamOf(location.pathname),
    token: query.get("token") ?? "",
    way: isKnown ? way : "hls",
    debug: query.has("debug"),
  };
}

/** `live/cam` of `/watch/live/cam`. */
function streamOf(path) {
  const encoded = path.replace(/^\/watch\/*/, "").replace(/\/+$/, "");
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/** The address of this page with another way. */
export function withWay(location, way) {
  const query = new URLSearchParams(location.search);
  query.set("via", way);
  return `${location.pathname}?${query}`;
}

/** Where the stream is played from. */
export function sources({ stream, token }) {
  const path = stream.split("/").map(encodeURIComponent).join("/");
  const at = (name, query) => {
    const parameters = new URLSearchParams({ ...query, ...(token && { token }) }).toString();
    return new URL(`/${path}${name}${parameters && `?${parameters}`}`, location.href).href;
  };
  // Players of FLV in browsers know one track of each kind.
  const flv = at(".flv", { tracks: "main" });
  return {
    index: at("/index.m3u8"),
    media: at("/media.m3u8"),
    flv,
    ws: flv.replace(/^http/, "ws"),
  };
}
