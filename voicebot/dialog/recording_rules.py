"""Reads a bot's rules about recording, and finds what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from voicebot.dialog.declarations import check_names, read_prompt
from voicebot.dialog.document import Source
from voicebot.dialog.finding import Finding, at, error, warning
from voicebot.dialog.flow import Bot, Flow, RecordingRules
from voicebot.dialog.graph import reachable, successors
from voicebot.dialog.recording import RecordingOrder, RecordingPolicy
from voicebot.dialog.scope import check_known
from voicebot.dialog.steps import RecordingStep
from voicebot.errors import ConfigurationError, Problem

#: The entries of the block ``recording:``.
RECORDING_KEYS = ("policy", "announcement", "asks", "pause_in")


def read_recording(source: Source | None, flows: Collection[str]) -> RecordingRules:
    """Read the block; what is wrong with it becomes problems of its file."""
    if source is None:
        return RecordingRules()
    fields = source.fields(RECORDING_KEYS)
    policy_source, asks, paused = fields.get("policy"), fields.get("asks"), fields.get("pause_in")
    written = policy_source.text() if policy_source else ""
    if policy_source:
        check_known(written, list(RecordingPolicy), policy_source, "policy of recording")
    said = fields.get("announcement")
    announcement = read_prompt(said, "recording.announcement", interruptible=False)
    if said and announcement:
        check_names(sorted(announcement.names), (), said)
    for entry in (*((asks,) if asks else ()), *(paused.items() if paused else ())):
        check_known(entry.text(), flows, entry, "flow")
    policy = RecordingPolicy(written) if written in set(RecordingPolicy) else RecordingPolicy.ALWAYS
    rules = RecordingRules(
        policy, announcement, asks.text() if asks else "", frozenset(paused.texts() if paused else ())
    )
    if lacking := _lacking(rules):
        source.problem(*lacking)
    return rules


def with_policy(bot: Bot, policy: RecordingPolicy | None) -> Bot:
    """Return the bot with the policy that the settings say, its own where they say none.

    ConfigurationError when the bot has no words for it.
    """
    if policy is None:
        return bot
    rules = replace(bot.recording, policy=policy)
    if lacking := _lacking(rules):
        raise ConfigurationError([Problem("settings", None, f"`recording.policy`: {lacking[0]}", lacking[1])])
    return replace(bot, recording=rules)


def _lacking(rules: RecordingRules) -> tuple[str, str] | None:
    """Return what the policy needs and has not, and the fix."""
    if rules.policy is RecordingPolicy.ANNOUNCE and rules.announcement is None:
        return "The bot announces recording and has no words for it.", "Add 'announcement: …' to 'recording:'."
    if rules.policy is RecordingPolicy.ASK and not rules.asks:
        return (
            "Callers are asked whether they may be recorded, and no flow asks.",
            "Add 'asks: <flow>' to 'recording:'.",
        )
    return None


def recording_findings(bot: Bot) -> Iterator[Finding]:
    """Check that the flow that asks hears both answers, and that what is stopped goes on."""
    for flow in bot.flows.values():
        yield from _never_resumed(flow)
    asking = bot.flows.get(bot.recording.asks)
    if asking is None:
        return
    given = {step.order for step in _orders(asking)}
    for wanted in (RecordingOrder.AGREED, RecordingOrder.REFUSED):
        if wanted not in given:
            what = f"'{asking.name}' asks whether the call may be recorded, and never says '{wanted}'."
            yield error("consent", at(asking), what, f"Add '- recording: {wanted}' where the caller says so.")


def _orders(flow: Flow) -> list[RecordingStep]:
    return [step for step_id in reachable(flow) if isinstance(step := flow.steps[step_id], RecordingStep)]


def _never_resumed(flow: Flow) -> Iterator[Finding]:
    for step in _orders(flow):
        seen: set[str] = set()
        waiting = [step.next] if step.order is RecordingOrder.STOP else []
        while waiting:
            step_id = waiting.pop()
            if step_id not in seen:
                seen.add(step_id)
                waiting += [target for _, target in successors(flow.steps[step_id])]
        resumed = any(
            isinstance(other := flow.steps[step_id], RecordingStep) and other.order is RecordingOrder.RESUME
            for step_id in seen
        )
        if step.order is RecordingOrder.STOP and not resumed:
            what = f"The recording stops here, and '{flow.name}' never resumes it before it is over."
            yield warning(
                "never_resumed", at(flow, step), what, "Add '- recording: resume' behind what is not recorded."
            )
