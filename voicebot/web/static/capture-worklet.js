// The microphone's way out: whatever the device gives, as 20 ms mu-law frames at 8 kHz. Runs on the audio thread.

import { SILENCE, encode } from "./mulaw.js";
import { Resampler } from "./resampler.js";

const FRAME_SAMPLES = 160;
const QUIET = new Float32Array(128);

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, 8000);
    this.frame = new Uint8Array(FRAME_SAMPLES);
    this.filled = 0;
    this.energy = 0;
    this.muted = false;
    this.port.onmessage = ({ data }) => {
      this.muted = data.muted;
    };
  }

  process([input]) {
    // Without a microphone, or muted, silence goes out all the same: the server takes a quiet line for a dead one.
    this.resampler.push(input.length > 0 && !this.muted ? input[0] : QUIET);
    while (this.resampler.ready) {
      const sample = this.resampler.pull();
      this.energy += sample * sample;
      this.frame[this.filled] = this.muted ? SILENCE : encode(sample);
      this.filled += 1;
      if (this.filled === FRAME_SAMPLES) this.finish();
    }
    return true;
  }

  finish() {
    const frame = this.frame.buffer;
    this.port.postMessage({ frame, level: Math.sqrt(this.energy / FRAME_SAMPLES) }, [frame]);
    this.frame = new Uint8Array(FRAME_SAMPLES);
    this.filled = 0;
    this.energy = 0;
  }
}

registerProcessor("capture", Capture);
