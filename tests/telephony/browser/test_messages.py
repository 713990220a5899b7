from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.browser import messages
from voicebot.telephony.browser.messages import Bye, Hello, Key, Played, parse_page, split_audio

FRAME = bytes(range(160))


def test_everything_a_page_says_is_read() -> None:
    assert parse_page('{"type":"hello","version":1,"ticket":"a.b.c"}') == Hello("a.b.c")
    assert parse_page('{"type":"key","key":"*","ms":120}') == Key("*", 120)
    assert parse_page('{"type":"key","key":"0"}') == Key("0", None)
    assert parse_page('{"type":"played","generation":2,"position":1600}') == Played(2, 1600)
    assert parse_page('{"type":"bye"}') == Bye()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "bad_json"),
        ("3", "bad_json"),
        ("[" * 2000, "bad_json"),
        ("x" * 3000, "message_too_large"),
        ("{}", "unknown_event"),
        ('{"type":["bye"]}', "unknown_event"),
        ('{"type":"hello","version":"1","ticket":"x"}', "bad_field"),
        ('{"type":"hello","version":1,"ticket":""}', "bad_field"),
        ('{"type":"key","key":"12"}', "bad_field"),
        ('{"type":"key","key":["1"]}', "bad_field"),
        ('{"type":"key","key":""}', "bad_field"),
        ('{"type":"key","key":"1","ms":-5}', "bad_field"),
        ('{"type":"played","generation":0}', "bad_field"),
        ('{"type":"played","generation":0,"position":1.5}', "bad_field"),
        ('{"type":"played","generation":0,"position":true}', "bad_field"),
        ('{"type":"played","generation":0,"position":1e400}', "bad_field"),
        ('{"type":"played","generation":0,"position":' + "9" * 1000 + "}", "bad_field"),
    ],
)
def test_nonsense_is_refused_with_its_kind(text: str, kind: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_page(text)
    assert caught.value.kind == kind


def test_audio_is_cut_into_frames() -> None:
    assert split_audio(FRAME) == [FRAME]
    assert split_audio(FRAME * 3) == [FRAME] * 3


@pytest.mark.parametrize("length", [0, 1, 159, 161, 1601, 1760])
def test_audio_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        split_audio(bytes(length))
    assert caught.value.kind == "bad_audio"


@given(st.text(), st.integers(0, 10**9), st.booleans())
def test_what_the_server_says_is_json_whatever_was_said(text: str, number: int, final: bool) -> None:
    assert json.loads(messages.caption("bot", text, final=final)) == {
        "type": "caption",
        "speaker": "bot",
        "text": text,
        "final": final,
    }
    assert json.loads(messages.clear(number, number)) == {"type": "clear", "generation": number, "position": number}
    assert json.loads(messages.level(-number)) == {"type": "level", "dbfs": -number}
    assert json.loads(messages.end("completed", text)) == {"type": "end", "cause": "completed", "message": text}
    assert json.loads(messages.ready()) == {"type": "ready"}


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse_page(text)
    except RemoteProtocolError as error:
        assert error.kind in {"bad_json", "unknown_event", "bad_field"}  # noqa: PT017  # most texts are refused
