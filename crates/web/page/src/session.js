// Plays a stream for as long as the page is open: whatever ends a play, it asks the node why, waits, and begins again.

import { ask } from "./ask.js";
import { CONNECTING, NOT_LOADED, STANDING, ofAnswer, ofCodecs, ofPlay, ofWay } from "./sentences.js";

// The pauses before another try, in seconds: each twice as long as the one before, and some chance, so that a crowd
// does not come back in one moment.
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 10;
// Who has played for so long begins with short pauses again.
const GOOD_PLAY = 10;

// A picture that stands so long is told of, and helped over what holds it, if so much more of the stream is there
// meanwhile: hls.js does not always find what to load next behind a gap.
const TOLD_AFTER = 1;
const HELPED_AHEAD = 0.8;
// One that stands so long does not go on by itself, if so much more of the stream is there meanwhile.
const STUCK_AFTER = 6;
const STUCK_AHEAD = 4;
// While one stands the node is asked so often whether it has the stream at all: players do not always hear of the end.
const ASKED_EVERY = 5;
// A play whose first picture takes so long will not bring any.
const FIRST_WITHIN = 30;
const LOOK = 250;

/**
 * @typedef {object} News
 * @property {"connecting" | "playing" | "standing" | "waiting" | "cannot"} state
 * @property {string} [sentence]
 * @property {string} [detail]
 */

export class Session {
  #video;
  #meter;
  #tell;
  #stop = new AbortController();
  #wake = () => {};
  #play;
  #news = { state: "connecting" };
  #plays = 0;
  #ends = [];

  /** @param {(news: News) => void} tell hears of each change */
  constructor(video, meter, tell) {
    this.#video = video;
    this.#meter = meter;
    this.#tell = tell;
  }

  /** Plays this from now on, and nothing else. `load` brings the code of the way. */
  start(address, load) {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#run(address, load, this.#stop.signal);
  }

  /** Tries at once, if it waits. */
  now() {
    this.#wake();
  }

  /** Goes to where the stream is live. */
  catchUp() {
    this.#play?.catchUp();
  }

  /** What is played, and how. */
  figures() {
    const { state, sentence } = this.#news;
    return { state, sentence, plays: this.#plays, ends: this.#ends, ...this.#meter.read(), ...this.#play?.figures() };
  }

  async #run(address, load, stop) {
    const say = (news) => stop.aborted || this.#say(news);
    say({ state: "connecting", ...CONNECTING });
    const way = await load().catch(() => undefined);
    if (!way?.isPossible()) {
      say({ state: "cannot", ...(way ? ofWay(address.way) : NOT_LOADED) });
      return;
    }
    let tries = 0;
    let wasLive = false;
    while (!stop.aborted) {
      const began = performance.now();
      const end = await this.#once(way, address, stop);
      wasLive ||= this.#meter.hasBegun;
      if (end.kind === "renewed") {
        continue;
      }
      tries = performance.now() - began > GOOD_PLAY * 1000 ? 0 : tries + 1;

      let answer = await ask(address);
      const wasThere = answer.kind === "there";
      for (; answer.kind !== "there" && !stop.aborted; answer = await ask(address)) {
        say({ state: "waiting", ...ofAnswer(answer, address, wasLive) });
        await this.#pause(tries, answer.wait, stop);
        tries += 1;
      }
      const codecs = end.codecs ?? answer.unsupported ?? [];
      if (codecs.length > 0) {
        say({ state: "cannot", ...ofCodecs(codecs) });
        return;
      }
      if (wasThere && tries > 0) {
        say({ state: "waiting", ...ofPlay(end) });
        await this.#pause(tries, undefined, stop);
      }
      say({ state: "connecting", ...CONNECTING });
    }
  }

  /** Plays until that cannot go on, and says why. */
  async #once(way, address, stop) {
    let finish;
    const ended = new Promise((resolve) => {
      finish = resolve;
    });
    const abort = () => finish({ kind: "stopped" });
    stop.addEventListener("abort", abort);
    if (this.#plays > 0) {
      this.#meter.begin();
    }
    this.#plays += 1;
    const play = way.play(this.#video, address, finish);
    this.#play = play;
    const look = setInterval(this.#looker(play, address, finish), LOOK);
    const end = await ended;
    this.#ends = [...this.#ends.slice(-9), [end.kind, end.detail].filter(Boolean).join(": ")];
    clearInterval(look);
    stop.removeEventListener("abort", abort);
    play.stop();
    this.#play = undefined;
    return end;
  }

  /** Looks at the picture now and then: who plays does not tell when it stands for good. */
  #looker(play, address, finish) {
    const began = performance.now();
    let newest = 0;
    let asked = 0;
    let helped = false;
    return () => {
      const { standing, hasBegun } = this.#meter;
      if (!hasBegun) {
        if (!this.#video.paused && performance.now() - began > FIRST_WITHIN * 1000) {
          finish({ kind: "media", detail: "no picture came" });
        }
        return;
      }
      if (standing === 0) {
        newest = play.newest();
        asked = 0;
        helped = false;
      } else if (standing > TOLD_AFTER && !helped && play.newest() - newest > HELPED_AHEAD) {
        helped = true;
        play.catchUp();
      } else if (standing > asked + ASKED_EVERY) {
        asked = standing;
        ask(address).then(({ kind }) => kind === "there" || finish({ kind: "network" }));
      } else if (standing > STUCK_AFTER && play.newest() - newest > STUCK_AHEAD) {
        finish({ kind: "media", detail: "the picture stood still" });
        return;
      }
      this.#say(standing > TOLD_AFTER ? { state: "standing", ...STANDING } : { state: "playing" });
    };
  }

  #pause(tries, atLeast = 0, stop) {
    const longest = Math.min(FIRST_PAUSE * 2 ** Math.min(tries, 10), LONGEST_PAUSE);
    const seconds = Math.max(atLeast, longest * (0.5 + Math.random() / 2));
    return new Promise((resolve) => {
      this.#wake = resolve;
      stop.addEventListener("abort", resolve, { once: true });
      setTimeout(resolve, seconds * 1000);
    });
  }

  #say(news) {
    const { state, sentence, detail } = this.#news;
    if (news.state !== state || news.sentence !== sentence || news.detail !== detail) {
      this.#news = news;
      this.#tell(news);
    }
  }
}
