"""JSON Schemas of the flow language, so that editors complete and check the files while they are written.

They know the words and their places; names that must exist elsewhere are left to `flows check`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from voicebot.dialog.actions import Takeover
from voicebot.dialog.check_digits import CheckDigit
from voicebot.dialog.condition import Aspect
from voicebot.dialog.conduct import COMMANDS, LADDERS, PATTERN_PROMPTS
from voicebot.dialog.declarations import NAME, OPERATION_KEYS, OPERATION_NAME, TYPE_KEYS
from voicebot.dialog.escalation.reading import HYSTERESIS_KEYS, POLICY_KEYS, SAID, SOURCES_KEYS, USUAL
from voicebot.dialog.escalation.reading import TYPE_KEYS as POLICY_TYPE_KEYS
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.signals import WEIGHED
from voicebot.dialog.escalation.topic import Topic
from voicebot.dialog.expectation import AnswerKind
from voicebot.dialog.hours_values import HoursAspect
from voicebot.dialog.loader import BOT_KEYS, FLOW_KEYS
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.planned import STEP_KEYS
from voicebot.dialog.recording import RecordingOrder, RecordingPolicy
from voicebot.dialog.recording_rules import RECORDING_KEYS
from voicebot.dialog.schedules import HOLIDAY_KEYS, HOURS_KEYS
from voicebot.dialog.story import HAPPENINGS, MEANS_KEYS, STORY_KEYS, STORY_STEP_KEYS
from voicebot.dialog.values import ValueKind

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Editors read 5 and yes as a number and a truth value; for the flow language both are text.
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_FLAG: Schema = {"enum": ["yes", "no", "true", "false", True, False]}
_NAME: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_NAMES: Schema = {"oneOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}
_TEXTS: Schema = {"oneOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]}
_PROMPT: Schema = {
    "description": "What is said: one text, or several of which one is chosen. Values stand as {slot}.",
    "oneOf": [
        _SCALAR,
        {"type": "array", "items": _SCALAR, "minItems": 1},
        {
            "type": "object",
            "properties": {"spoken": _TEXTS, "written": _TEXTS},
            "required": ["spoken", "written"],
            "additionalProperties": False,
        },
    ],
}
_CALM: Schema = {**_PROMPT, "description": "What callers who are not upset hear instead."}
_COUNT: Schema = {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]+$"}]}
_SHARE: Schema = {
    "oneOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^[01]?(\.[0-9]+)?$"}]
}
_CONDITION: Schema = {
    "description": "A condition such as: delay_days > 3 and not credited. After a dot: "
    + ", ".join((*Aspect, *HoursAspect))
    + ".",
    "oneOf": [{"type": "string"}, {"type": "boolean"}],
}
_STEPS: Schema = {"$ref": "#/$defs/steps"}
_RULES: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"be": _CONDITION, "or_say": _PROMPT},
        "required": ["be", "or_say"],
        "additionalProperties": False,
    },
}

_STEP_VALUES: dict[str, Schema] = {
    "say": _PROMPT,
    "request": _PROMPT,
    "if": _CONDITION,
    "set": {"type": "object", "additionalProperties": _SCALAR},
    "clear": _NAMES,
    "take": _NAMES,
    "confirm": _NAMES,
    "recording": {"enum": list(RecordingOrder)},
    "end": {"enum": list(Outcome)},
    "done": {"oneOf": [_SCALAR, {"type": "null"}]},
}
_ABOUT: dict[str, str] = {
    "say": "Say something and go on.",
    "ask": "Ask for a slot, unless it is filled already.",
    "confirm": "Read slots back; the caller says yes, no, or what is wrong.",
    "request": "Ask what the caller wants; their request starts its flow.",
    "call": "Have a system do something; its answer decides how it goes on.",
    "hours": "Save what opening hours say of a day: whether it is open, from when to when, or why not.",
    "if": "Go one way or the other.",
    "set": "Fill slots from constants or other slots.",
    "clear": "Empty slots, so that they are asked for again.",
    "take": "Fill slots from what the caller has said already, without asking.",
    "run": "Run another flow as a part of this one.",
    "go_to": "Go on at another step of this flow.",
    "person": "The caller is to speak with a person.",
    "reached": "The caller's goal is reached.",
    "recording": "Stop or resume the recording, or note whether the caller agreed to it.",
    "done": "The flow is over.",
    "end": "The call is over.",
}
_OPTION_VALUES: dict[str, Schema] = {
    "prompt": _PROMPT,
    "again": {"description": "What is said after a miss, attempt by attempt.", **_PROMPT},
    "keys": {"description": "How to answer with the keypad.", **_PROMPT},
    "filler": {"description": "Said while a system takes its time.", **_PROMPT},
    "yes": _PROMPT,
    "barge_in": {"description": "Whether the caller may interrupt; yes unless said otherwise.", **_FLAG},
    "listen_open": {"description": "Whether other requests are listened for at this question.", **_FLAG},
    "wait_s": {"description": "Seconds until silence counts.", **_COUNT},
    "must": _RULES,
    "options": _NAMES,
    "menu": {
        "type": "object",
        "patternProperties": {"^[0-9]$": _SCALAR},
        "additionalProperties": False,
    },
    "by": {"description": "How; warm_transfer unless said otherwise.", "enum": list(Takeover)},
    "unknown": _SCALAR,
    "day": {"description": "A slot that holds the day; today, where it holds none.", **_SCALAR},
    "with": {"type": "object", "additionalProperties": _SCALAR},
    "save": {"oneOf": [_NAMES, {"type": "object", "additionalProperties": _SCALAR}]},
    "on": {"type": "object", "additionalProperties": _STEPS},
    "at_most": _COUNT,
    **dict.fromkeys(("no", "gives_up", "unavailable", "then", "else", "otherwise"), _STEPS),
}


_DAY = "^([0-9]{4}-)?[0-9]{1,2}-[0-9]{1,2}$"
_OPENINGS: Schema = {"description": "Like 9:00-17:00, a list of such, or closed.", **_NAMES}
_HOLIDAY: Schema = {
    "description": "Its name; with 'open:' where it is open for a part of the day.",
    "oneOf": [
        _SCALAR,
        {
            "type": "object",
            "properties": dict(zip(HOLIDAY_KEYS, (_SCALAR, _OPENINGS), strict=True)),
            "required": list(HOLIDAY_KEYS),
            "additionalProperties": False,
        },
    ],
}
_WEEK: Schema = {
    "description": "Openings by day: saturday, or monday to friday. A day that is not named is closed.",
    "type": "object",
    "additionalProperties": _OPENINGS,
}


def flow_schema() -> Schema:
    """The schema of a flow's file."""
    properties: dict[str, Schema] = {
        "flow": _NAME,
        "title": {"description": "As said to a caller: your account balance.", **_SCALAR},
        "about": _SCALAR,
        "intents": _examples(),
        "slots": {"type": "object", "additionalProperties": _SCALAR},
        "outcomes": _NAMES,
        "unless": _CONDITION,
        "replaces": {"description": "Ends what was going on instead of returning to it.", **_FLAG},
        "steps": _STEPS,
    }
    return _document("A flow: one thing a caller can get done", _exactly(properties, FLOW_KEYS), ("flow", "steps"))


def bot_schema() -> Schema:
    """The schema of the files that say what is true of the whole bot."""
    rungs: Schema = {
        "type": "array",
        "items": {
            "oneOf": [
                _object({"say": _PROMPT, "offer_keys": _FLAG}),
                _object({"gives_up": _SCALAR}, required=("gives_up",)),
            ]
        },
    }
    operation = {
        "about": _SCALAR,
        "arguments": _signature(),
        "results": _signature(),
        "failures": _NAMES,
        "write": _FLAG,
        "secret": _NAMES,
        "needs": _CONDITION,
        "person_when": _CONDITION,
        "approve_when": _CONDITION,
        "undo": {
            "description": "How a write is taken back: by another operation, what a person does, or why never.",
            **_object(
                {
                    "operation": _SCALAR,
                    "with": {"type": "object", "additionalProperties": _SCALAR},
                    "by_hand": _SCALAR,
                    "never": _SCALAR,
                }
            ),
        },
        "after_call": _FLAG,
        "no_such": {
            "description": "Which failure says that an argument's value does not exist.",
            "type": "object",
            "additionalProperties": _SCALAR,
        },
    }
    slot_type = {
        "kind": {"enum": list(ValueKind)},
        "length": _NAMES,
        "pattern": _SCALAR,
        "check_digit": {"enum": list(CheckDigit)},
        "choices": {"type": "object", "additionalProperties": _NAMES},
        "secret": _FLAG,
        "must": _RULES,
        "invalid": _PROMPT,
        "keys": _PROMPT,
    }
    patterns = {**dict.fromkeys(PATTERN_PROMPTS, _PROMPT), "backend_down": _SCALAR}
    recording = {
        "policy": {"enum": list(RecordingPolicy)},
        "announcement": _PROMPT,
        "asks": {"description": "The flow that asks whether the call may be recorded.", **_SCALAR},
        "pause_in": {"description": "Flows in which nothing is recorded.", **_NAMES},
    }
    reply = _object({"examples": _NAMES, "say": _PROMPT}, required=("examples", "say"))
    properties: dict[str, Schema] = {
        "bot": _SCALAR,
        "language": _SCALAR,
        "start": _SCALAR,
        "names": _NAMES,
        "intents": _examples(),
        "replies": {"type": "object", "additionalProperties": reply},
        "types": _named(_object(_exactly(slot_type, TYPE_KEYS), required=("kind",))),
        "operations": _named(_object(_exactly(operation, OPERATION_KEYS)), pattern=OPERATION_NAME.pattern),
        "holidays": _named({"type": "object", "patternProperties": {_DAY: _HOLIDAY}, "additionalProperties": False}),
        "hours": _named(_object(_exactly({"zone": _SCALAR, "week": _WEEK, "holidays": _NAMES}, HOURS_KEYS), ("week",))),
        "remember": {"type": "object", "additionalProperties": _SCALAR},
        "commands": _object(dict.fromkeys(COMMANDS, _SCALAR), required=COMMANDS),
        "ladders": _object(dict.fromkeys(LADDERS, rungs), required=LADDERS),
        "patterns": _object(patterns, required=tuple(patterns)),
        "understanding": _object(dict.fromkeys(("accept", "clarify", "margin", "digress"), _SHARE)),
        "limits": _object(dict.fromkeys(("misses", "turns", "stack"), _COUNT)),
        "recording": {
            "description": "Whether calls are recorded, and what callers are told of it.",
            **_object(_exactly(recording, RECORDING_KEYS)),
        },
    }
    return _document("What is true of the whole bot", _exactly(properties, BOT_KEYS), ())


def policy_schema() -> Schema:
    """The schema of a bot's escalation policy."""
    amount: Schema = {"oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^[0-9]*\.?[0-9]*$"}]}
    rung: Schema = {"enum": list(EscalationRung)}
    weight: Schema = {"oneOf": [amount, _object({"weight": amount, "full": amount}, required=("weight", "full"))]}
    weights = _object(dict.fromkeys(WEIGHED, weight))
    thresholds = _object({name.value: amount for name in EscalationRung})
    kind = _exactly({"intents": _NAMES, "weights": weights, "rungs": thresholds}, POLICY_TYPE_KEYS)
    named = {"type": "object", "additionalProperties": _object(kind), "required": [USUAL]}
    said = {name.value: _object({"say": _PROMPT, "calm": _CALM}, required=("say",)) for name in SAID}
    flows = {name.value: _object({"flow": _SCALAR}, required=("flow",)) for name in EscalationRung if name not in SAID}
    rule = _object({"when": _CONDITION, "go_to": rung}, required=("when", "go_to"))
    properties: dict[str, Schema] = {
        "about": _SCALAR,
        "listen_for": {"description": "What callers say in anger or need, for the recogniser.", **_TEXTS},
        "sources": _object(_exactly({**dict.fromkeys(SOURCES_KEYS, _NAMES), "tier": _SCALAR}, SOURCES_KEYS)),
        "asked": _object({"go_to": rung, "offer": rung}, required=("go_to",)),
        "hysteresis": _object(dict.fromkeys(HYSTERESIS_KEYS, amount), required=HYSTERESIS_KEYS),
        "rungs": _object({**said, **flows}),
        "rules": {"type": "object", "additionalProperties": rule},
        "types": named,
    }
    return {
        "$schema": _DIALECT,
        "title": "When a person takes over",
        **_object(_exactly(properties, POLICY_KEYS), required=("asked", "hysteresis", "rungs", "types")),
    }


def story_schema() -> Schema:
    """The schema of a file of stories."""
    placed = _object({"is": _SCALAR, "words": _SCALAR}, required=("is",))
    entity: Schema = {"oneOf": [_SCALAR, placed, {"type": "array", "items": {"oneOf": [_SCALAR, placed]}}]}
    means = _object(
        _exactly(
            {
                "intent": _SCALAR,
                "intents": {"type": "object", "additionalProperties": _SHARE},
                "also": _NAMES,
                "confidence": _SHARE,
                "yes_no": _FLAG,
                "correction": _FLAG,
                "frustration": _SHARE,
                "urgency": _SHARE,
                "topics": {"oneOf": [{"enum": list(Topic)}, {"type": "array", "items": {"enum": list(Topic)}}]},
                "no_person": _FLAG,
                **{kind.value: entity for kind in AnswerKind if kind != "yes_no"},
            },
            MEANS_KEYS,
        )
    )
    heard: Schema = {"type": "array", "items": _object({"caller": _SCALAR, "means": means}, required=("means",))}
    options = {
        "means": means,
        "or_heard": heard,
        "day": {"description": "A slot that holds the day; today, where it holds none.", **_SCALAR},
        "with": {"type": "object", "additionalProperties": _SCALAR},
        "answers": _SCALAR,
        "gives": {"type": "object", "additionalProperties": _SCALAR},
        "holds": _SCALAR,
    }
    steps = [
        _object({kind: _SCALAR, **{name: options[name] for name in names}}, required=(kind,))
        for kind, names in STORY_STEP_KEYS.items()
    ]
    story = {
        "story": _SCALAR,
        "at": _SCALAR,
        "zone": _SCALAR,
        "channel": {"enum": ["phone", "chat", "sms"]},
        "seed": _COUNT,
        "caller_number": _SCALAR,
        "begins": _SCALAR,
        "steps": {"type": "array", "items": {"oneOf": [{"enum": list(HAPPENINGS)}, *steps]}},
    }
    return {
        "$schema": _DIALECT,
        "title": "Stories: conversations as they should go",
        "type": "array",
        "items": _object(_exactly(story, STORY_KEYS), required=("story", "steps")),
    }


def _document(title: str, properties: Schema, required: Iterable[str]) -> Schema:
    return {
        "$schema": _DIALECT,
        "title": title,
        **_object(properties, required=tuple(required)),
        "$defs": {"steps": _steps()},
    }


def _steps() -> Schema:
    one = [_step(kind, options) for kind, options in STEP_KEYS.items()]
    step: Schema = {"oneOf": [{"const": "done"}, *one]}
    return {"oneOf": [{"type": "array", "items": step}, step]}


def _step(kind: str, options: Iterable[str]) -> Schema:
    properties = {
        kind: {"description": _ABOUT[kind], **_STEP_VALUES.get(kind, _SCALAR)},
        "id": _NAME,
        **{name: _OPTION_VALUES[name] for name in options},
    }
    return _object(properties, required=(kind,))


def _object(properties: Schema, required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _named(entry: Schema, pattern: str = NAME.pattern) -> Schema:
    return {"type": "object", "patternProperties": {f"^{pattern}$": entry}, "additionalProperties": False}


def _examples() -> Schema:
    return {"type": "object", "additionalProperties": {"type": "array", "items": _SCALAR, "minItems": 3}}


def _signature() -> Schema:
    return {"type": "object", "additionalProperties": {"enum": list(ValueKind)}}


def _exactly(properties: Schema, names: Iterable[str]) -> Schema:
    """The properties in the loader's order; a name that the loader knows and this file does not is a KeyError."""
    return {name: properties[name] for name in names}
