// Where in a call somebody speaks and where nobody does. No page, no sound: numbers in, numbers out.

// How far a lane must rise over its own noise to count as sound, in the waveform's levels (0 to 100).
const OVER_NOISE = 6;
const QUIETEST = 6;

/** Reads the turns from their list: { number, element, startMs, endMs, lane, marks }. */
export function readTurns(list) {
  return [...list.children].map((element, number) => ({
    number,
    element,
    startMs: Number(element.dataset.at),
    endMs: Number(element.dataset.end),
    lane: element.dataset.speaker === "caller" ? "caller" : "bot",
    marks: element.dataset.marks.split(" ").filter(Boolean),
  }));
}

/** Where each mark lies: an interruption where the bot was cut, everything else where its turn begins. */
export function marksOf(turns) {
  const found = turns.flatMap((turn) =>
    turn.marks.map((kind) => ({ kind, turn, atMs: kind === "barge-in" ? turn.endMs : turn.startMs })),
  );
  return found.sort((one, other) => one.atMs - other.atMs);
}

/** Stretches of at least `leastMs` in which neither a turn was spoken nor a lane was louder than its noise. */
export function silencesOf(turns, lanes, durationMs, leastMs) {
  const sounds = turns.map((turn) => [turn.startMs, turn.endMs]);
  for (const levels of Object.values(lanes)) sounds.push(...loud(levels, durationMs));
  sounds.sort((one, other) => one[0] - other[0]);
  const silences = [];
  let over = 0;
  for (const [startMs, endMs] of [...sounds, [durationMs, durationMs]]) {
    if (startMs - over >= leastMs) silences.push({ startMs: over, endMs: startMs });
    over = Math.max(over, endMs);
  }
  return silences;
}

/** The last of what is sorted by `key` that lies at or before `at`, -1 where nothing does. */
export function lastBefore(sorted, at, key) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(sorted[middle]) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function loud(levels, durationMs) {
  if (!levels.length) return [];
  const noise = Float64Array.from(levels).sort()[Math.floor(levels.length / 5)];
  const threshold = Math.max(QUIETEST, noise + OVER_NOISE);
  const stepMs = durationMs / levels.length;
  return [...levels.keys()].filter((n) => levels[n] > threshold).map((n) => [n * stepMs, (n + 1) * stepMs]);
}
