// The desk: an agent's state, the ring, who calls and why, the call's audio in the page, and notes.

import { Line, openMicrophone } from "./line.js";
import { duration, element, expectedWait, moment, runDurations, runningTime, sentence, ServerClock, STATE_NAMES, words } from "./page-parts.js";
import { PageSocket } from "./page-socket.js";
import { showPacket } from "./packet.js";
import { Ringer } from "./ringer.js";

const $ = (id) => document.getElementById(id);
const SAVE_AFTER_MS = 700;
const SETTABLE = new Set(["available", "break", "offline"]);
const WITHDRAWN = {
  caller_left: "The caller is gone.",
  no_answer: "You did not answer, so you are on a break now. Press Available when you are back.",
  declined: "You declined the call.",
};
const MICROPHONE = {
  refused: "Your browser did not let this page use the microphone. Allow it beside the address bar.",
  missing: "No microphone was found. Plug one in.",
  busy: "The microphone does not answer. Another program may be using it.",
  insecure: "Browsers allow microphones on secure pages only. Open this page with https.",
};
const IDLE = {
  offline: ["You are away", "Press Available to take calls."],
  available: ["Nobody is calling", "You are available. This page rings when somebody wants a person; keep it open."],
  break: ["You are on a break", "Press Available when you are back."],
};

/** Which other servers the page may open a call's audio at. */
const SERVERS = $("desk").dataset.servers.split(" ");

const clock = new ServerClock();
const showDurations = runDurations(clock);
const ringer = new Ringer(document.title);
const socket = new PageSocket("/desk/socket");
window.voicebotDesk = socket;

let me = null;
let offer = null; // What rings, undecided.
let taking = null; // The offer that was accepted here and whose audio is being opened.
let current = null; // {callId, packet, queue}: the call whose packet is shown.
let line = null;
let muted = false;
let held = false;
let talk = null; // How the call stands, as the server says.
let saving = 0;
let unsaved = false;

/** What the page is about: loading, idle, ringing, joining, talking, elsewhere (on a telephone) or wrap_up. */
function phase() {
  if (!me) return "loading";
  if (taking) return "joining";
  if (offer) return "ringing";
  if (line) return me.state === "busy" ? "talking" : "joining";
  if (me.state === "busy") return "elsewhere";
  if (me.state === "wrap_up") return "wrap_up";
  return "idle";
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

const time = (attribute, at) => element("time", { [attribute]: at });

function phaseWords(now) {
  switch (now) {
    case "ringing":
      return offer.in_page ? "A call for you" : "Your telephone rings: answer it there";
    case "joining":
      return "The caller is told that you are coming";
    case "talking":
      if (talk?.state === "with_bot") return `The bot has the caller: ${talk.step}`;
      if (talk?.third) return held ? `The caller is on hold; ${talk.third} hears you` : `You are talking with ${talk.third} too`;
      if (held) return "The caller is on hold and hears music";
      return muted ? "You are talking, muted" : "You are talking";
    case "elsewhere":
      if (talk?.state === "with_bot") return `The bot has the caller: ${talk.step}`;
      return held ? "The caller is on hold" : "You are talking on your telephone";
    case "wrap_up":
      return "The call is over: wrap up";
    default:
      return "";
  }
}

function show() {
  const now = phase();
  const before = $("desk").dataset.phase;
  $("desk").dataset.phase = now;
  const hasCall = !["loading", "idle"].includes(now);
  $("idle").hidden = hasCall || now === "loading" || me === null;
  $("call-bar").hidden = !hasCall;
  $("work").hidden = !current;
  $("notes").hidden = !current || now === "ringing";
  showSaid();
  if (me) showMe();
  if (!hasCall && me) [$("idle-title").textContent, $("idle-text").textContent] = IDLE[me.state] ?? ["", ""];
  if ($("call-phase").textContent !== phaseWords(now)) $("call-phase").textContent = phaseWords(now);
  $("call-queue").textContent = current?.queue ? sentence(current.queue) : "";
  showCallTime(now);
  const inPage = now === "ringing" && offer.in_page;
  const isOn = now === "talking" || now === "joining";
  $("accept").hidden = !inPage;
  $("decline").hidden = now !== "ringing";
  for (const id of ["mute", "show-keys"]) $(id).hidden = now !== "talking";
  if (!["talking", "elsewhere"].includes(now)) held = false;
  $("hold").hidden = !["talking", "elsewhere"].includes(now);
  showTalk(["talking", "elsewhere"].includes(now) && talk !== null);
  $("hold").setAttribute("aria-pressed", String(held));
  $("hang-up").hidden = !(isOn && line);
  $("meters").hidden = !(isOn && line);
  $("done").hidden = now !== "wrap_up";
  if (now !== "talking") showKeys(false);
  if (now === "ringing") ringer.start(`Call${offer.queue ? ` for ${offer.queue}` : ""}`);
  else ringer.stop();
  if (now !== before) moveFocus(now);
  showDurations();
}

const FAILED = {
  busy: "is busy",
  no_answer: "did not answer",
  declined: "declined",
  voicemail: "did not answer in person",
  unreachable: "cannot be reached",
  hung_up: "hung up",
  claim_lost: "was taken by another call",
};

function talkWords() {
  if (!talk) return "";
  if (talk.inviting) return `Ringing somebody of ${talk.inviting}. You go on talking.`;
  if (talk.failed) return `Nobody came: whoever was rung ${FAILED[talk.failed] ?? "did not come"}.`;
  if (!talk.run) return talk.state === "with_bot" ? "You hear nothing of it; what comes of it is shown here." : "";
  if (talk.run.reached.length) return `The bot's step is done: ${talk.step}.`;
  return talk.run.wants_person ? `The caller wanted you back before it was done: ${talk.step}.` : `The bot's step came to nothing: ${talk.step}.`;
}

/** Shows what else can be done with the caller, and how it stands. */
function showTalk(shown) {
  $("with-caller").hidden = !shown;
  if (!shown) return;
  const withBot = talk.state === "with_bot";
  const hasThird = Boolean(talk.third || talk.inviting);
  if ($("talk-status").textContent !== talkWords()) $("talk-status").textContent = talkWords();
  $("talk-status").hidden = !talkWords();
  $("step-row").hidden = !$("step").options.length;
  $("lend").firstChild.textContent = withBot ? "Take the caller back " : "Lend the caller ";
  $("lend").disabled = hasThird;
  $("hold").hidden = withBot;
  $("invite").firstChild.textContent = talk.third ? `Let ${talk.third} go ` : talk.inviting ? "Ring nobody " : "Ask in ";
  $("invite").disabled = withBot;
  for (const id of ["send-on", "survey"]) $(id).disabled = withBot || hasThird;
}

/** Fills a list without closing it under somebody's pointer. */
function fill(select, options) {
  const key = JSON.stringify(options);
  if (select.dataset.key === key || document.activeElement === select) return;
  const before = select.value;
  select.dataset.key = key;
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  if (options.some(([value]) => value === before)) select.value = before;
}

function lend() {
  const flow = talk?.state === "with_bot" ? "" : $("step").value;
  socket.tell(flow ? { type: "lend", flow } : { type: "lend" });
}

/** Whom the list of others stands at: a queue, and perhaps one agent of it. */
function chosen() {
  const [queue, agent] = $("other").value.split("/");
  return agent ? { queue, agent } : { queue };
}

const invite = () => socket.tell({ type: "invite", ...(talk?.third || talk?.inviting ? {} : chosen()) });
const sendOn = () => socket.tell({ type: "send_on", ...chosen() });

/** Shows what was said last, and how it is written down. */
function showSaid() {
  // A page that is still loading may have been told of it already.
  if (["idle", "ringing"].includes(phase())) {
    $("writing").textContent = "";
    $("said-turns").replaceChildren();
  }
  if (talk?.writing) $("writing").textContent = talk.writing;
  $("said").hidden = !$("writing").textContent && !$("said-turns").childElementCount;
}

function addSaid({ speaker, text }) {
  const list = $("said-turns");
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  const words = text ? text : element("span", { class: "secret" }, "no words");
  list.append(element("li", { class: speaker }, element("span", { class: "who" }, sentence(speaker)), words));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function showCallTime(now) {
  const at = $("call-time");
  at.removeAttribute("data-since");
  at.removeAttribute("data-until");
  at.textContent = "";
  if (now === "ringing") at.dataset.until = offer.until;
  else if (now === "talking" || now === "elsewhere") at.dataset.since = me.since;
  else if (now === "wrap_up" && me.until) at.dataset.until = me.until;
}

/** Takes the keyboard to where the next step is, unless somebody is typing. */
function moveFocus(now) {
  const isTyping = document.activeElement?.matches?.("textarea, select, input");
  if (isTyping) return;
  const next = { ringing: offer?.in_page ? "accept" : "decline", talking: "packet", elsewhere: "packet", wrap_up: "note" }[now];
  if (next) $(next).focus({ preventScroll: true });
}

function showMe() {
  $("my-dot").dataset.state = me.state;
  $("my-state-name").textContent = STATE_NAMES[me.state];
  if (me.since) $("my-time").dataset.since = me.since;
  const canSet = !["ringing", "busy"].includes(me.state);
  for (const button of document.querySelectorAll(".states button")) {
    button.disabled = !canSet;
    button.setAttribute("aria-pressed", String(button.dataset.state === me.state));
  }
  $("reach").disabled = !canSet;
  if (document.activeElement !== $("reach")) $("reach").value = me.reach;
}

function showBoard(board) {
  clock.set(board.at);
  me = board.me;
  $("queues").replaceChildren(
    ...board.queues.map((queue) =>
      element(
        "li",
        {},
        element("b", {}, sentence(queue.title)),
        element("span", { class: "soft" }, `${queue.waiting} waiting`, queue.waiting_since ? ", longest " : "", queue.waiting_since ? runningTime(queue.waiting_since) : ""),
        element("span", { class: "soft" }, `next caller's wait: ${expectedWait(queue.expected_wait_s)}`),
      ),
    ),
  );
  fill($("step"), Object.entries(board.steps ?? {}));
  fill(
    $("other"),
    (board.elsewhere ?? []).flatMap(({ queue, title, agents }) => [
      [queue, sentence(title)],
      ...agents.map(({ id, name, state }) => [`${queue}/${id}`, `${name} of ${title}, ${STATE_NAMES[state].toLowerCase()}`]),
    ]),
  );
  $("callbacks").replaceChildren(...board.callbacks.map(callbackItem));
  $("no-callbacks").hidden = board.callbacks.length > 0;
  if (board.call && current?.callId !== board.call && me.state === "busy") fetchCurrent(board.call);
  if (current && !offer && !taking && !line && !["busy", "ringing", "wrap_up"].includes(me.state)) forget();
  show();
}

function callbackItem(callback) {
  const isMessage = callback.state === "message";
  const close = element("button", { type: "button", class: "link" }, isMessage ? "Dealt with" : "Cancel");
  close.setAttribute("aria-label", `${isMessage ? "Dealt with the message of" : "Cancel the callback of"} ${callback.number}`);
  close.addEventListener("click", () => socket.tell({ type: "close_callback", id: callback.id }));
  return element(
    "li",
    {},
    element("b", {}, callback.number || "Number withheld"),
    element("span", { class: "soft" }, `${callback.reason === "noted" ? "asked for somebody" : isMessage ? "left a message" : callback.state === "calling" ? "being called" : `due ${moment(callback.due_at)}`}, ${callback.queue}`),
    element("span", { class: "row-actions" }, element("a", { href: `/calls/${callback.call_id}`, "aria-label": `Call of ${callback.number}` }, "Call"), callback.state === "calling" ? null : close),
  );
}

/** Fetches what the page was not told, as after it was loaded anew in the middle of a call. */
async function fetchCurrent(callId) {
  current = { callId, packet: null, queue: "" };
  const answer = await fetch(`/api/calls/${callId}/context`).catch(() => null);
  if (!answer?.ok || current?.callId !== callId) return;
  const packet = await answer.json();
  take({ call_id: callId, packet, queue: packet.escalation.queue });
  show();
}

function take({ call_id: callId, packet, queue }) {
  if (current?.callId !== callId) clearNotes();
  current = { callId, packet, queue };
  showPacket($("packet"), packet);
}

function forget() {
  save();
  current = null;
  clearNotes();
}

// --- what the agent does

function setState(state) {
  ringer.unlock();
  if (state === "available" && $("reach").value === "browser") tryMicrophone();
  socket.tell({ type: "set_state", state, reach: $("reach").value });
}

/** Has the browser ask for the microphone before somebody waits for it. */
async function tryMicrophone() {
  try {
    (await openMicrophone()).getTracks().forEach((track) => track.stop());
    notice("");
  } catch (error) {
    notice(MICROPHONE[error.kind] ?? MICROPHONE.busy);
  }
}

async function accept() {
  if (!offer?.in_page || taking) return;
  const mine = offer;
  ringer.stop();
  try {
    mine.microphone = await openMicrophone();
  } catch (error) {
    notice(MICROPHONE[error.kind] ?? MICROPHONE.busy);
    show();
    return;
  }
  if (offer !== mine) {
    stop(mine.microphone);
    return;
  }
  taking = mine;
  offer = null;
  socket.tell({ type: "accept", token: mine.token });
  show();
}

async function openAudio({ token, ticket, path }) {
  if (taking?.token !== token) return;
  if (path.startsWith("http") && !SERVERS.includes(new URL(path).origin)) {
    // A server that was added since: loaded anew, the page may reach it, and the call still rings.
    stop(taking.microphone);
    location.reload();
    return;
  }
  const opened = new Line();
  window.voicebotLine = opened;
  opened.addEventListener("level", ({ detail }) => showLevel(detail.of === "bot" ? "caller-meter" : "you-meter", detail.level));
  opened.addEventListener("unplugged", () => notice("The microphone went away. Plug it back in: the caller hears nothing."));
  opened.addEventListener("ended", ({ detail }) => onEnded(opened, detail));
  line = opened;
  try {
    await opened.call(taking.microphone, { path, ticket });
  } catch (error) {
    if (line === opened) line = null;
    notice(error.kind === "gone" ? WITHDRAWN.caller_left : "The call's audio could not be opened.");
  }
  taking = null;
  muted = false;
  showMuted();
  show();
}

function onEnded(ended, { cause }) {
  if (line !== ended) return;
  line = null;
  if (cause === "lost") notice("The connection of the call was lost. The caller is looked after.");
  save();
  show();
}

const stop = (microphone) => microphone?.getTracks().forEach((track) => track.stop());

function decline() {
  if (offer) socket.tell({ type: "decline", token: offer.token });
}

function hangUp() {
  line?.hangUp();
}

function setMuted(on) {
  muted = on;
  line?.mute(on);
  showMuted();
  show();
}

function hold(on) {
  if (socket.tell({ type: "hold", held: on })) held = on;
  show();
}

function showMuted() {
  $("mute").setAttribute("aria-pressed", String(muted));
}

function showKeys(shown) {
  $("keypad").hidden = !shown;
  $("show-keys").setAttribute("aria-expanded", String(shown));
}

function press(key) {
  if (phase() !== "talking") return;
  const button = $("keypad").querySelector(`[data-key="${key}"]`);
  button.classList.add("pressed");
  setTimeout(() => button.classList.remove("pressed"), 140);
  line.key(key);
}

function showLevel(id, level) {
  // Speech spans some 50 dB, which a meter shows evenly.
  const shown = Math.max(0, Math.min(1, (20 * Math.log10(Math.max(level, 1e-5)) + 55) / 50));
  $(id).style.setProperty("--level", shown.toFixed(3));
  $(id).setAttribute("aria-valuenow", String(Math.round(100 * shown)));
}

// --- notes

function changed() {
  unsaved = true;
  $("noted").textContent = "Not saved yet";
  clearTimeout(saving);
  saving = setTimeout(save, SAVE_AFTER_MS);
}

function save() {
  clearTimeout(saving);
  if (!unsaved || !current) return;
  const note = { type: "note", call_id: current.callId, disposition: $("disposition").value || null, text: $("note").value };
  if (socket.tell(note)) unsaved = false;
}

function clearNotes() {
  clearTimeout(saving);
  unsaved = false;
  $("disposition").value = "";
  $("note").value = "";
  $("noted").textContent = "";
}

// --- what the server says

const TOLD = {
  board: showBoard,
  offer(told) {
    if (taking?.token === told.token || (line && !line.over)) return;
    save();
    offer = { ...told, until: new Date(clock.now() + 1000 * told.ring_s).toISOString() };
    notice("");
    take(told);
    show();
  },
  withdrawn({ token, why }) {
    if (offer?.token === token) {
      offer = null;
      if (why !== "taken") {
        notice(WITHDRAWN[why] ?? "");
        forget();
      }
    } else if (taking?.token === token && why !== "taken") {
      stop(taking.microphone);
      taking = null;
      notice(WITHDRAWN[why] ?? "");
      forget();
    }
    show();
  },
  talk(told) {
    talk = told.talk;
    if (talk) held = talk.state === "held";
    show();
  },
  said(line) {
    addSaid(line);
    show();
  },
  audio: openAudio,
  noted({ call_id: callId, saved_at: at }) {
    if (current?.callId === callId && !unsaved) $("noted").textContent = `Saved ${moment(at)}`;
  },
  refused({ what, why }) {
    if (what === "accept") {
      stop(taking?.microphone);
      taking = null;
    }
    if (what === "hold") held = false;
    notice(why);
    show();
  },
};

socket.addEventListener("message", ({ detail }) => TOLD[detail.type]?.(detail));
socket.addEventListener("open", () => {
  notice("");
  if (unsaved) save();
});
socket.addEventListener("lost", () => {
  offer = null;
  notice("The connection to the server was lost. Trying again…");
  if (me) show();
});

// --- mouse and keyboard

for (const button of document.querySelectorAll(".states button")) button.addEventListener("click", () => setState(button.dataset.state));
$("reach").addEventListener("change", () => {
  if (SETTABLE.has(me?.state)) setState(me.state);
});
$("accept").addEventListener("click", accept);
$("decline").addEventListener("click", decline);
$("hang-up").addEventListener("click", hangUp);
$("mute").addEventListener("click", () => setMuted(!muted));
$("hold").addEventListener("click", () => hold(!held));
$("lend").addEventListener("click", lend);
$("invite").addEventListener("click", invite);
$("send-on").addEventListener("click", sendOn);
$("survey").addEventListener("click", () => socket.tell({ type: "finish", survey: true }));
$("show-keys").addEventListener("click", () => showKeys($("keypad").hidden));
$("done").addEventListener("click", () => setState("available"));
$("keypad").addEventListener("click", (event) => {
  const key = event.target.closest("button")?.dataset.key;
  if (key) press(key);
});
$("note").addEventListener("input", changed);
$("disposition").addEventListener("change", changed);
$("notes").addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("beforeunload", (event) => {
  save();
  if (line && !line.over) event.preventDefault();
});

const usable = (id) => !$("with-caller").hidden && !$(id).disabled && $(id).offsetParent !== null;

const WITH_ALT = {
  KeyA: () => setState("available"),
  KeyB: () => setState("break"),
  KeyL: () => setState("offline"),
  KeyH: hangUp,
  KeyM: () => phase() === "talking" && setMuted(!muted),
  KeyO: () => !$("hold").hidden && hold(!held),
  KeyS: () => usable("lend") && lend(),
  KeyI: () => usable("invite") && invite(),
  KeyT: () => usable("send-on") && sendOn(),
  KeyK: () => phase() === "talking" && showKeys($("keypad").hidden),
  KeyN: () => !$("notes").hidden && $("note").focus(),
};
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.metaKey) return;
  const isTyping = event.target.matches?.("textarea, select, input");
  if (event.altKey && !event.ctrlKey && WITH_ALT[event.code]) WITH_ALT[event.code]();
  else if (event.ctrlKey && event.key === "Enter" && offer) accept();
  else if (event.key === "Escape" && offer && !isTyping) decline();
  else if (!isTyping && !event.ctrlKey && !event.altKey && !$("keypad").hidden && /^[0-9*#]$/.test(event.key)) press(event.key);
  else return;
  event.preventDefault();
});
