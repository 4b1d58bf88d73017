// Codecs by the names that people know.

const NAMES = [
  [/^(avc[13]|h264)/i, "H.264"],
  [/^(hvc1|hev1|h265|hevc)/i, "HEVC (H.265)"],
  [/^(av01|av1)/i, "AV1"],
  [/^(vp09|vp9)/i, "VP9"],
  [/^(vp08|vp8)/i, "VP8"],
  [/^mp4a\.(69|6b|40\.34)|^\.?mp3/i, "MP3"],
  [/^(mp4a|aac)/i, "AAC"],
  [/^opus/i, "Opus"],
  [/^flac/i, "FLAC"],
  [/^ac-3/i, "AC-3"],
  [/^ec-3/i, "E-AC-3"],
];

/** What `avc1.64001f` is called. */
export function named(codec) {
  const known = NAMES.find(([pattern]) => pattern.test(codec));
  return known ? known[1] : codec;
}

/** Whether it is for pictures. */
export function isVideo(codec) {
  return /^(avc|hvc|hev|av01|vp0|h26)/i.test(codec);
}

/** Those of some codecs that this browser cannot play. */
export function unsupported(codecs) {
  const source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
  const plays = (codec) => {
    const type = `${isVideo(codec) ? "video" : "audio"}/mp4; codecs="${codec}"`;
    return source ? source.isTypeSupported(type) : document.createElement("video").canPlayType(type) !== "";
  };
  return codecs.filter((codec) => !plays(codec));
}

/** The codecs that a multivariant playlist names. */
export function listed(playlist) {
  const attribute = /#EXT-X-STREAM-INF:.*\bCODECS="([^"]*)"/.exec(playlist);
  return attribute ? attribute[1].split(",").filter(Boolean) : [];
}
