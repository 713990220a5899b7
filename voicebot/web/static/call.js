// The call page: buttons, keypad, captions and meters around one Line at a time.

import { Line, openMicrophone } from "./line.js";

const $ = (id) => document.getElementById(id);
const KEYS = "0123456789*#";
// A caller who was never heard above this for so many readings (five a second) may not know that their microphone is off.
const QUIET_DBFS = -55;
const QUIET_READINGS = 75;

const NOTICES = {
  refused: [
    "The microphone is blocked.",
    "Your browser did not let this page use it. Allow the microphone beside the address bar, then call again.",
  ],
  missing: ["No microphone was found.", "Plug one in or switch it on, then call again."],
  busy: ["The microphone does not answer.", "Another program may be using it. Close that one, then call again."],
  insecure: [
    "Browsers allow microphones on secure pages only.",
    "Open this page with https, or as localhost on the machine the server runs on.",
  ],
  unplugged: ["The microphone went away.", "Plug it back in and call again; until then, keys still work."],
  unreachable: ["The server did not answer.", "Check your connection, then call again."],
  too_many: ["Too many calls from here.", "Please wait a minute, then call again."],
  refused_busy: ["All lines are busy.", "Please try again in a few minutes."],
  not_allowed: ["This page is out of date.", "Reload it, then call again."],
  lost: ["The connection was lost.", "Check your network, then call again."],
  failed: ["Something went wrong on our side.", "We are sorry. Please call again."],
  too_long: ["This call reached its longest duration.", "Please call again if you need more."],
  shutting_down: ["The server is going down for a moment.", "Please call again in a few minutes."],
};
const MICROPHONE_TROUBLE = new Set(["refused", "missing", "busy", "insecure"]);
const HEADLINES = { idle: "Talk to us", calling: "Calling…", live: "You are connected", over: "Call ended" };
const LEADS = {
  idle: "Press call, then say what you need in your own words.",
  calling: "Your browser may ask to use the microphone.",
  live: "Go ahead, we are listening.",
  over: "Thank you for calling.",
};
const LINE_STATES = { idle: "Ready", calling: "Connecting", live: "On a call", over: "Ready" };

let line = null;
let startedAt = 0;
let ticking = 0;
let muted = false;
let quietReadings = 0;
let everHeard = false;
const partials = new Map();

function setState(state) {
  document.body.dataset.state = state;
  $("headline").textContent = HEADLINES[state];
  $("lead").textContent = LEADS[state];
  $("line-state").textContent = LINE_STATES[state];
  const busy = state === "calling" || state === "live";
  $("call").hidden = busy;
  $("hang-up").hidden = !busy;
  $("mute").disabled = state !== "live" || !line?.microphone;
  if (state === "calling") $("hang-up").focus();
}

function showNotice(kind, message = "") {
  const [title, text] = NOTICES[kind] ?? NOTICES.lost;
  $("notice-title").textContent = title;
  $("notice-text").textContent = message || text;
  $("without-microphone").hidden = !MICROPHONE_TROUBLE.has(kind);
  $("notice").hidden = false;
}

function showLevel(id, level) {
  // Speech spans some 50 dB, which a meter shows evenly; a linear one would only twitch.
  const decibels = 20 * Math.log10(Math.max(level, 1e-5));
  const shown = Math.max(0, Math.min(1, (decibels + 55) / 50));
  const meter = $(id);
  meter.style.setProperty("--level", shown.toFixed(3));
  meter.setAttribute("aria-valuenow", String(Math.round(100 * shown)));
  document.body.style.setProperty(id === "you-meter" ? "--you" : "--bot", shown.toFixed(3));
}

function showHeard(dbfs) {
  if (dbfs >= QUIET_DBFS) everHeard = true;
  if (!muted) quietReadings += 1;
  const silent = !everHeard && quietReadings >= QUIET_READINGS && line?.microphone;
  $("heard").textContent = silent ? "We cannot hear you. Is your microphone switched on?" : "";
}

function showCaption({ speaker, text, final }) {
  $("tips").hidden = true;
  const log = $("conversation");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  let bubble = partials.get(speaker);
  if (!bubble) {
    bubble = document.createElement("p");
    bubble.className = `bubble ${speaker === "bot" ? "bot" : "you"}`;
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = speaker === "bot" ? "Bot" : "You";
    bubble.append(who, document.createElement("span"));
    log.append(bubble);
    partials.set(speaker, bubble);
  }
  bubble.lastChild.textContent = text;
  bubble.classList.toggle("partial", !final);
  if (final) {
    partials.delete(speaker);
    if (!text) bubble.remove();
  }
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function tick() {
  const seconds = Math.floor((performance.now() - startedAt) / 1000);
  $("timer").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function onEnded({ cause, message }) {
  clearInterval(ticking);
  showLevel("you-meter", 0);
  showLevel("bot-meter", 0);
  $("heard").textContent = "";
  setMuted(false);
  setState("over");
  if (cause !== "hung_up" && cause !== "completed") showNotice(cause, message);
  $("call").focus();
}

async function call(withMicrophone) {
  $("notice").hidden = true;
  $("conversation").querySelectorAll(".bubble").forEach((bubble) => bubble.remove());
  $("tips").hidden = false;
  partials.clear();
  quietReadings = 0;
  everHeard = false;
  line = new Line();
  window.voicebotLine = line;
  const thisLine = line;
  setState("calling");
  line.addEventListener("caption", ({ detail }) => showCaption(detail));
  line.addEventListener("heard", ({ detail }) => showHeard(detail.dbfs));
  line.addEventListener("level", ({ detail }) => {
    if (!thisLine.over) showLevel(detail.of === "bot" ? "bot-meter" : "you-meter", detail.level);
  });
  line.addEventListener("unplugged", () => showNotice("unplugged"));
  line.addEventListener("ended", ({ detail }) => onEnded(detail));
  try {
    const microphone = withMicrophone ? await openMicrophone() : null;
    if (thisLine.over) {
      microphone?.getTracks().forEach((track) => track.stop());
      return;
    }
    await line.call(microphone);
  } catch (error) {
    if (thisLine.over && document.body.dataset.state === "over") return;
    thisLine.over = true;
    setState("idle");
    showNotice(error.kind ?? "failed", error.kind === "refused_busy" ? error.message : "");
    if (!error.kind) throw error;
    return;
  }
  startedAt = performance.now();
  tick();
  ticking = setInterval(tick, 500);
  setState("live");
}

function setMuted(on) {
  muted = on;
  line?.mute(on);
  $("mute").setAttribute("aria-pressed", String(on));
  $("mute").querySelector("span").textContent = on ? "Unmute" : "Mute";
}

function press(key) {
  const button = $("keypad").querySelector(`[data-key="${key}"]`);
  button.classList.add("pressed");
  setTimeout(() => button.classList.remove("pressed"), 140);
  if (document.body.dataset.state === "live") line.key(key);
}

function showKeys(shown) {
  $("keypad").hidden = !shown;
  $("show-keys").setAttribute("aria-expanded", String(shown));
}

$("call").addEventListener("click", () => call(true));
$("without-microphone").addEventListener("click", () => {
  showKeys(true);
  call(false);
});
$("hang-up").addEventListener("click", () => line.hangUp());
$("mute").addEventListener("click", () => setMuted(!muted));
$("show-keys").addEventListener("click", () => showKeys($("keypad").hidden));
$("keypad").addEventListener("pointerdown", (event) => {
  const key = event.target.closest("button")?.dataset.key;
  if (key && event.button === 0) press(key);
});
$("keypad").addEventListener("click", (event) => {
  // A pointer pressed already, on its way down; this is Enter, the space bar or a screen reader.
  const key = event.target.closest("button")?.dataset.key;
  if (key && event.detail === 0) press(key);
});
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !KEYS.includes(event.key)) return;
  if (document.body.dataset.state !== "live") return;
  showKeys(true);
  press(event.key);
});
window.addEventListener("pagehide", () => line?.hangUp());
