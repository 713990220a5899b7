// The server's voice: mu-law at 8 kHz in, through a small jitter buffer, out at whatever rate the device has.
// It reports how far it has played, in samples of the server's audio. Runs on the audio thread.

import { decode } from "./mulaw.js";
import { Resampler } from "./resampler.js";

// Audio to collect before playing begins, so that the network may be this uneven.
const PRIME_SAMPLES = 480;
// A prompt shorter than that begins after as long, all the same.
const PRIME_LIMIT_S = 0.06;
const REPORT_EVERY_S = 0.1;

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.generation = 0;
    this.reset(0);
    this.underruns = 0;
    this.port.onmessage = ({ data }) => {
      if (data.audio) this.add(new Uint8Array(data.audio));
      else this.clear(data.clear);
    };
  }

  reset(position) {
    this.resampler = new Resampler(8000, sampleRate);
    this.received = position;
    this.position = position;
    this.waiting = [];
    this.waitingSamples = 0;
    this.primingSince = null;
    this.playing = false;
    this.padded = 0;
    this.energy = 0;
    this.counted = 0;
    this.reportedAt = 0;
  }

  add(bytes) {
    this.waiting.push(bytes);
    this.waitingSamples += bytes.length;
    this.received += bytes.length;
    if (!this.playing && this.primingSince === null) this.primingSince = currentTime;
  }

  clear({ generation, position }) {
    this.generation = generation;
    this.reset(position);
    this.report(0);
  }

  process(_inputs, [output]) {
    if (!this.playing && this.primingSince !== null) {
      const waited = currentTime - this.primingSince;
      if (this.waitingSamples >= PRIME_SAMPLES || waited >= PRIME_LIMIT_S) this.playing = true;
    }
    if (this.playing) this.fill(output[0]);
    for (let channel = 1; channel < output.length; channel += 1) output[channel].set(output[0]);
    return true;
  }

  fill(samples) {
    for (let i = 0; i < samples.length; i += 1) {
      while (!this.resampler.ready && this.waiting.length > 0) this.feed();
      if (!this.resampler.ready && !this.drain()) return;
      samples[i] = this.resampler.pull();
      this.energy += samples[i] * samples[i];
      this.counted += 1;
    }
    this.position = Math.min(this.received, this.position + samples.length * this.resampler.step);
    if (currentTime - this.reportedAt >= REPORT_EVERY_S) this.report();
  }

  feed() {
    const bytes = this.waiting.shift();
    this.waitingSamples -= bytes.length;
    this.resampler.push(Float32Array.from(bytes, decode));
    this.padded = 0;
  }

  // Nothing more has come: push silence until the filter has given out its last sample, then stop.
  drain() {
    const flush = 2 * this.resampler.reach;
    if (this.padded < flush) {
      this.resampler.push(new Float32Array(flush));
      this.padded += flush;
      return true;
    }
    this.position = this.received;
    this.playing = false;
    this.primingSince = null;
    this.padded = 0;
    this.resampler = new Resampler(8000, sampleRate);
    this.underruns += 1;
    this.report();
    return false;
  }

  report() {
    this.reportedAt = currentTime;
    this.port.postMessage({
      generation: this.generation,
      position: Math.floor(this.position),
      level: this.counted ? Math.sqrt(this.energy / this.counted) : 0,
      pauses: this.underruns,
    });
    this.energy = 0;
    this.counted = 0;
  }
}

registerProcessor("playback", Playback);
