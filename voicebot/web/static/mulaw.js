// G.711 mu-law (ITU-T G.711), eight bits a sample.

const BIAS = 0x84;
const CLIP = 32635;

const DECODED = new Float32Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  const code = ~byte & 0xff;
  const magnitude = ((((code & 0x0f) << 3) + BIAS) << ((code >> 4) & 7)) - BIAS;
  DECODED[byte] = (code & 0x80 ? -magnitude : magnitude) / 32768;
}

export const SILENCE = 0xff;

/** One sample from -1 to 1 for a byte. */
export function decode(byte) {
  return DECODED[byte];
}

/** One byte for a sample; anything beyond -1 to 1 is clipped. */
export function encode(sample) {
  const scaled = Math.round(sample * 32768);
  const sign = scaled < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(scaled), CLIP) + BIAS;
  const exponent = 31 - Math.clz32(magnitude) - 7;
  const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return ~(sign | (exponent << 4) | mantissa) & 0xff;
}
