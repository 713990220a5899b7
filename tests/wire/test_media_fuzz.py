"""Whatever bytes come as SDP, RTP, RTCP, keys, AudioSocket or chan_websocket: no crash and bounded memory."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.audiosocket import messages as audiosocket
from voicebot.telephony.chan_websocket import messages as chan_websocket
from voicebot.telephony.leg import FRAME_BYTES, KeyPressed
from voicebot.telephony.rtp import packet, rtcp, sdp
from voicebot.telephony.rtp.codecs import CODECS
from voicebot.telephony.rtp.events import END_PACKETS, KEYS, KeyReceiver, KeySender
from voicebot.telephony.rtp.negotiation import LocalMedia, Negotiation, NotAcceptable
from voicebot.telephony.rtp.quality import Control
from voicebot.telephony.rtp.receiver import Receiver
from voicebot.telephony.rtp.srtp import SECRET_BYTES, SrtpMode

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/SAVP 0 8 9 96 101 13\r\na=rtpmap:96 L16/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp-mux\r\na=sendrecv\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\r\n"
)


def negotiation(srtp: SrtpMode = SrtpMode.OPTIONAL) -> Negotiation:
    local = LocalMedia("127.0.0.1", 4000, 4001, CODECS, srtp, key_events=True, session_id=1)
    return Negotiation(local, lambda: bytes(SECRET_BYTES))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes = OFFER) -> bytes:
    """A good message with a few bytes changed, cut out or put in."""
    body = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(body)


@given(st.one_of(st.binary(max_size=2000), damaged()), st.sampled_from(SrtpMode))
def test_any_offer_is_answered_or_refused(body: bytes, srtp: SrtpMode) -> None:
    one = negotiation(srtp)
    try:
        answer = one.answer(body)
    except NotAcceptable:
        assert one.agreed is None
        return
    answered = sdp.parse(answer)
    assert len(answered.media) == len(sdp.parse(body).media)
    assert sum(bool(section.port) for section in answered.media) == 1


@given(damaged())
def test_any_answer_is_taken_or_refused(body: bytes) -> None:
    one = negotiation()
    one.offer()
    with contextlib.suppress(NotAcceptable):
        one.accept(body)


@given(st.binary(max_size=300))
def test_any_datagram_is_a_packet_or_an_error(datagram: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parsed = packet.parse(datagram)
        assert packet.parse(packet.build(parsed)) == parsed
    with contextlib.suppress(RemoteProtocolError):
        rtcp.parse(datagram)
    with contextlib.suppress(RemoteProtocolError):
        Control(1, "us").receive(datagram, 1.0)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 8, 9, 96, 101, 13, 77]),
            st.integers(0, 0xFFFF),
            st.integers(0, 0xFFFFFFFF),
            st.integers(0, 2),
            st.binary(max_size=1000),
        ),
        max_size=60,
    )
)
def test_any_stream_of_packets_gives_whole_frames_in_bounded_memory(
    stream: list[tuple[int, int, int, int, bytes]],
) -> None:
    one = negotiation()
    one.answer(OFFER)
    assert one.agreed is not None
    keys: list[KeyPressed] = []
    receiver = Receiver(keys.append)
    for index, (kind, sequence, timestamp, ssrc, payload) in enumerate(stream):
        now_s = index * 0.02
        datagram = packet.build(packet.RtpPacket(kind, sequence, timestamp, ssrc, payload))
        with contextlib.suppress(RemoteProtocolError):
            receiver.receive(datagram, one.agreed, now_s)
        frame = receiver.pull(now_s)
        assert frame is None or len(frame.payload) == FRAME_BYTES
    assert len(receiver.jitter._packets) <= 128
    assert all(key.key in KEYS for key in keys)


@given(st.text(alphabet=KEYS, min_size=1, max_size=8), st.integers(0, 0xFFFFFFFF), st.data())
def test_keys_survive_loss_repeats_and_disorder(keys: str, timestamp: int, data: st.DataObject) -> None:
    sender = KeySender(key_ms=120, gap_ms=80)
    sender.press(keys)
    receiver = KeyReceiver()
    heard = []
    now_s = 0.0
    while sender.busy:
        packets = sender.step(timestamp)
        if len(packets) == END_PACKETS:
            # All but one of the end's packets may be lost.
            packets = [packets[0]] * data.draw(st.integers(1, END_PACKETS))
        elif data.draw(st.booleans()):
            packets = []
        for item in packets:
            heard += receiver.receive(item.payload, timestamp=item.timestamp, now_s=now_s)
        heard += receiver.expire(now_s)
        timestamp = (timestamp + 160) & 0xFFFFFFFF
        now_s += 0.02
    assert "".join(key.key for key in heard) == keys
    assert {key.duration_ms for key in heard} == {120}


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_on_an_audiosocket_are_messages_or_errors(pieces: list[bytes]) -> None:
    parser = audiosocket.Parser()
    for piece in pieces:
        for message in parser.feed(piece):
            assert isinstance(message, RemoteProtocolError | audiosocket.Message)
    assert len(parser._rest) <= 3 + 0xFFFF


@given(st.text(max_size=300))
def test_any_text_of_asterisk_is_an_event_or_an_error(text: str) -> None:
    for start in ("", "MEDIA_START ", "DTMF_END ", "MEDIA_MARK_PROCESSED ", '{"event":'):
        with contextlib.suppress(RemoteProtocolError):
            chan_websocket.parse(start + text)
