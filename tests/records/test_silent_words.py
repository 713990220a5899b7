"""Words that must not be heard, as times in a recording."""

from __future__ import annotations

from voicebot.records.silent_words import TimedWord, silent_spans
from voicebot.redaction import Sensitive


def test_the_words_times_say_where_to_be_silent() -> None:
    words = [
        TimedWord(word, 1000 * at, 1000 * at + 800) for at, word in enumerate("my pin is one two three four ok".split())
    ]
    spans, hidden = silent_spans(words)
    assert [(span.kind, span.start_ms, span.end_ms) for span in spans] == [(Sensitive.PIN, 3000, 6800)]
    assert hidden == {3, 4, 5, 6}
