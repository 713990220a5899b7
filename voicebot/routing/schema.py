"""The JSON Schema of queues.yaml, so that editors complete and check it while it is written."""

from __future__ import annotations

from typing import Any

from voicebot.routing.agents import ReachKind
from voicebot.routing.loader import (
    AGENT_KEYS,
    CALLBACK_KEYS,
    DESTINATION_KEYS,
    QUEUE_COUNTS,
    QUEUE_KEYS,
    QUEUE_SECONDS,
    TOP_KEYS,
)
from voicebot.routing.queues import Choice, Failure, NextStep
from voicebot.routing.wording import DEFAULTS

Schema = dict[str, Any]

_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_SKILLS: Schema = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 9}}
_CHOICES: Schema = {"type": "array", "items": {"enum": list(Choice)}}
_TEXTS: Schema = {"oneOf": [_TEXT, {"type": "array", "items": _TEXT}]}

_DESTINATION: Schema = {
    "oneOf": [
        {
            "type": "object",
            "properties": {key: {"type": "boolean"} if key == "introduced" else _TEXT for key in keys},
            "required": [kind, "workspace"] if kind == "workflow" else [kind],
            "additionalProperties": False,
        }
        for kind, keys in DESTINATION_KEYS.items()
    ]
}
_QUEUE: Schema = {
    "title": {"description": "How callers hear the queue named: customer service.", **_TEXT},
    "topics": {
        "description": "What calls must be about to come here: intents, or classes such as complaint.",
        **_TEXTS,
    },
    "skills": {"description": "What an agent must be able to do, and how well, 1 to 9.", **_SKILLS},
    "hours": {"description": "The schedule in which agents take callers; always, if not given.", **_TEXT},
    "overflow": {"description": "The queue that takes callers when this one is full or too slow.", **_TEXT},
    "offers": {"description": "What a caller can have instead of waiting.", **_CHOICES},
    "after_hours": {"description": "What a caller can have when the queue is closed.", **_CHOICES},
    "number": {"description": "A number that callers are told, for emergencies after hours.", **_TEXT},
    "step": {"description": "The flow that the bot runs with the caller when an agent keys star two.", **_TEXT},
    "survey": {"description": "The flow that asks how it was, when the agent ends with a survey.", **_TEXT},
    "survey_always": {"description": "Whether the survey follows whenever the agent hangs up.", "type": "boolean"},
    "then": {
        "description": "What follows when an agent does not take a caller.",
        "type": "object",
        "properties": {failure.value: {"enum": list(NextStep)} for failure in Failure},
        "additionalProperties": False,
    },
    "elsewhere": {
        "description": "Where callers are sent first, as long as the queue is open: one destination or several.",
        "oneOf": [_DESTINATION, {"type": "array", "items": _DESTINATION}],
    },
    **dict.fromkeys(QUEUE_SECONDS, _COUNT),
    **dict.fromkeys(QUEUE_COUNTS, _COUNT),
}
_REACH: Schema = {
    "oneOf": [
        {"const": ReachKind.BROWSER.value},
        {"type": "object", "properties": {"sip": _TEXT}, "required": ["sip"], "additionalProperties": False},
        {"type": "object", "properties": {"phone": _TEXT}, "required": ["phone"], "additionalProperties": False},
    ]
}
_AGENT: Schema = {
    "name": {"description": "How callers hear the agent named.", **_TEXT},
    "skills": _SKILLS,
    "reach": {"description": "The agent's lines, the usual one first.", "type": "array", "items": _REACH},
}


def queues_schema() -> Schema:
    """The schema of queues.yaml."""
    properties: Schema = {
        "default": {"description": "The queue of every topic that no other queue names.", **_TEXT},
        "queues": _named(_object({key: _QUEUE[key] for key in QUEUE_KEYS}, ["title"])),
        "agents": _named(_object({key: _AGENT[key] for key in AGENT_KEYS}, ["name", "reach"])),
        "tiers": {"description": "How much earlier customers of a tier are served.", **_named(_COUNT)},
        "topics": {"description": "How much earlier callers about a topic are served.", **_named(_COUNT)},
        "says": {
            "description": "What is said during a hand-over.",
            **_object(dict.fromkeys(DEFAULTS, _TEXT), []),
        },
        "callbacks": _object(dict.fromkeys(CALLBACK_KEYS, _COUNT), []),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Queues: who takes callers that want a person",
        **_object({key: properties[key] for key in TOP_KEYS}, ["default", "queues", "agents"]),
    }


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _named(entry: Schema) -> Schema:
    return {"type": "object", "additionalProperties": entry}
