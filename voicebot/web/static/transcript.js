// The transcript: follows the position, and leads it where somebody clicks.

import { lastBefore } from "./spans.js";

// After the reader has scrolled, the transcript stays where they went for so long.
const LEFT_ALONE_MS = 4000;

export class Transcript {
  constructor(turns, { onSeek }) {
    this.turns = turns;
    // Turns are written down when they are over, so their beginnings need not be in order.
    this.byStart = [...turns].sort((one, other) => one.startMs - other.startMs);
    this.follows = true;
    this.now = null;
    this.word = null;
    this.leftAloneUntil = 0;
    for (const happened of ["wheel", "touchmove"]) {
      addEventListener(happened, () => (this.leftAloneUntil = performance.now() + LEFT_ALONE_MS), { passive: true });
    }
    for (const turn of turns) {
      turn.element.querySelector(".at").addEventListener("click", (event) => {
        event.preventDefault();
        history.replaceState(null, "", `#turn-${turn.number}`);
        onSeek(turn.startMs, true);
      });
      turn.element.querySelector(".said").addEventListener("click", (event) => {
        if (!getSelection().isCollapsed) return;
        const word = event.target.closest("[data-word]");
        onSeek(word ? Number(word.dataset.word) : turn.startMs, false);
      });
    }
  }

  /** Marks what is said at `ms`; the page moves there only while it `plays`. */
  show(ms, plays) {
    const index = ms > 0 ? lastBefore(this.byStart, ms, (turn) => turn.startMs) : -1;
    const now = this.byStart[index] ?? null;
    if (now !== this.now) {
      this.#leave();
      this.now = now;
      now?.element.classList.add("now");
      now?.element.setAttribute("aria-current", "true");
      if (now && plays && this.follows && performance.now() > this.leftAloneUntil) this.reveal(now);
    }
    this.#showWord(ms);
  }

  reveal(turn) {
    turn.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  /** The turn `by` places from the one at `ms`. Shortly after a turn began, the one before it is the one meant. */
  beside(ms, by) {
    const index = lastBefore(this.byStart, by < 0 ? ms - 800 : ms, (turn) => turn.startMs);
    return this.byStart[by < 0 ? Math.max(0, index) : Math.min(index + 1, this.byStart.length - 1)];
  }

  openBehind() {
    const behind = this.now?.element.querySelector("details");
    if (behind) behind.open = !behind.open;
  }

  #leave() {
    this.now?.element.classList.remove("now");
    this.now?.element.removeAttribute("aria-current");
  }

  #showWord(ms) {
    const words = this.now ? [...this.now.element.querySelectorAll("[data-word]")] : [];
    const word = words[lastBefore(words, ms, (each) => Number(each.dataset.word))] ?? null;
    if (word === this.word) return;
    this.word?.classList.remove("now");
    word?.classList.add("now");
    this.word = word;
  }
}
