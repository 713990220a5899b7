"""What Twilio may tell and ask about calls out and callers elsewhere: only Twilio, and only of what there is."""

from __future__ import annotations

import pytest

from tests.fakes.web_server import serving
from voicebot.web.twilio_forms import TwilioAccess

CALL = [("CallSid", "CA1"), ("CallStatus", "in-progress")]
PATHS = ["/twilio/call?id=x", "/twilio/machine?id=x", "/twilio/away?id=x", "/twilio/screen?id=x"]


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_but_twilio_is_listened_to(path: str) -> None:
    async with serving() as server:
        async with server.http.post(server.base + path, data=dict(CALL)) as answer:
            assert answer.status == 403
        assert server.kinds() == ["bad_signature"]
        assert (await server.twilio(path, CALL, signed_for="https://elsewhere.example")).status == 403


@pytest.mark.parametrize("path", PATHS[:3])
async def test_a_form_that_makes_no_sense_is_refused_and_counted(path: str) -> None:
    async with serving() as server:
        assert (await server.twilio(path, [("CallSid", "no such thing!")])).status == 400
        assert len(server.kinds()) == 1


async def test_word_of_calls_that_nobody_placed_changes_nothing() -> None:
    async with serving() as server:
        assert (await server.twilio("/twilio/call?id=x", CALL)).status == 204
        assert (await server.twilio("/twilio/machine?id=x", [*CALL, ("AnsweredBy", "machine_start")])).status == 204


async def test_whoever_answers_for_a_caller_who_is_gone_is_hung_up_on() -> None:
    async with serving() as server:
        answer = await server.twilio("/twilio/screen?id=x", CALL)
        assert "<Hangup" in await answer.text()


async def test_a_call_that_has_ended_elsewhere_gets_nothing_to_do() -> None:
    async with serving() as server:
        answer = await server.twilio("/twilio/away?id=x", [("CallSid", "CA1"), ("CallStatus", "completed")])
        assert await answer.text() == '<?xml version="1.0" encoding="UTF-8"?><Response />'


async def test_a_call_that_comes_back_to_nobody_is_asked_about_anew() -> None:
    async with serving() as server:
        answer = await server.twilio("/twilio/away?id=x", [*CALL, ("DialCallStatus", "busy")])
        assert f"{server.base}/twilio/voice</Redirect>" in await answer.text()


async def test_a_server_among_several_is_called_by_its_own_address_and_by_that_of_all() -> None:
    own = "https://bot-1.example.com"
    access = TwilioAccess(auth_token="0123456789abcdef0123456789abcdef", own_url=own)
    async with serving(twilio=access) as server:
        assert (await server.twilio("/twilio/call?id=x", CALL)).status == 204
        assert (await server.twilio("/twilio/call?id=x", CALL, signed_for=own)).status == 204
        assert (await server.twilio("/twilio/call?id=x", CALL, signed_for=own + "m")).status == 403
        answer = await server.twilio("/twilio/away?id=x", [*CALL, ("DialCallStatus", "busy")], signed_for=own)
        assert f"{own}/twilio/voice</Redirect>" in await answer.text()


async def test_a_callers_ticket_is_no_ticket_of_a_call_that_we_placed() -> None:
    async with serving() as server:
        ticket = (await server.stream_parameters())["ticket"]
        for name in ("dialled", "returning"):
            async with server.http.ws_connect(server.base + "/twilio/media") as socket:
                await socket.send_str('{"event":"connected","protocol":"Call","version":"1.0.0"}')
                start = {"accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"]}
                form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
                await socket.send_json(
                    {
                        "event": "start",
                        "sequenceNumber": "1",
                        "streamSid": "MZ1",
                        "start": {**start, "mediaFormat": form, "customParameters": {name: ticket}},
                    }
                )
                assert (await socket.receive()).type.name in {"CLOSE", "CLOSED", "CLOSING"}
        assert server.kinds() == ["ticket_forged", "ticket_forged"]
