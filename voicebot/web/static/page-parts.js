// What the desk and the floor share: elements, durations that run on, and words.

export const STATE_NAMES = {
  offline: "Away",
  available: "Available",
  ringing: "Ringing",
  busy: "On a call",
  wrap_up: "Wrap-up",
  break: "Break",
};
export const LINE_NAMES = { browser: "the page", sip: "SIP phone", phone: "phone" };

/** Makes an element; `children` are elements or text, and what is null is left out. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("data-") || key.startsWith("aria-") || key === "role" || key === "scope") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

export const words = (name) => String(name).replaceAll("_", " ").replaceAll(".", " ");
export const sentence = (name) => words(name).replace(/^./, (first) => first.toUpperCase());

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const padded = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}

/** The server's time, which is what it says waits and states began by. */
export class ServerClock {
  constructor() {
    this.aheadMs = 0;
  }

  set(at) {
    this.aheadMs = Date.parse(at) - Date.now();
  }

  now() {
    return Date.now() + this.aheadMs;
  }

  /** Seconds since a moment; negative before it. */
  since(moment) {
    return (this.now() - Date.parse(moment)) / 1000;
  }
}

/** Shows every `<time data-since>` and `<time data-until>` as a duration that runs on. */
export function runDurations(clock) {
  const show = () => {
    for (const time of document.querySelectorAll("time[data-since]")) time.textContent = duration(clock.since(time.dataset.since));
    for (const time of document.querySelectorAll("time[data-until]")) time.textContent = duration(Math.round(-clock.since(time.dataset.until)));
  };
  setInterval(show, 500);
  return show;
}

export const runningTime = (since) => (since ? element("time", { "data-since": since }) : "–");
export const expectedWait = (seconds) => (seconds === null ? "nobody can tell" : seconds === 0 ? "none" : `about ${duration(seconds)}`);

/** Shows a moment as the reader's own clock does: the time alone when it is today. */
export function moment(at) {
  const when = new Date(at);
  const isToday = when.toDateString() === new Date().toDateString();
  const time = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return isToday ? time : `${when.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" })} ${time}`;
}
