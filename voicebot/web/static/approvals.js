// Keeps the list of what waits for a decision up to date, without taking a button from under somebody's finger.

const EVERY_MS = 10_000;
const waiting = document.getElementById("waiting");

const named = (list) => [...list.querySelectorAll("[data-approval]")].map((each) => each.dataset.approval).join();

async function look() {
  if (document.hidden || waiting.contains(document.activeElement)) return;
  try {
    const answer = await fetch("/approvals");
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.getElementById("waiting");
    if (now && named(now) !== named(waiting)) waiting.replaceChildren(...now.childNodes);
  } catch {
    // The server is away for a moment; the next look will tell.
  }
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
