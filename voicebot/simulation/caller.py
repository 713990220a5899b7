"""A simulated caller: listens, waits for its cue, acts, and fails the call when the bot says something else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, assert_never

from voicebot.simulation.attention import Attention, BotBegan, BotPaused
from voicebot.simulation.carrier import CallRefused, Network, Numbers
from voicebot.simulation.ears import Heard
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine, LineEnd, Utterance
from voicebot.simulation.result import (
    CallEnd,
    CallResult,
    Interruption,
    Prompting,
    Reply,
    Speaker,
    Spoken,
)
from voicebot.simulation.script import Deed, DropLine, HangUp, PlayAudio, Press, Say, Script, Step, Wait, fits

#: A gap in the bot's voice this long means that it has stopped, not that it closed its lips for a consonant.
_STOPPED_GAP_S = 0.3
#: How long a caller who could make nothing of the bot's words waits for it to go on before asking again.
_PUZZLED_AFTER_S = 2.0


class Mind(Protocol):
    """The caller's voice and ears; `senses.Senses` is one."""

    async def speak(self, text: str) -> bytes: ...
    async def glance(self, mulaw: bytes) -> Heard: ...
    async def hear(self, mulaw: bytes, first: Heard | None = None) -> Heard: ...


@dataclass(frozen=True, slots=True)
class _Understood:
    """The bot's utterance number `place` was recognised, at a glance or, when `settled`, for good."""

    place: int
    text: str
    settled: bool


@dataclass(frozen=True, slots=True)
class _LineEnded:
    pass


_Event = BotBegan | _Understood | _LineEnded


class _Failed(Exception):  # ends a script, never leaves this module
    def __init__(self, end: CallEnd, detail: str) -> None:
        super().__init__(detail)
        self.end = end
        self.detail = detail


class Caller:
    """One caller with one script. `on_spoken` is told every line of the transcript as it is understood."""

    def __init__(self, script: Script, mind: Mind, *, on_spoken: Callable[[Spoken], None] | None = None) -> None:
        self._script = script
        self._mind = mind
        self._on_spoken = on_spoken

    async def call(
        self,
        carrier: Network,
        *,
        numbers: Numbers = Numbers(),  # noqa: B008 # frozen, so sharing it is safe
        impairment: Impairment = Impairment(),  # noqa: B008 # frozen, so sharing it is safe
    ) -> CallResult:
        """Place the call and follow the script to its end; raises CarrierError when it cannot be placed at all."""
        voiced = {deed.text: await self._mind.speak(deed.text) for deed in _all_says(self._script)}
        attention = Attention(self._script.pause_s)
        events: asyncio.Queue[BotBegan | BotPaused] = asyncio.Queue()

        def listen(frame: bytes, at_s: float) -> None:
            if (event := attention.hear(frame, at_s)) is not None:
                events.put_nowait(event)

        try:
            async with carrier.dial(numbers=numbers, impairment=impairment, listener=listen) as line:
                conversation = _Conversation(
                    script=self._script,
                    mind=self._mind,
                    voiced=voiced,
                    line=line,
                    attention=attention,
                    heard=events,
                    on_spoken=self._on_spoken,
                )
                end, detail = await conversation.hold()
        except CallRefused as refusal:
            return CallResult(self._script.name, CallEnd.REFUSED, refusal.spoken)
        return conversation.result(end, detail)


class _Conversation:
    """A script being followed on a line."""

    def __init__(
        self,
        *,
        script: Script,
        mind: Mind,
        voiced: dict[str, bytes],
        line: CarrierLine,
        attention: Attention,
        heard: asyncio.Queue[BotBegan | BotPaused],
        on_spoken: Callable[[Spoken], None] | None,
    ) -> None:
        self._script = script
        self._mind = mind
        self._voiced = voiced
        self._line = line
        self._attention = attention
        self._heard = heard
        self._on_spoken = on_spoken
        self._answered_s = line.report().answered_s
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._spoken: list[Spoken] = []
        self._asked: list[tuple[Prompting, float]] = []
        self._interrupting: list[Utterance] = []
        self._utterances = 0
        #: The last utterance that the caller has acted on.
        self._acted_on = 0
        self._settling: list[asyncio.Task[None]] = []
        #: The audio of the bot's last utterance if nothing certain was understood of it.
        self._broken_off = b""
        self._steps_done = 0
        self._asides: Counter[Step] = Counter()
        self._times_puzzled = 0

    async def hold(self) -> tuple[CallEnd, str]:
        """Follow the script; return how it ended. The line has ended, or is hung up by whoever dialled."""
        listening = asyncio.create_task(self._listen())
        try:
            for step in self._script.steps:
                await self._follow(step)
                self._steps_done += 1
            await self._see_the_end()
        except _Failed as failure:
            return failure.end, failure.detail
        else:
            return CallEnd.DONE, ""
        finally:
            await self._line.hang_up()
            await listening

    def result(self, end: CallEnd, detail: str) -> CallResult:
        """Return the whole result; call when the line has ended."""
        return CallResult(
            script=self._script.name,
            end=end,
            detail=detail,
            call_sid=self._line.call_sid,
            steps_done=self._steps_done,
            spoken=tuple(sorted(self._spoken, key=lambda line: line.began_s)),
            replies=tuple(self._replies()),
            interruptions=tuple(self._interruptions()),
            line=self._line.report(),
            tape=self._line.tape,
        )

    async def _listen(self) -> None:
        """Recognise each utterance of the bot, in order, until the line has ended."""
        ended = asyncio.create_task(self._line.ended.wait())
        while not (ended.done() and self._heard.empty()):
            coming = asyncio.create_task(self._heard.get())
            await asyncio.wait({ended, coming}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                break
            match coming.result():
                case BotBegan() as began:
                    self._events.put_nowait(began)
                case BotPaused() as paused:
                    await self._understand(paused)
        if (unfinished := self._attention.finish()) is not None:
            await self._understand(unfinished)
        self._events.put_nowait(_LineEnded())
        await asyncio.gather(*self._settling)

    async def _understand(self, paused: BotPaused) -> None:
        self._utterances += 1
        place = self._utterances
        first = await self._mind.glance(paused.mulaw)
        # People answer before they have thought about every word; what was really said is settled meanwhile. Whole
        # sentences may have been misheard too, so what is not what the caller waits for is thought about twice.
        self._events.put_nowait(_Understood(place, first.text, settled=False))
        settling = asyncio.create_task(self._settle(place, paused, first))
        if first.sure:
            self._settling.append(settling)
        else:
            await settling

    async def _settle(self, place: int, paused: BotPaused, first: Heard) -> None:
        heard = await self._mind.hear(paused.mulaw, first)
        if not heard.sure and self._broken_off:
            # A prompt that was stopped for a cough goes on in mid-word: only both parts together make sense.
            joined = await self._mind.hear(self._broken_off + paused.mulaw)
            heard = joined if joined.sure else heard
        self._broken_off = b"" if heard.sure else paused.mulaw
        self._note(Speaker.BOT, heard.text, paused.began_s, paused.ended_s, sure=heard.sure)
        self._events.put_nowait(_Understood(place, heard.text, settled=True))

    async def _follow(self, step: Step) -> None:
        """Wait for the step's cue and act on it; asides are acted on as they come."""
        if step.interrupt_after_s is not None:
            await self._interrupt(step, step.interrupt_after_s)
            return
        texts: dict[int, str] = {}
        unmatched = 0
        puzzled = False
        while True:
            heard = " ".join(text for text in texts.values() if text)
            event = await self._next_event(step, heard, within_s=_PUZZLED_AFTER_S if puzzled else step.timeout_s)
            if event is None:
                puzzled = False
                self._times_puzzled += 1
                await self._act(self._script.puzzled)
                continue
            puzzled = False
            if not isinstance(event, _Understood) or event.place <= self._acted_on:
                continue
            texts[event.place] = event.text
            heard = " ".join(text for text in texts.values() if text)
            if self._attention.bot_speaks:
                continue  # it went on after its pause: a polite caller lets it finish
            if fits(step.on, heard):
                self._acted_on = max(texts)
                await self._act(step.deeds)
                return
            if not event.settled:
                continue
            aside = next((a for a in self._script.asides if fits(a.on, heard)), None)
            if aside is not None and self._asides[aside] < self._script.most_asides:
                self._asides[aside] += 1
                self._acted_on = max(texts)
                await self._act(aside.deeds)
                texts, unmatched = {}, 0
                continue
            unmatched += 1
            if unmatched >= self._script.patience:
                raise _Failed(CallEnd.WRONG_REPLY, self._expected(step, heard))
            puzzled = bool(self._script.puzzled) and self._times_puzzled < self._script.most_asides

    async def _interrupt(self, step: Step, after_s: float) -> None:
        while not isinstance(await self._next_event(step, "", within_s=step.timeout_s), BotBegan):
            pass
        await self._act([Wait(after_s), *step.deeds], over_the_bot=True)

    async def _next_event(self, step: Step, heard: str, *, within_s: float) -> _Event | None:
        """Return what comes next; None when nothing does within less than the step's time."""
        try:
            async with asyncio.timeout(within_s):
                event = await self._events.get()
        except TimeoutError:
            if within_s < step.timeout_s:
                return None
            end = CallEnd.WRONG_REPLY if heard else CallEnd.NO_REPLY
            raise _Failed(end, self._expected(step, heard)) from None
        if isinstance(event, _LineEnded):
            lost = self._line.end is not LineEnd.SERVER_CLOSED
            raise _Failed(CallEnd.LINE_LOST if lost else CallEnd.BOT_HUNG_UP, self._expected(step, heard))
        return event

    async def _see_the_end(self) -> None:
        if self._script.hangs_up:
            return
        try:
            async with asyncio.timeout(self._script.goodbye_timeout_s):
                await self._line.ended.wait()
        except TimeoutError:
            raise _Failed(CallEnd.NOT_HUNG_UP, "the bot did not hang up after the last step") from None
        if self._line.end is LineEnd.CONNECTION_LOST:
            raise _Failed(CallEnd.LINE_LOST, "the connection broke after the last step")

    async def _act(self, deeds: tuple[Deed, ...] | list[Deed], *, over_the_bot: bool = False) -> None:
        for deed in deeds:
            match deed:
                case Say(text):
                    await self._say(self._voiced[text], text, over_the_bot=over_the_bot)
                case PlayAudio(mulaw, text):
                    await self._say(mulaw, text, over_the_bot=over_the_bot)
                case Press():
                    await self._press(deed)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case HangUp():
                    await self._line.hang_up()
                case DropLine():
                    self._line.drop()
                case never:
                    assert_never(never)

    async def _say(self, mulaw: bytes, text: str, *, over_the_bot: bool) -> None:
        utterance = self._line.speak(mulaw)
        if over_the_bot:
            self._interrupting.append(utterance)
        await utterance.finished.wait()
        # What the bot says from now on is its reply, however soon after the words it was interrupted in.
        if (cut_off := self._attention.split(self._now_s())) is not None:
            self._heard.put_nowait(cut_off)
        if utterance.speech_started_s is None or utterance.speech_ended_s is None:
            return  # the line ended first
        self._asked.append((Prompting.SPEECH, utterance.speech_ended_s))
        self._note(Speaker.CALLER, text, utterance.speech_started_s, utterance.speech_ended_s)

    async def _press(self, deed: Press) -> None:
        began_s = self._now_s()
        for place, key in enumerate(deed.keys):
            if place:
                await asyncio.sleep(deed.gap_s)
            self._line.press(key)
        shown = "•" * len(deed.keys) if deed.secret else " ".join(deed.keys)
        self._asked.append((Prompting.KEYS, self._now_s()))
        self._note(Speaker.CALLER, f"[keys {shown}]", began_s, self._now_s())

    def _now_s(self) -> float:
        return self._line.now_s()

    def _note(self, speaker: Speaker, text: str, began_s: float, ended_s: float, *, sure: bool = True) -> None:
        spoken = Spoken(speaker, text, began_s - self._answered_s, ended_s - self._answered_s, sure)
        self._spoken.append(spoken)
        if self._on_spoken is not None:
            self._on_spoken(spoken)

    def _expected(self, step: Step, heard: str) -> str:
        cues = " or ".join(repr(cue) for cue in step.on) or "anything"
        return f"step {self._steps_done + 1}: waited for {cues}, understood {heard!r}"

    def _replies(self) -> list[Reply]:
        """Pair each question with the first audible reply after it; none where the bot had never stopped."""
        replies: list[Reply] = []
        for place, (to, asked_s) in enumerate(self._asked):
            next_s = self._asked[place + 1][1] if place + 1 < len(self._asked) else float("inf")
            speaking = any(asked_s - 0.1 < at_s <= asked_s + 0.02 for at_s in self._line.heard_s)
            arrived_s = self._line.reply_arrived_after(asked_s)
            if arrived_s is not None and arrived_s < next_s and not speaking:
                replies.append(Reply(to, asked_s, arrived_s))
        return replies

    def _interruptions(self) -> list[Interruption]:
        found: list[Interruption] = []
        for utterance in self._interrupting:
            began_s = utterance.speech_started_s
            if began_s is None:
                continue
            stopped_s = began_s
            for at_s in self._line.heard_s:
                if at_s <= began_s:
                    continue
                if at_s - stopped_s > _STOPPED_GAP_S:
                    break
                stopped_s = at_s
            found.append(Interruption(began_s, stopped_s))
        return found


def _all_says(script: Script) -> list[Say]:
    deeds = (*(deed for step in (*script.steps, *script.asides) for deed in step.deeds), *script.puzzled)
    return [deed for deed in deeds if isinstance(deed, Say)]
