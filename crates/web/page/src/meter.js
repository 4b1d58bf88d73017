// What a viewer sees: when the first picture came, how often it stood still, how many frames were dropped.

/** Measures a video element for as long as the page is open. */
export class Meter {
  #video;
  // The page itself is waited for too, so the first play begins with it.
  #begun = 0;
  #first;
  #stoodSince;
  #stalls = 0;
  #stalled = 0;

  constructor(video) {
    this.#video = video;
    video.addEventListener("waiting", () => this.#stands());
    for (const event of ["playing", "pause", "emptied", "ended"]) {
      video.addEventListener(event, () => this.#goes());
    }
    video.addEventListener("playing", () => this.#shown());
    this.#awaitFirst();
  }

  /** Another play begins: its first picture is waited for anew. */
  begin() {
    this.#goes();
    this.#begun = performance.now();
    this.#first = undefined;
    this.#awaitFirst();
  }

  #awaitFirst() {
    this.#video.requestVideoFrameCallback?.(() => this.#shown());
  }

  #shown() {
    this.#first ??= performance.now();
  }

  #stands() {
    const { paused, seeking } = this.#video;
    // Before the first picture it is no stall, and who seeks or pauses wants it so.
    if (this.hasBegun && !paused && !seeking && this.#stoodSince === undefined) {
      this.#stoodSince = performance.now();
      this.#stalls += 1;
    }
  }

  #goes() {
    this.#stalled += this.standing;
    this.#stoodSince = undefined;
  }

  /** For how long the picture has stood still, in seconds. */
  get standing() {
    return this.#stoodSince === undefined ? 0 : (performance.now() - this.#stoodSince) / 1000;
  }

  /** Whether there was a picture since the play began. */
  get hasBegun() {
    return this.#first !== undefined;
  }

  read() {
    const quality = this.#video.getVideoPlaybackQuality?.();
    return {
      firstFrame: this.hasBegun ? (this.#first - this.#begun) / 1000 : undefined,
      stalls: this.#stalls,
      stalledSeconds: this.#stalled + this.standing,
      frames: quality?.totalVideoFrames ?? 0,
      droppedFrames: quality?.droppedVideoFrames ?? 0,
    };
  }
}
