from __future__ import annotations

import asyncio
import base64
from ipaddress import ip_network
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from tests.fakes.media_streams import FRAME, HandMadeCarrier, incoming, parameters_of, stream_of
from tests.fakes.socket import FakeClock, until
from tests.fakes.web_server import Listener, serving, sign
from voicebot.telephony.leg import AudioPlayed, CallLeg, Channel, EndCause, FrameReceived, LegEnded
from voicebot.telephony.twilio.messages import Mark, Media, Track
from voicebot.telephony.twilio.webhook import CallStatusChanged, CarrierCallStatus, StreamStatusChanged
from voicebot.web.address import PublicAddress
from voicebot.web.server import WebLimits
from voicebot.web.twilio_forms import TwilioAccess

LOOPBACK = (ip_network("127.0.0.0/8"),)


async def test_a_call_is_answered_with_a_stream_to_this_server() -> None:
    async with serving() as server:
        answer = await server.twilio("/twilio/voice", incoming())

        assert answer.status == 200
        assert answer.content_type == "text/xml"
        twiml = await answer.text()
        assert stream_of(twiml)["url"] == f"ws://127.0.0.1:{server.port}/twilio/media"
        assert stream_of(twiml)["statusCallback"] == f"{server.base}/twilio/status"
        assert len("ticket" + parameters_of(twiml)["ticket"]) < 500
        assert [element.tag for element in ET.fromstring(twiml)] == ["Connect", "Hangup"]


async def test_the_webhooks_query_reaches_the_stream_as_custom_parameters() -> None:
    path = "/twilio/voice?shop=north&language=en-GB&ticket=forged&a%20b=1&long=" + "x" * 600

    async with serving() as server:
        parameters = await server.stream_parameters(path=path)

    assert parameters.pop("ticket") != "forged"
    assert parameters == {"shop": "north", "language": "en-GB"}


async def test_a_signature_covers_repeated_form_keys_and_the_query_as_it_was_sent() -> None:
    form = [*incoming(), ("Tag", "b"), ("Tag", "a"), ("Empty", ""), ("Name", "Zoë & Söhne")]

    async with serving() as server:
        assert (await server.twilio("/twilio/voice?q=%7Eone%2Ftwo&q=three", form)).status == 200
        assert server.violations == []


@pytest.mark.parametrize(
    ("tampered", "signature"),
    [
        ([("From", "+15550666")], None),
        ([("Extra", "1")], None),
        ([], "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ([], ""),
    ],
)
async def test_a_request_that_twilio_did_not_sign_is_refused(
    tampered: list[tuple[str, str]], signature: str | None
) -> None:
    async with serving() as server:
        url = server.base + "/twilio/voice"
        given = sign(url, incoming()) if signature is None else signature
        answer = await server.http.post(
            url, data=aiohttp.FormData([*incoming(), *tampered])(), headers={"X-Twilio-Signature": given}
        )

        assert answer.status == 403
        assert server.violations == [("twilio", "bad_signature")]


async def test_behind_a_trusted_proxy_the_forwarded_address_is_signed_and_the_stream_is_secure() -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "bot.example.com"}

    async with serving(public=PublicAddress(trusted_proxies=LOOPBACK)) as server:
        answer = await server.twilio(
            "/twilio/voice", incoming(), signed_for="https://bot.example.com", headers=forwarded
        )

        assert stream_of(await answer.text())["url"] == "wss://bot.example.com/twilio/media"


async def test_a_stranger_cannot_forward() -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "bot.example.com"}

    async with serving() as server:
        spoofed = await server.twilio(
            "/twilio/voice", incoming(), signed_for="https://bot.example.com", headers=forwarded
        )
        ignored = await server.twilio("/twilio/voice", incoming(), headers=forwarded)

        assert spoofed.status == 403
        assert stream_of(await ignored.text())["url"].startswith("ws://127.0.0.1")


async def test_a_configured_public_address_wins() -> None:
    async with serving(public=PublicAddress(url="https://bot.example.com/")) as server:
        answer = await server.twilio("/twilio/voice", incoming(), signed_for="https://bot.example.com")

        assert stream_of(await answer.text())["url"] == "wss://bot.example.com/twilio/media"


async def test_without_an_auth_token_webhooks_are_rejected_unless_a_developer_says_otherwise() -> None:
    async with serving(twilio=TwilioAccess()) as server:
        assert (await server.twilio("/twilio/voice", incoming())).status == 403
        assert server.kinds() == ["unsigned_webhook"]
    async with serving(twilio=TwilioAccess(accept_unsigned=True)) as server:
        assert (await server.http.post(server.base + "/twilio/voice", data=dict(incoming()))).status == 200


async def test_another_accounts_call_is_refused() -> None:
    async with serving(twilio=TwilioAccess(auth_token="0123456789abcdef0123456789abcdef", account_sid="AC9")) as server:
        assert (await server.twilio("/twilio/voice", incoming())).status == 403
        assert server.kinds() == ["wrong_account"]


async def test_a_full_server_says_so_to_the_caller() -> None:
    async with serving() as server:
        server.admission.refuse_with = "overloaded"
        twiml = ET.fromstring(await (await server.twilio("/twilio/voice", incoming())).text())

        assert [element.tag for element in twiml] == ["Say", "Hangup"]
        assert "busy" in (twiml.findtext("Say") or "")
        assert server.admission.asked == ["+15550100"]


async def test_one_caller_can_start_only_so_many_calls_a_minute() -> None:
    async with serving(limits=WebLimits(max_starts_per_minute=2)) as server:
        tags = [
            ET.fromstring(await (await server.twilio("/twilio/voice", incoming(From=caller))).text())[0].tag
            for caller in ["+1", "+1", "+1", "+2", "anonymous", "anonymous", "Anonymous", ""]
        ]

    assert tags == ["Connect", "Connect", "Say", "Connect", "Connect", "Connect", "Connect", "Connect"]


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ([("AccountSid", "AC1")], "missing_field"),
        ([("CallSid", "CA 1"), ("AccountSid", "AC1")], "bad_field"),
        ([("CallSid", "CA1"), ("AccountSid", "AC1"), ("From", "x" * 200)], "bad_field"),
        ([("CallSid", "CA1"), ("AccountSid", "AC1"), ("From", "+1\r\nX: y")], "bad_field"),
    ],
)
async def test_a_form_without_a_call_is_a_bad_request(form: list[tuple[str, str]], kind: str) -> None:
    async with serving() as server:
        assert (await server.twilio("/twilio/voice", form)).status == 400
        assert server.kinds() == [kind]


async def test_a_body_that_is_no_form_or_too_large_is_refused() -> None:
    async with serving() as server:
        url = server.base + "/twilio/voice"
        assert (await server.http.post(url, json={})).status == 415
        assert (await server.http.post(url, data={"a": "x" * 70_000})).status == 413
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await server.http.post(url, data=b"\xff\xfe=1", headers=form)).status == 400
        assert (await server.http.post(url, data=b"a=1&" * 300, headers=form)).status == 400


async def test_status_callbacks_are_passed_on() -> None:
    async with serving() as server:
        ended = [("CallSid", "CA1"), ("CallStatus", "completed"), ("CallDuration", "42")]
        broken = [
            ("CallSid", "CA1"),
            ("StreamSid", "MZ1"),
            ("StreamEvent", "stream-error"),
            ("StreamError", "31921: closed"),
        ]
        for form in (ended, broken):
            assert (await server.twilio("/twilio/status", form)).status == 204
        assert (await server.twilio("/twilio/status", [("CallSid", "CA1"), ("CallStatus", "odd")])).status == 400

        assert server.statuses == [
            CallStatusChanged("CA1", CarrierCallStatus.COMPLETED, 42),
            StreamStatusChanged("CA1", "MZ1", "stream-error", "31921: closed"),
        ]


async def test_what_the_caller_says_reaches_the_call_and_the_answer_comes_back() -> None:
    async with serving() as server, server.stream() as carrier:
        await carrier.say(1)

        assert await carrier.next() == {
            "event": "media",
            "streamSid": carrier.stream_sid,
            "media": {"payload": base64.b64encode(FRAME).decode()},
        }
        assert await carrier.next() == {"event": "mark", "streamSid": carrier.stream_sid, "mark": {"name": "160"}}


async def test_the_leg_knows_who_calls_and_what_the_webhook_was_given() -> None:
    listener = Listener()
    async with serving(listener) as server:
        parameters = await server.stream_parameters("CA7", path="/twilio/voice?shop=north")
        async with server.http.ws_connect(server.base + "/twilio/media") as socket:
            await HandMadeCarrier(socket, "CA7").start(parameters)
            await until(lambda: listener.legs)

        info = listener.legs[0].info
        assert info.channel is Channel.TWILIO
        assert (info.caller, info.called) == ("+15550100", "+15550199")
        assert info.carrier_call_id == "CA7"
        assert info.parameters == {"shop": "north"}


async def test_a_returned_mark_and_a_dropped_socket_become_events() -> None:
    listener = Listener()
    async with serving(listener) as server:
        async with server.stream() as carrier:
            await until(lambda: listener.legs)
            listener.legs[0].send(FRAME)
            await carrier.next()
            mark = await carrier.next()
            await carrier.send(Mark(carrier.number(), carrier.stream_sid, mark["mark"]["name"]))
            await until(lambda: listener.events)
            transport = carrier.socket._response.connection
            assert transport is not None
            assert transport.transport is not None
            transport.transport.abort()
        await until(listener.ended.is_set)

    played, ended = listener.events
    assert isinstance(played, AudioPlayed)
    assert played.position_samples == 160
    assert isinstance(ended, LegEnded)
    assert ended.cause is EndCause.CONNECTION_LOST


async def test_a_stream_without_a_ticket_is_closed() -> None:
    async with serving() as server, server.http.ws_connect(server.base + "/twilio/media") as socket:
        carrier = HandMadeCarrier(socket)
        await carrier.start({})

        assert await carrier.close_code() == 1008
        assert server.kinds() == ["ticket_forged"]


async def test_a_ticket_opens_one_stream_of_its_own_call_while_it_is_fresh() -> None:
    wall = FakeClock(1_000_000.0)
    async with serving(wall_clock=wall) as server:

        async def opens(call_sid: str, parameters: dict[str, str]) -> bool:
            async with server.http.ws_connect(server.base + "/twilio/media") as socket:
                carrier = HandMadeCarrier(socket, call_sid)
                await carrier.start(parameters)
                await carrier.say(1)
                return (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT

        first = await server.stream_parameters("CA1")
        assert await opens("CA1", first)
        assert not await opens("CA1", first)
        assert not await opens("CA2", await server.stream_parameters("CA1"))
        late = await server.stream_parameters("CA1")
        wall.now_s += 61
        assert not await opens("CA1", late)

        assert server.kinds() == ["ticket_used", "ticket_wrong_call", "ticket_expired"]


async def test_a_browsers_ticket_opens_no_stream_of_twilios() -> None:
    async with serving() as server:
        answer = await server.http.post(server.base + "/browser/ticket", headers={"Origin": server.base})
        async with server.http.ws_connect(server.base + "/twilio/media") as socket:
            carrier = HandMadeCarrier(socket)
            await carrier.start(await answer.json())

            assert await carrier.close_code() == 1008


async def test_several_streams_at_once_do_not_hear_each_other() -> None:
    async with serving() as server, asyncio.TaskGroup() as tasks:

        async def call(number: int) -> list[bytes]:
            speech = bytes([number]) * 160
            async with server.stream(f"CA{number}") as carrier:
                for _ in range(5):
                    await carrier.send(carrier.media(speech))
                heard = b""
                while len(heard) < 800:
                    message = await carrier.next()
                    heard += base64.b64decode(message.get("media", {}).get("payload", ""))
                return [heard, speech * 5]

        results = [tasks.create_task(call(number)) for number in range(1, 9)]

    for result in results:
        heard, said = await result
        assert heard == said


async def test_nonsense_on_one_stream_leaves_the_others_alone() -> None:
    async with serving() as server, server.stream("CA1") as good, server.stream("CA2") as bad:
        for _ in range(99):
            await bad.send("{}")
        await bad.say(1)
        assert (await bad.next())["event"] == "media"
        for _ in range(5):
            await bad.send(Media(999, "MZsomeoneelses", Track.INBOUND, 9, 0, FRAME))
        assert await bad.close_code() == 1008

        await good.say(1)
        assert (await good.next())["event"] == "media"
        assert server.kinds() == ["unknown_event"] * 99 + ["wrong_stream"] * 2


async def test_a_call_that_breaks_is_hung_up_and_the_others_go_on() -> None:
    async def fail_for_some(leg: CallLeg) -> None:
        async for event in leg.events():
            if isinstance(event, FrameReceived):
                if leg.info.carrier_call_id == "CA2":
                    raise ZeroDivisionError
                leg.send(event.payload)

    async with serving(fail_for_some) as server, server.stream("CA1") as good, server.stream("CA2") as bad:
        await bad.say(1)
        assert await bad.close_code() == 1011

        await good.say(1)
        assert (await good.next())["event"] == "media"


async def test_connections_are_limited() -> None:
    async with serving(limits=WebLimits(max_connections=2)) as server:
        async with server.stream("CA1"), server.stream("CA2"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await server.http.ws_connect(server.base + "/twilio/media")
            assert caught.value.status == 503
            assert server.kinds() == ["too_many_connections"]

        async def opens() -> bool:
            try:
                async with server.http.ws_connect(server.base + "/twilio/media"):
                    return True
            except aiohttp.WSServerHandshakeError:
                return False

        async with asyncio.timeout(20):
            while not await opens():  # the server frees the place a moment after the socket closed
                await asyncio.sleep(0.02)


async def test_a_message_larger_than_any_is_the_end_of_its_socket_only() -> None:
    async with serving() as server, server.stream("CA1") as good, server.stream("CA2") as bad:
        await bad.send("x" * 100_000)
        assert await bad.close_code() == 1009

        await good.say(1)
        assert (await good.next())["event"] == "media"


async def test_the_server_hangs_up_when_the_call_is_over() -> None:
    async def say_one_word(leg: CallLeg) -> None:
        leg.send(FRAME)
        await asyncio.sleep(0.05)

    async with serving(say_one_word) as server, server.stream() as carrier:
        assert (await carrier.next())["event"] == "media"
        assert await carrier.close_code() == 1000


async def test_no_stream_outlives_the_server() -> None:
    listener = Listener()
    async with serving(listener) as server:
        socket = await server.http.ws_connect(server.base + "/twilio/media")
        await HandMadeCarrier(socket).start(await server.stream_parameters())
        await until(lambda: listener.legs)

    assert isinstance(listener.events[-1], LegEnded)
    assert listener.events[-1].cause is EndCause.WE_HUNG_UP
