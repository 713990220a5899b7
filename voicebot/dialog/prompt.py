"""Prompt templates: ``"Your balance is {balance}."`` in variants, split into fixed pieces and spoken values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from zlib import crc32

from voicebot.dialog.actions import PromptPart
from voicebot.dialog.events import SlotValue
from voicebot.dialog.values import Form, ValueKind, spoken, written

_FIELD = re.compile(r"\{([^{}]*)\}")
_CLOSING = re.compile(r"^[.,;:!?]+")


@dataclass(frozen=True, slots=True)
class Fixed:
    text: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A value's place: ``{name}``, ``{name:digits}``, ``{name:relative}`` or ``{name:count day}``.

    `closing` is the punctuation that follows, spoken with the value so that its melody falls in the right place.
    """

    name: str
    form: Form = Form.PLAIN
    noun: str = ""
    closing: str = ""


Piece = Fixed | Filled


def _template(piece: Piece) -> str:
    if isinstance(piece, Fixed):
        return piece.text
    form = "" if piece.form is Form.PLAIN else f":{piece.form} {piece.noun}".rstrip()
    return f"{{{piece.name}{form}}}{piece.closing}"


class TemplateError(ValueError):
    """A template cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said at one place of a flow. `name` is unique within a bot; one of `variants` is chosen.

    Where the caller reads, one of `written` is, if there are any.
    """

    name: str
    variants: tuple[tuple[Piece, ...], ...]
    interruptible: bool = True
    written: tuple[tuple[Piece, ...], ...] = ()

    @property
    def text(self) -> str:
        """The first variant as an admin wrote it, for pictures and messages."""
        return " ".join(
            piece.text if isinstance(piece, Fixed) else f"{{{piece.name}}}{piece.closing}" for piece in self.variants[0]
        )

    @property
    def templates(self) -> tuple[str, ...]:
        """Each variant that is spoken, as `parse_template` reads it."""
        return tuple(" ".join(_template(piece) for piece in pieces) for pieces in self.variants)

    @property
    def names(self) -> frozenset[str]:
        pieces = [piece for pieces in (*self.variants, *self.written) for piece in pieces]
        return frozenset(piece.name for piece in pieces if isinstance(piece, Filled))

    @property
    def static_texts(self) -> tuple[str, ...]:
        return tuple(piece.text for pieces in self.variants for piece in pieces if isinstance(piece, Fixed))

    def variant(self, seed: int, turn: int, *, in_writing: bool = False) -> tuple[Piece, ...]:
        """Pick by a hash of the call's seed, so that callers hear variety and a replay hears the same."""
        variants = self.written if in_writing and self.written else self.variants
        return variants[crc32(f"{seed}:{turn}:{self.name}".encode()) % len(variants)]


def parse_template(text: str) -> tuple[Piece, ...]:
    """Split a template into pieces; `TemplateError` when a brace or a form is wrong."""
    text = " ".join(text.split())
    pieces: list[Piece] = []
    last = 0
    for field in _FIELD.finditer(text):
        _add_fixed(pieces, text[last : field.start()])
        pieces.append(_filled(field.group(1)))
        last = field.end()
    _add_fixed(pieces, text[last:])
    if not pieces:
        raise TemplateError("The prompt is empty.")
    return tuple(pieces)


def _add_fixed(pieces: list[Piece], text: str) -> None:
    if "{" in text or "}" in text:
        raise TemplateError("A { or } stands alone; a value is written {slot}.")
    closing = _CLOSING.match(text)
    if closing and pieces and isinstance(value := pieces[-1], Filled):
        pieces[-1] = Filled(value.name, value.form, value.noun, closing.group())
        text = text[closing.end() :]
    if text := text.strip():
        pieces.append(Fixed(text))


def _filled(field: str) -> Filled:
    name, _, form_text = (part.strip() for part in field.partition(":"))
    form_name, _, noun = form_text.partition(" ")
    if not all(part.isidentifier() for part in name.split(".", 1)):
        raise TemplateError(f"'{{{field}}}' does not name a slot.")
    if form_name and form_name not in set(Form):
        raise TemplateError(f"'{form_name}' is no form of a value; there are {', '.join(Form)}.")
    form = Form(form_name) if form_name else Form.PLAIN
    if (form is Form.COUNT) != bool(noun):
        raise TemplateError("Only 'count' takes a noun, and it needs one: {days:count day}.")
    return Filled(name, form, noun)


@dataclass(frozen=True, slots=True)
class Values:
    """What names hold when a prompt is said, of which kind, and on which day."""

    lookup: Callable[[str], SlotValue | None]
    kind_of: Callable[[str], ValueKind]
    today: date


def render(pieces: tuple[Piece, ...], values: Values, *, in_writing: bool = False) -> tuple[PromptPart, ...]:
    """Fill the values in. A name that holds nothing is left out; `flows check` keeps that from happening."""
    put = written if in_writing else spoken
    parts: list[PromptPart] = []
    for piece in pieces:
        match piece:
            case Fixed(text):
                parts.append(PromptPart(text))
            case Filled(name, form, noun, closing):
                value = values.lookup(name)
                if value is not None:
                    words = put(value, values.kind_of(name), form=form, noun=noun, today=values.today)
                    parts.append(PromptPart(words + closing, static=False))
    return tuple(parts)
