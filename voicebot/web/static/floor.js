// The supervisor's page: queues, agents and callbacks as they are now.

import { element, expectedWait, LINE_NAMES, moment, runDurations, runningTime, sentence, ServerClock, STATE_NAMES, words } from "./page-parts.js";
import { PageSocket } from "./page-socket.js";

const $ = (id) => document.getElementById(id);
const clock = new ServerClock();
const showDurations = runDurations(clock);
const socket = new PageSocket("/floor/socket");

const dot = (state) => element("span", { class: "dot", "data-state": state });
const cell = (...content) => element("td", {}, ...content);
const number = (...content) => element("td", { class: "number" }, ...content);
const heading = (text) => element("th", { scope: "row" }, text);

function byState(counts) {
  return Object.entries(counts).map(([state, count]) => element("span", { class: "chip" }, dot(state), ` ${count} ${STATE_NAMES[state].toLowerCase()}`));
}

function queueRow(queue) {
  const agents = byState(queue.agents);
  return element(
    "tr",
    {},
    heading(sentence(queue.title)),
    cell(sentence(queue.standing)),
    number(String(queue.waiting)),
    number(runningTime(queue.waiting_since)),
    number(expectedWait(queue.expected_wait_s)),
    number(String(queue.talking)),
    cell(...(agents.length ? agents : ["nobody"])),
  );
}

function agentRow(agent, titles) {
  const called = agent.queue ? titles.get(agent.queue) ?? agent.queue : "–";
  return element(
    "tr",
    {},
    heading(agent.name),
    cell(dot(agent.state), ` ${STATE_NAMES[agent.state]}`),
    number(runningTime(agent.since)),
    cell(LINE_NAMES[agent.reach]),
    cell(called),
  );
}

function callbackRow(callback) {
  return element(
    "tr",
    {},
    cell(moment(callback.due_at)),
    cell(callback.number || "withheld"),
    cell(callback.queue),
    cell(words(callback.state)),
    number(String(callback.attempts)),
  );
}

function rows(id, made, columns) {
  const none = element("tr", {}, element("td", { colSpan: columns, class: "soft" }, "None."));
  $(id).replaceChildren(...(made.length ? made : [none]));
}

socket.addEventListener("message", ({ detail: board }) => {
  if (board.type !== "board") return;
  clock.set(board.at);
  const titles = new Map(board.queues.map((queue) => [queue.name, queue.title]));
  $("states").replaceChildren(...byState(board.states));
  rows("queues", board.queues.map(queueRow), 7);
  rows("agents", board.agents.map((agent) => agentRow(agent, titles)), 5);
  rows("callbacks", board.callbacks.map(callbackRow), 5);
  showDurations();
});
socket.addEventListener("open", () => { $("notice").hidden = true; });
socket.addEventListener("lost", () => {
  $("notice").textContent = "The connection was lost; what you see is no longer current. Trying again…";
  $("notice").hidden = false;
});
