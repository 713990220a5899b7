// Rings: two short tones every other second, and the title of the page, which a tab in the background shows.

const BURST_S = 0.4;
const EVERY_MS = 2000;
const LOUDNESS = 0.15;
const TONES_HZ = [660, 880];

export class Ringer {
  constructor(title) {
    this.title = title;
    this.context = null;
    this.timer = 0;
    this.rings = 0;
  }

  /** Browsers let a page make sounds once its user has done something; call it then. */
  unlock() {
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") this.context.resume();
  }

  start(title) {
    if (this.timer) return;
    document.title = `☎ ${title}`;
    this.unlock();
    const ring = () => {
      this.rings += 1;
      TONES_HZ.forEach((frequency, index) => this.burst(frequency, index * BURST_S));
    };
    this.timer = setInterval(ring, EVERY_MS);
    ring();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    document.title = this.title;
  }

  burst(frequency, after) {
    const tone = new OscillatorNode(this.context, { frequency });
    const volume = new GainNode(this.context, { gain: 0 });
    const begin = this.context.currentTime + after;
    // Ramped, or it would click.
    volume.gain.setValueAtTime(0, begin);
    volume.gain.linearRampToValueAtTime(LOUDNESS, begin + 0.02);
    volume.gain.setValueAtTime(LOUDNESS, begin + BURST_S - 0.06);
    volume.gain.linearRampToValueAtTime(0, begin + BURST_S - 0.02);
    tone.connect(volume).connect(this.context.destination);
    tone.start(begin);
    tone.stop(begin + BURST_S);
  }
}
