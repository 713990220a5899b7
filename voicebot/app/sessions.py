"""Makes the session of each call from what lives as long as the server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from voicebot.app.speech import Speech
from voicebot.backends.backends import Backends
from voicebot.calls.seams import StandingPrompts
from voicebot.calls.session import CallPlan, CallSession
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.flow import Bot
from voicebot.language.completeness import completeness
from voicebot.language.understanding import Understanding
from voicebot.media.events import LineEvent
from voicebot.media.line import Line
from voicebot.records.metrics import Metrics
from voicebot.records.recorder import Recorder, Recordings
from voicebot.records.store import Store
from voicebot.settings import Settings
from voicebot.speech.listening.models import SpeechModel
from voicebot.telephony.leg import CallLeg

#: Frames in one chunk of outgoing audio.
FRAMES_A_CHUNK = 2


class SessionFactory:
    def __init__(
        self,
        *,
        settings: Settings,
        bot: Bot,
        understanding: Understanding,
        backends: Backends,
        speech: Speech,
        store: Store,
        recordings: Recordings,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._bot = bot
        self._understanding = understanding
        self._backends = backends
        self._speech = speech
        self._store = store
        self._recordings = recordings
        self._metrics = metrics
        self._zone = ZoneInfo(settings.zone)
        self._prompts = standing_prompts(bot)

    def make(self, leg: CallLeg) -> CallSession:
        call_id = leg.info.leg_id
        recorder = self._recordings.start(call_id, time.monotonic())
        path = recorder.path.relative_to(self._settings.data).as_posix()
        plan = CallPlan(
            call_id=call_id,
            recording_path=path,
            zone=self._settings.zone,
            seed=random.SystemRandom().randrange(2**31),
            max_call_s=self._settings.max_call_s,
            prompts=self._prompts,
        )
        return CallSession(
            plan,
            leg,
            dialog=Conversation(self._bot),
            understanding=self._understanding,
            operations=self._backends,
            make_line=lambda on_event: self._line(leg, recorder, on_event),
            journal=self._store.journal,
            meter=self._metrics,
            recording=recorder,
            clock=time.monotonic,
            now=lambda: datetime.now(self._zone),
        )

    def _completeness(self, text: str, expectation: Expectation) -> float:
        (reading,) = self._understanding.interpret([(text, 1.0)], expectation, datetime.now(self._zone)) or (None,)
        return completeness(reading, expectation) if reading else 0.0

    def _line(self, leg: CallLeg, recorder: Recorder, on_event: Callable[[LineEvent], None]) -> Line:
        return Line(
            leg,
            transcriber=self._speech.transcriber,
            turn_model=self._speech.turn_model,
            completeness=self._completeness,
            voice=self._speech.phrases,
            voice_judge=SpeechModel(),
            tap=recorder,
            on_event=on_event,
            clock=time.monotonic,
            on_late=lambda: self._metrics.frames_late(FRAMES_A_CHUNK),
        )


def standing_prompts(bot: Bot) -> StandingPrompts:
    """Return what a call says when something fails, in the bot's words."""
    patterns = bot.patterns
    return StandingPrompts(
        one_moment=patterns.one_moment.static_texts[0],
        voice_trouble=patterns.voice_trouble.static_texts[0],
        internal_trouble=patterns.broken.static_texts[0],
    )
