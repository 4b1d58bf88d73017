// What the node says of a stream, asked apart from any player: those tell little of why they fail.

import { sources } from "./address.js";
import { listed, unsupported } from "./codecs.js";

// A node that says nothing for so long does not answer: it may wait for a stream that is about to come.
const PATIENCE = 15_000;

/**
 * @typedef {object} Answer
 * @property {"there" | "ended" | "refused" | "silent"} kind
 * @property {number} [status] of HTTP
 * @property {string} [sentence] the node's own
 * @property {number} [wait] the seconds after which the node wants to be asked again
 * @property {string[]} [unsupported] the codecs of a stream that this browser does not know
 */

/** @returns {Promise<Answer>} */
export async function ask(address) {
  const { index, media, flv } = sources(address);
  const isFlv = address.way === "flv" || address.way === "ws";
  try {
    if (isFlv) {
      // To be given the stream itself would cost what a play costs.
      const answer = await request(flv, "HEAD");
      return answer.ok ? { kind: "there" } : refusal(answer);
    }
    const answer = await request(media, "GET");
    if (!answer.ok) {
      return refusal(answer);
    }
    if ((await answer.text()).includes("#EXT-X-ENDLIST")) {
      return { kind: "ended" };
    }
    const variants = await request(index, "GET");
    return { kind: "there", unsupported: unsupported(listed(await variants.text())) };
  } catch {
    return { kind: "silent" };
  }
}

function request(url, method) {
  return fetch(url, { method, cache: "no-store", signal: AbortSignal.timeout?.(PATIENCE) });
}

async function refusal(answer) {
  const wait = Number(answer.headers.get("Retry-After")) || undefined;
  const sentence = await answer.json().then(
    (said) => said.error,
    () => undefined,
  );
  return { kind: "refused", status: answer.status, sentence, wait };
}
