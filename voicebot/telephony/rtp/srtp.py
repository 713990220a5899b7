"""Encrypted media: SRTP (RFC 3711) with keys that travel in SDP (SDES, RFC 4568)."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pylibsrtp import Error, Policy, Session

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.rtp.packet import is_rtcp
from voicebot.telephony.rtp.sdp import Crypto

#: What a datagram may hold, so that the library's fixed buffer has room for its trailer.
_MAX_BYTES = 1500
#: Session parameters that leave us nothing to do (RFC 4568, section 6.3).
_HARMLESS = ("WSH=",)


class SrtpMode(StrEnum):
    OFF = "off"
    #: Encrypted where the peer offers a key, plain otherwise.
    OPTIONAL = "optional"
    #: A peer without a key is refused.
    MANDATORY = "mandatory"


@dataclass(frozen=True, slots=True)
class _Suite:
    profile: int
    key_bytes: int
    salt_bytes: int


#: RFC 4568 (section 6.2) and RFC 7714 (section 14.2), strongest habit first.
_SUITES = {
    "AES_CM_128_HMAC_SHA1_80": _Suite(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
    "AES_CM_128_HMAC_SHA1_32": _Suite(Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16, 14),
    "AEAD_AES_256_GCM": _Suite(Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    "AEAD_AES_128_GCM": _Suite(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
}
SUITES = tuple(_SUITES)
#: The most random bytes a key and its salt can take.
SECRET_BYTES = 44


def our_crypto(tag: int, suite: str, secret: bytes) -> Crypto:
    """Return a crypto line with a key made of the first of `SECRET_BYTES` random bytes."""
    wanted = _SUITES[suite].key_bytes + _SUITES[suite].salt_bytes
    return Crypto(tag, suite, "inline:" + base64.b64encode(secret[:wanted]).decode())


def choose(offered: Iterable[Crypto]) -> Crypto | None:
    """Return the offer's first line that we can speak; the offerer lists what it likes best first."""
    return next((crypto for crypto in offered if _is_usable(crypto)), None)


def _is_usable(crypto: Crypto) -> bool:
    if crypto.suite not in _SUITES:
        return False
    if any(not parameter.startswith(_HARMLESS) for parameter in crypto.parameters.split()):
        return False
    try:
        master_key(crypto)
    except RemoteProtocolError:
        return False
    return True


def master_key(crypto: Crypto) -> bytes:
    """Return key and salt of a line; raises `RemoteProtocolError` of kind ``bad_crypto``."""
    method, _, rest = crypto.keys.partition(":")
    inline, *options = rest.split("|")
    if method != "inline" or ";" in rest or any(":" in option for option in options):
        # A master key identifier would have to stand in every packet; nobody sends one (section 6.1).
        raise RemoteProtocolError("bad_crypto", "A crypto line has several keys, or one with an identifier.")
    try:
        key = base64.b64decode(inline + "=" * (-len(inline) % 4), validate=True)
    except ValueError as error:
        raise RemoteProtocolError("bad_crypto", "A crypto line's key is not base64.") from error
    suite = _SUITES[crypto.suite]
    if len(key) != suite.key_bytes + suite.salt_bytes:
        raise RemoteProtocolError("bad_crypto", "A crypto line's key is not as long as its suite says.")
    return key


class Protector:
    """Encrypts what we send, RTP and RTCP."""

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_OUTBOUND)

    def rtp(self, datagram: bytes) -> bytes:
        return self._session.protect(datagram)

    def rtcp(self, datagram: bytes) -> bytes:
        return self._session.protect_rtcp(datagram)


class Unprotector:
    """Checks and decrypts what the peer sends; `RemoteProtocolError` of kind ``bad_srtp`` for what is not theirs."""

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        self._session = _session(crypto, Policy.SSRC_ANY_INBOUND)

    def __call__(self, datagram: bytes) -> bytes:
        if len(datagram) > _MAX_BYTES:
            raise RemoteProtocolError("bad_srtp", "An encrypted packet is too long.")
        try:
            if is_rtcp(datagram):
                return self._session.unprotect_rtcp(datagram)
            return self._session.unprotect(datagram)
        except Error as error:
            raise RemoteProtocolError("bad_srtp", f"An encrypted packet was refused: {error}.") from error


def _session(crypto: Crypto, direction: int) -> Session:
    profile = _SUITES[crypto.suite].profile
    return Session(Policy(key=master_key(crypto), ssrc_type=direction, srtp_profile=profile))
