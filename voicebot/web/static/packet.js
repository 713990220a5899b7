// Shows a context packet: who calls and why first, then the conversation, what was done, data and what to do next.

import { element, sentence, words } from "./page-parts.js";

const MOODS = [
  [(mood) => mood.frustration >= 0.5, "frustrated"],
  [(mood) => mood.sentiment <= -0.25, "unhappy"],
  [(mood) => mood.urgency >= 0.5, "in a hurry"],
  [(mood) => mood.trend === "worse", "getting worse"],
];
const OUTCOMES = { ok: "done" };

function chip(text, kind = "") {
  return element("span", { class: `chip ${kind}` }, text);
}

function facts(values) {
  const rows = Object.entries(values).filter(([, value]) => value !== "");
  return element("dl", { class: "packet-facts" }, ...rows.map(([name, value]) => element("div", {}, element("dt", {}, sentence(name)), element("dd", {}, String(value)))));
}

function section(title, ...content) {
  return element("section", {}, element("h3", {}, title), ...content);
}

function list(items, name = "ul") {
  return element(name, {}, ...items.map((item) => element("li", {}, item)));
}

function chips(packet) {
  const { authentication, customer, mood, escalation } = packet;
  return element(
    "p",
    { class: "chips" },
    customer.tier ? chip(sentence(customer.tier), "intent") : null,
    authentication.authenticated
      ? chip(`Authenticated by ${words(authentication.method)}`, "good")
      : chip(authentication.failures ? `Not authenticated, ${authentication.failures} failed` : "Not authenticated", "bad"),
    ...MOODS.filter(([holds]) => holds(mood)).map(([, name]) => chip(sentence(name), "warm")),
    escalation.rule || escalation.reason ? chip(`Why: ${words(escalation.rule || escalation.reason)}`) : null,
  );
}

function conversation(turns) {
  if (!turns.length) return element("p", { class: "soft" }, "Nothing was said yet.");
  return element(
    "ol",
    { class: "packet-turns", tabIndex: 0, "aria-label": "Conversation", role: "list" },
    ...turns.map((turn) =>
      element(
        "li",
        { class: turn.speaker },
        element("span", { class: "who" }, sentence(turn.speaker)),
        turn.secret ? element("span", { class: "secret" }, "kept secret") : turn.text,
      ),
    ),
  );
}

function attempt(done) {
  const result = Object.entries(done.result).map(([name, value]) => `${words(name)} ${value}`).join(", ");
  return element(
    "span",
    {},
    element("b", {}, sentence(done.operation)),
    ` – ${OUTCOMES[done.outcome] ?? words(done.outcome)}`,
    result ? `: ${result}` : "",
    done.reference ? ` (reference ${done.reference})` : "",
  );
}

/** Fills `into` with a packet, in the order in which somebody who is rung needs it. */
export function showPacket(into, packet) {
  const { customer, request, next_steps: nextSteps, promises } = packet;
  const data = { ...(request ? { request: request.title || words(request.intent) } : {}), ...customer.profile, ...packet.data };
  into.replaceChildren(
    element("h2", {}, customer.name || customer.number || "Caller unknown"),
    ...(customer.name && customer.number ? [element("p", { class: "soft" }, customer.number)] : []),
    chips(packet),
    element("div", { class: "summary" }, ...packet.summary.map((line) => element("p", {}, line))),
    element(
      "div",
      { class: "packet-grid" },
      section("Conversation", conversation(packet.conversation)),
      element(
        "div",
        { class: "packet-rest" },
        section("Done so far", packet.attempts.length ? list(packet.attempts.map(attempt)) : element("p", { class: "soft" }, "Nothing.")),
        Object.keys(data).length ? section("Data", facts(data)) : null,
        customer.history.length ? section("Before this call", list(customer.history)) : null,
        nextSteps.length ? section("Next steps", list(nextSteps, "ol")) : null,
        promises.length ? section("Promised to the caller", list(promises)) : null,
      ),
    ),
  );
}
