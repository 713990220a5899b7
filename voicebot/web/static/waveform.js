// Draws a call: a lane for each side, coloured where somebody speaks, with its silences and marks, and the position.

const LANES = ["caller", "bot"];
const BAR = 2;
const GAP = 1;
// Room below the lanes for the marks.
const MARKS = 16;
const AHEAD = 0.42;

export class Waveform {
  /** `call` has durationMs, lanes (levels by name), turns, silences, marks and pauses, all in milliseconds. */
  constructor(canvas, call) {
    this.canvas = canvas;
    this.call = call;
    this.picture = document.createElement("canvas");
    this.atMs = 0;
    this.colours = null; // until it was laid out
    new ResizeObserver(() => this.#redraw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  show(atMs) {
    this.atMs = atMs;
    const { width, height } = this.picture;
    if (!this.colours || !width) return;
    const pen = this.canvas.getContext("2d");
    const x = Math.round(this.#x(atMs));
    pen.clearRect(0, 0, width, height);
    pen.globalAlpha = AHEAD;
    pen.drawImage(this.picture, 0, 0);
    pen.globalAlpha = 1;
    if (x > 0) pen.clearRect(0, 0, x, this.lanesHeight);
    if (x > 0) pen.drawImage(this.picture, 0, 0, x, this.lanesHeight, 0, 0, x, this.lanesHeight);
    pen.drawImage(this.picture, 0, this.lanesHeight, width, height - this.lanesHeight, 0, this.lanesHeight, width, height - this.lanesHeight);
    pen.fillStyle = this.colours.ink;
    pen.fillRect(Math.min(x, width - 2 * this.scale), 0, 2 * this.scale, height);
  }

  #x(ms) {
    return this.call.durationMs ? (ms / this.call.durationMs) * this.picture.width : 0;
  }

  #redraw() {
    this.scale = devicePixelRatio;
    const width = Math.round(this.canvas.clientWidth * this.scale);
    const height = Math.round(this.canvas.clientHeight * this.scale);
    for (const each of [this.canvas, this.picture]) {
      each.width = width;
      each.height = height;
    }
    this.lanesHeight = height - MARKS * this.scale;
    const style = getComputedStyle(this.canvas);
    const named = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = {
      ...{ ink: named("ink"), soft: named("soft"), line: named("line"), caller: named("warm"), bot: named("accent") },
      ...{ "barge-in": named("stop"), escalation: named("act"), decision: named("soft") },
    };
    const pen = this.picture.getContext("2d");
    for (const silence of this.call.silences) this.#stretch(pen, silence, this.colours.line, 0.7);
    LANES.forEach((name, index) => this.#lane(pen, name, index));
    for (const pause of this.call.pauses) this.#hatch(pen, pause);
    for (const mark of this.call.marks) this.#mark(pen, mark);
    this.show(this.atMs);
  }

  #lane(pen, name, index) {
    const levels = this.call.lanes[name] ?? [];
    const spoken = this.call.turns.filter((turn) => turn.lane === name && turn.endMs > turn.startMs);
    const tall = this.lanesHeight / LANES.length;
    const middle = tall * (index + 0.5);
    const step = (BAR + GAP) * this.scale;
    const bars = Math.floor(this.picture.width / step);
    const msOfBar = this.call.durationMs / bars;
    let turn = 0;
    for (let bar = 0; bar < bars; bar += 1) {
      const fromMs = bar * msOfBar;
      while (turn < spoken.length && spoken[turn].endMs < fromMs) turn += 1;
      const speaks = turn < spoken.length && spoken[turn].startMs < fromMs + msOfBar;
      const peak = peakOf(levels, bar / bars, (bar + 1) / bars);
      const half = Math.max(this.scale / 2, (peak / 100) * tall * 0.47);
      pen.fillStyle = speaks ? this.colours[name] : this.colours.soft;
      pen.fillRect(bar * step, middle - half, BAR * this.scale, 2 * half);
    }
  }

  #stretch(pen, { startMs, endMs }, colour, alpha) {
    pen.globalAlpha = alpha;
    pen.fillStyle = colour;
    pen.fillRect(this.#x(startMs), 0, this.#x(endMs) - this.#x(startMs), this.lanesHeight);
    pen.globalAlpha = 1;
  }

  #hatch(pen, { startMs, endMs }) {
    pen.save();
    pen.beginPath();
    pen.rect(this.#x(startMs), 0, Math.max(2 * this.scale, this.#x(endMs) - this.#x(startMs)), this.lanesHeight);
    pen.clip();
    pen.strokeStyle = this.colours.soft;
    pen.lineWidth = this.scale;
    for (let x = this.#x(startMs) - this.lanesHeight; x < this.#x(endMs); x += 8 * this.scale) {
      pen.beginPath();
      pen.moveTo(x, this.lanesHeight);
      pen.lineTo(x + this.lanesHeight, 0);
      pen.stroke();
    }
    pen.restore();
  }

  #mark(pen, { kind, atMs }) {
    const x = this.#x(atMs);
    const y = this.lanesHeight + (MARKS / 2) * this.scale;
    const size = 5 * this.scale;
    pen.fillStyle = pen.strokeStyle = this.colours[kind];
    pen.beginPath();
    if (kind === "decision") pen.rect(x - this.scale / 2, y - size * 0.6, this.scale * 1.5, size * 1.2);
    else if (kind === "barge-in") {
      // Points up, to where the bot was cut.
      pen.moveTo(x, y - size);
      pen.lineTo(x + size, y + size);
      pen.lineTo(x - size, y + size);
    } else {
      pen.moveTo(x, y - size * 1.2);
      pen.lineTo(x + size * 1.2, y);
      pen.lineTo(x, y + size * 1.2);
      pen.lineTo(x - size * 1.2, y);
    }
    pen.fill();
    if (kind !== "decision") {
      pen.globalAlpha = 0.5;
      pen.fillRect(x - this.scale / 2, 0, this.scale, this.lanesHeight);
      pen.globalAlpha = 1;
    }
  }
}

function peakOf(levels, from, to) {
  const end = Math.max(Math.ceil(to * levels.length), Math.floor(from * levels.length) + 1);
  let peak = 0;
  for (let n = Math.floor(from * levels.length); n < Math.min(end, levels.length); n += 1) peak = Math.max(peak, levels[n]);
  return peak;
}
