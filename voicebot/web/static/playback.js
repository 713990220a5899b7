// The position in a call, with its sound where there is one to play.

const SPEEDS = [0.75, 1, 1.25, 1.5, 1.75, 2];
// Silence is left a little before the next sound, and not for the sake of less than this.
const LEAD_MS = 250;
const WORTH_MS = 400;

/** Tells "moved" when the position changed, and "changed" when it plays, stops, or plays otherwise. */
export class Playback extends EventTarget {
  constructor(audio, durationMs) {
    super();
    this.audio = audio;
    this.durationMs = durationMs;
    this.silences = [];
    this.skipsSilence = false;
    this.atMs = 0;
    if (!audio) return;
    audio.controls = false;
    for (const happened of ["play", "pause", "ended", "ratechange"]) audio.addEventListener(happened, () => this.#tell("changed"));
    for (const happened of ["seeked", "timeupdate", "loadedmetadata"]) audio.addEventListener(happened, () => this.#moved());
    audio.addEventListener("play", () => this.#run());
    audio.addEventListener("error", () => this.#tell("unplayable"));
    // It may have failed before anybody listened.
    if (audio.error) queueMicrotask(() => this.#tell("unplayable"));
  }

  get ms() {
    return this.audio ? 1000 * this.audio.currentTime : this.atMs;
  }

  get playing() {
    return Boolean(this.audio) && !this.audio.paused;
  }

  get speed() {
    return this.audio ? this.audio.playbackRate : 1;
  }

  seek(ms) {
    const wanted = Math.min(Math.max(0, ms), this.durationMs);
    this.atMs = wanted;
    if (this.audio) this.audio.currentTime = wanted / 1000;
    this.#tell("moved");
  }

  play() {
    this.audio?.play().catch((error) => {
      // A pause that comes before the sound is there is no fault.
      if (error.name !== "AbortError") this.#tell("unplayable");
    });
  }

  toggle() {
    if (this.playing) this.audio.pause();
    else this.play();
  }

  setSpeed(speed) {
    if (this.audio) this.audio.playbackRate = this.audio.defaultPlaybackRate = speed;
  }

  /** Goes `by` steps faster or slower. */
  changeSpeed(by) {
    const now = SPEEDS.indexOf(this.speed);
    this.setSpeed(SPEEDS[Math.min(Math.max(0, now + by), SPEEDS.length - 1)]);
  }

  #run() {
    const step = () => {
      this.#moved();
      if (this.playing) requestAnimationFrame(step);
    };
    step();
  }

  #moved() {
    const ms = this.ms;
    if (this.skipsSilence && this.playing && !this.audio.seeking) {
      const silence = this.silences.find((each) => each.startMs <= ms && ms < each.endMs - LEAD_MS - WORTH_MS);
      if (silence) return this.seek(silence.endMs - LEAD_MS);
    }
    this.#tell("moved");
  }

  #tell(happened) {
    this.dispatchEvent(new Event(happened));
  }
}
