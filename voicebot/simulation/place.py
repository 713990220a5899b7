"""`voicebot call`: place one call as a caller would, with texts, recordings or a microphone, and print it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import aiohttp

from voicebot import g711
from voicebot.simulation.caller import Caller
from voicebot.simulation.carrier import CALLER_NUMBER, Account, CallRefused, Carrier, Network, Numbers
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.knowledge import knowledge_of, today
from voicebot.simulation.mic import Microphone
from voicebot.simulation.result import CallEnd, CallResult, Prompting, Spoken
from voicebot.simulation.script import Deed, HangUp, PlayAudio, Press, Say, Script, Step
from voicebot.simulation.senses import Senses
from voicebot.simulation.sip_carrier import SipCarrier
from voicebot.speech.synthesis.sound import to_telephone
from voicebot.telephony.leg import FRAME_MS
from voicebot.wav import WavError, read_wav

#: The longest answers take half a minute to say, and nothing is understood before their end.
_REPLY_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class CallOrder:
    """What to say, in order, each time the bot has paused: a text, keys, or a WAV file. Nothing: only listen once.

    A text of keys only (``"1234#"``) is pressed. `noise_snr_db` is speech over line noise. `recording` receives both
    sides as a two-channel WAV. A `url` that begins with ``sip:`` is called over SIP.
    """

    url: str = "http://127.0.0.1:8080"
    says: tuple[str | Path, ...] = ()
    microphone: bool = False
    noise_snr_db: float | None = None
    caller: str = CALLER_NUMBER
    auth_token: str | None = field(default=None, repr=False)
    flows: Path = Path("flows")
    recording: Path | None = None


async def place_call(order: CallOrder, out: TextIO = sys.stdout) -> int:
    """Place the call and print it; 0 when it went to its end, 1 when it was refused or broke off.

    Raises CarrierError when no server answers, WavError for a file that is no WAV, MicrophoneUnavailable,
    EngineUnavailable without a voice, ConfigurationError for broken flows.
    """
    if order.recording is not None and not order.recording.absolute().parent.is_dir():
        raise WavError(f"{order.recording}: there is no such folder to record to; make it first")
    script = Script("call", tuple(_steps(order.says)))
    async with aiohttp.ClientSession() as http:
        carrier: Network
        if order.url.startswith(("sip:", "sips:")):
            carrier = SipCarrier(order.url)
        else:
            carrier = Carrier(http, order.url, Account(auth_token=order.auth_token))
        if order.microphone:
            return await _talk(carrier, order, out)
        async with Senses(knowledge_of(order.flows, today())) as senses:
            print(f"calling {order.url} with the voice {senses.voice.engine} {senses.voice.name}", file=out)
            caller = Caller(script, senses, on_spoken=lambda spoken: _print_line(spoken, out))
            result = await caller.call(
                carrier, numbers=Numbers(order.caller), impairment=Impairment(noise_snr_db=order.noise_snr_db)
            )
    if order.recording is not None:
        order.recording.write_bytes(result.tape.wav())
    _print_end(result, out)
    return 0 if result.end in {CallEnd.DONE, CallEnd.BOT_HUNG_UP} else 1


def _steps(says: Sequence[str | Path]) -> list[Step]:
    deeds: list[Deed] = [_deed(said) for said in says]
    # After the last word the caller listens to the answer once, and then hangs up.
    return [Step(deeds=(deed,), timeout_s=_REPLY_TIMEOUT_S) for deed in [*deeds, HangUp()]]


def _deed(said: str | Path) -> Deed:
    if isinstance(said, Path):
        return PlayAudio(_telephone_audio(said), f"[{said.name}]")
    keys = said.replace(" ", "")
    if keys and set(keys) <= set("0123456789*#"):
        return Press(keys)
    return Say(said)


def _telephone_audio(path: Path) -> bytes:
    try:
        wav = read_wav(path.read_bytes())
    except OSError as error:
        raise WavError(f"{path}: {error.strerror}") from error
    except WavError as error:
        raise WavError(f"{path}: {error}") from error
    return g711.encode(to_telephone(wav.mono(), wav.rate_hz))


async def _talk(carrier: Network, order: CallOrder, out: TextIO) -> int:
    microphone = Microphone()
    print(f"calling {order.url}: speak; type digits, * or # and Enter for keys; Ctrl-C hangs up", file=out)
    try:
        impairment = Impairment(noise_snr_db=order.noise_snr_db)
        async with carrier.dial(numbers=Numbers(order.caller), impairment=impairment, listener=microphone.hear) as line:
            try:
                await microphone.talk(line)
            finally:  # Ctrl-C hangs up; what was said until then is kept
                if order.recording is not None:
                    order.recording.write_bytes(line.tape.wav())
    except CallRefused as refusal:
        print(f"refused: {refusal.spoken}", file=out)
        return 1
    print("the call has ended", file=out)
    return 0


def _print_line(spoken: Spoken, out: TextIO) -> None:
    doubt = "" if spoken.sure else "  (unsure)"
    text = spoken.text or "[not understood]"
    print(f"{spoken.began_s:7.2f} s  {spoken.speaker:6}  {text}{doubt}", file=out, flush=True)


def _print_end(result: CallResult, out: TextIO) -> None:
    if result.end is CallEnd.REFUSED:
        print(f"refused: {result.detail}", file=out)
        return
    for reply in result.replies:
        what = "last word" if reply.to is Prompting.SPEECH else "last key"
        print(f"reply {reply.voice_to_voice_ms:.0f} ms after the {what}", file=out)
    if result.line is not None:
        seconds = result.line.frames_sent * FRAME_MS / 1000
        late = result.line.frames_heard_late
        print(f"{result.line.end}, {seconds:.1f} s, {late} gaps over 10 ms in the bot's voice", file=out)
    if result.detail:
        print(result.detail, file=out)
