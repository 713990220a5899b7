// Keys that do something on the whole page.

/** Calls `actions[key]` unless the key belongs to what has the focus, or `allowed()` says no. */
export function listenToKeys(actions, allowed) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !allowed()) return;
    const act = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || takes(event.target, event.key)) return;
    event.preventDefault();
    act();
  });
}

function takes(element, key) {
  if (element.id === "seek") return false;
  if (element.matches("input[type=checkbox], button, summary")) return key === " " || key === "Enter";
  return element.matches("input, select, textarea, audio, [contenteditable]");
}
