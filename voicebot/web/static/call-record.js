// The page of one call: its sound, its waveform and its transcript, which move together.

import { listenToKeys } from "./keys.js";
import { Playback } from "./playback.js";
import { clock, marksOf, readTurns, silencesOf } from "./spans.js";
import { Transcript } from "./transcript.js";
import { Waveform } from "./waveform.js";

// What listeners call silence: less is a breath.
const SILENCE_MS = 1500;
const STEP_MS = 5000;

const part = (id) => document.getElementById(id);
if (part("player")) start();

async function start() {
  const player = part("player");
  const list = part("turns");
  const turns = list ? readTurns(list) : [];
  const answer = await fetch(`/api/calls/${player.dataset.call}/waveform`);
  const waveform = answer.ok ? await answer.json() : { duration_ms: 0, lanes: {} };
  const ends = turns.map((turn) => turn.endMs);
  const durationMs = waveform.duration_ms || Number(player.dataset.duration) || Math.max(0, ...ends);
  const pauses = [...player.querySelectorAll("[data-pause]")].map(({ dataset }) => ({
    startMs: Number(dataset.pause),
    endMs: dataset.end ? Number(dataset.end) : durationMs,
  }));
  const marks = marksOf(turns);
  const silences = silencesOf(turns, waveform.lanes, durationMs, SILENCE_MS);
  const playback = new Playback(part("audio"), durationMs);
  playback.silences = silences;
  for (const shown of [part("lanes"), part("tools")]) shown.hidden = false;
  const drawing = new Waveform(part("waveform"), { durationMs, lanes: waveform.lanes, turns, silences, marks, pauses });
  const transcript = new Transcript(turns, { onSeek: goTo });

  function goTo(ms, plays) {
    playback.seek(ms);
    if (plays && !playback.playing) playback.play();
  }

  function goToTurn(turn) {
    if (!turn) return;
    playback.seek(turn.startMs);
    transcript.reveal(turn);
  }

  function goToMark(by) {
    const telling = marks.filter((mark) => mark.kind !== "decision");
    const from = playback.ms;
    const mark = by < 0 ? telling.findLast((each) => each.atMs < from - 800) : telling.find((each) => each.atMs > from + 50);
    if (!mark) return;
    playback.seek(mark.atMs);
    transcript.reveal(mark.turn);
  }

  const seek = part("seek");
  seek.max = String(durationMs);
  seek.addEventListener("input", () => playback.seek(Number(seek.value)));

  function show() {
    const ms = playback.ms;
    const said = `${clock(ms)} / ${clock(durationMs)}`;
    drawing.show(ms);
    transcript.show(ms, playback.playing);
    seek.value = String(Math.round(ms));
    if (part("position").textContent === said) return;
    part("position").textContent = said;
    seek.setAttribute("aria-valuetext", said);
  }
  playback.addEventListener("moved", show);
  playback.addEventListener("unplayable", () => {
    part("unplayable").hidden = false;
    part("unplayable").textContent = "The recording cannot be played. It may have been deleted or changed; the transcript is whole.";
  });

  tools(playback, transcript);
  listenToKeys(
    {
      " ": () => playback.toggle(),
      k: () => playback.toggle(),
      s: () => part("skip-silence")?.click(),
      "-": () => playback.changeSpeed(-1),
      "+": () => playback.changeSpeed(1),
      "=": () => playback.changeSpeed(1),
      ArrowLeft: () => playback.seek(playback.ms - STEP_MS),
      ArrowRight: () => playback.seek(playback.ms + STEP_MS),
      ArrowUp: () => goToTurn(transcript.beside(playback.ms, -1)),
      ArrowDown: () => goToTurn(transcript.beside(playback.ms, 1)),
      p: () => goToMark(-1),
      n: () => goToMark(1),
      e: () => transcript.openBehind(),
      "?": () => (part("keys-help").open = !part("keys-help").open),
    },
    () => part("keys-on").checked,
  );

  const linked = turns.find((turn) => `#turn-${turn.number}` === location.hash);
  if (linked) goToTurn(linked);
  show();
  player.dataset.ready = "yes";
}

/** The buttons and boxes below the waveform; those of a page without sound are not there. */
function tools(playback, transcript) {
  remember(part("keys-on"), "voicebot.keys", () => {});
  if (!playback.audio) return;
  const play = part("play");
  play.addEventListener("click", () => playback.toggle());
  playback.addEventListener("changed", () => {
    play.setAttribute("aria-pressed", String(playback.playing));
    play.setAttribute("aria-label", playback.playing ? "Pause" : "Play the recording");
    part("speed").value = String(playback.speed);
  });
  part("speed").addEventListener("change", (event) => playback.setSpeed(Number(event.target.value)));
  remember(part("skip-silence"), "voicebot.skip-silence", (on) => (playback.skipsSilence = on));
  remember(part("follow"), "voicebot.follow", (on) => (transcript.follows = on));
}

/** Keeps how a box was left for the next call. */
function remember(box, name, then) {
  const kept = localStorage.getItem(name);
  if (kept !== null) box.checked = kept === "on";
  then(box.checked);
  box.addEventListener("change", () => {
    localStorage.setItem(name, box.checked ? "on" : "off");
    then(box.checked);
  });
}
