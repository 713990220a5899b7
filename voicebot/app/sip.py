"""Puts SIP together from its parts and takes it down again."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sipmessage import URI

from voicebot.app.standing import beside
from voicebot.calls.registry import LiveCalls
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.metrics import Metrics
from voicebot.setting_tables import SipSettings
from voicebot.settings import Settings
from voicebot.telephony.leg import Channel
from voicebot.telephony.numbers import DialLimits, NumberPlan
from voicebot.telephony.rtp.media import MediaPlan, PortRange, RtpMedia, SrtpMode
from voicebot.telephony.rtp.metronome import Metronome
from voicebot.telephony.rtp.quality import Quality
from voicebot.telephony.sip.access import Access
from voicebot.telephony.sip.dialer import Dialer, OutboundPolicy
from voicebot.telephony.sip.digest import Authenticator, Credentials
from voicebot.telephony.sip.endpoint import Endpoint, Identity
from voicebot.telephony.sip.hop import Transport, host_port
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import parse_uri
from voicebot.telephony.sip.registration import Registration, RegistrationPlan
from voicebot.telephony.sip.resolve import DnsLookup, Resolver
from voicebot.telephony.sip.server import Admission, SipServer
from voicebot.telephony.sip.transfer import Referrals
from voicebot.telephony.sip.transport import CannotListen
from voicebot.web.limits import RateLimit
from voicebot.web.socket_door import LiveLegs

#: Of one address, by SIP; a telephone that is set up right has none.
WRONG_PASSWORDS_A_MINUTE = 20


@dataclass(frozen=True, slots=True)
class SipServing:
    """Where SIP listens, and what places calls."""

    host: str
    port: int
    dialer: Dialer

    @property
    def uri(self) -> str:
        return f"sip:{host_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class CallsOut:
    """Which numbers may be called and how often, whichever carrier calls them."""

    numbers: NumberPlan
    limits: DialLimits

    @classmethod
    def of(cls, sip: SipSettings, clock: Callable[[], float]) -> CallsOut:
        """Return what the settings say; `clock` is monotonic."""
        return cls(
            NumberPlan(sip.dial_prefixes, region=sip.dial_region),
            DialLimits(per_hour=sip.max_dials_per_hour, at_once=sip.max_dials_at_once, clock=clock),
        )


class PacedAdmission:
    """Lets each caller start so many calls a minute, as the doors of the web do; else it is as `admission`.

    Callers who withhold their number share no limit: one of them must not shut out the others.
    """

    def __init__(self, admission: Admission, starts_of_caller: RateLimit, on_refused: Callable[[str], None]) -> None:
        self._admission = admission
        self._starts_of_caller = starts_of_caller
        self._on_refused = on_refused

    def admit(self, caller: str, call_id: str) -> str | None:
        if caller and not self._starts_of_caller.allow(caller):
            self._on_refused("too_many_calls_of_caller")
            return "too_many_calls_of_caller"
        return self._admission.admit(caller, call_id)

    def withdraw(self, call_id: str) -> None:
        self._admission.withdraw(call_id)

    def is_open(self) -> bool:
        return self._admission.is_open()


@asynccontextmanager
async def serving_sip(
    settings: Settings,
    live: LiveCalls,
    admission: Admission,
    metrics: Metrics,
    new_id: Callable[[], str],
    *,
    calls_out: CallsOut,
) -> AsyncIterator[SipServing]:
    """Take calls over SIP for as long as the block lasts; raises ConfigurationError when it cannot listen.

    `calls_out` is shared with every other carrier.
    """
    sip = settings.sip

    def violated(kind: str) -> None:
        metrics.protocol_error(Channel.SIP, kind)

    legs = LiveLegs(live.accept)
    endpoint = Endpoint(
        Identity(public_host=str(sip.public_address) if sip.public_address else None),
        client_tls=_client_tls(sip),
        new_id=new_id,
        on_violation=violated,
    )
    access = Access(sip.trunks, _authenticator(settings.sip_users, sip.realm))
    resolver = Resolver(DnsLookup())
    open_media = _media_opener(sip, MetricsObserver(violated, metrics))
    credentials = _credentials(settings, new_id)
    referrals = Referrals(endpoint, trusted=lambda call: sip.accept_refer and access.is_trunk(call.hop.host))
    dialer = Dialer(
        endpoint,
        OutboundPolicy(
            proxy=_uri(sip.outbound_proxy, "outbound_proxy"),
            hosts=frozenset(host.lower() for host in sip.dial_hosts),
            caller=sip.caller,
            credentials=credentials,
        ),
        numbers=calls_out.numbers,
        limits=calls_out.limits,
        reach=resolver,
        open_media=open_media,
        on_refused=metrics.call_refused,
        on_referral=referrals,
        clock=time.monotonic,
    )
    referrals.dial_with(dialer)
    SipServer(
        endpoint,
        access=access,
        admission=PacedAdmission(
            admission,
            RateLimit(max_events=settings.max_starts_per_minute, window_s=60, clock=time.monotonic),
            metrics.call_refused,
        ),
        open_media=open_media,
        reach=resolver,
        carry=legs.carry,
        on_refused=metrics.call_refused,
        on_referral=referrals,
        clock=time.monotonic,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(endpoint.close)
        host, port = await _listen(endpoint, settings)
        registrar = _uri(sip.registrar, "registrar")
        if registrar is not None:
            account = URI("sip", registrar.host, user=sip.user or sip.caller)
            plan = RegistrationPlan(registrar, account, sip.register_expires_s)
            registering = Registration(endpoint, plan, credentials, resolver).run()
            await stack.enter_async_context(beside("register with the phone system", registering))
        stack.push_async_callback(legs.hang_up_all)
        yield SipServing(host, port, dialer)


def _uri(text: str | None, name: str) -> URI | None:
    if text is None:
        return None
    try:
        return parse_uri(text)
    except ValueError:
        problem = Problem(
            "settings", None, f"`sip.{name}` is no SIP address.", "Write it as sip:host or sip:host:port."
        )
        raise ConfigurationError([problem]) from None


def _credentials(settings: Settings, new_id: Callable[[], str]) -> Credentials | None:
    if settings.sip_password is None:
        return None
    return Credentials(settings.sip.user or settings.sip.caller, settings.sip_password.get_secret_value(), new_id)


async def _listen(endpoint: Endpoint, settings: Settings) -> tuple[str, int]:
    sip = settings.sip
    hosts = sip_hosts(settings)
    port = settings.sip_port
    listening = "sip_port"
    try:
        for host in hosts:
            port = await endpoint.transports.listen(host, port)
        if sip.tls_port is not None:
            listening, tls, tls_port = "sip.tls_port", _server_tls(sip), sip.tls_port
            for host in hosts:
                tls_port = await endpoint.transports.listen_tls(host, tls_port, tls)
    except CannotListen as error:
        fix = "Something else listens there. Choose another, or 0 for any free one."
        raise ConfigurationError([Problem("settings", None, f"`{listening}`: {error}.", fix)]) from error
    return hosts[0], endpoint.transports.ports[Transport.UDP]


def sip_hosts(settings: Settings) -> list[str]:
    """Return the addresses on which SIP is listened for."""
    return [str(host) for host in settings.sip.hosts] or [_address_of(settings.host)]


def _address_of(host: str) -> str:
    """Return the IP address of a host name such as localhost."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        problem = Problem("settings", None, f"`host`: {host} has no address.", "Give an IP address in sip.hosts.")
        raise ConfigurationError([problem]) from error


class MetricsObserver:
    """Gives what media reports to the metrics; `violated` counts a peer's mistake."""

    def __init__(self, violated: Callable[[str], None], metrics: Metrics) -> None:
        self.violated = violated
        self._metrics = metrics

    def late(self, frames: int) -> None:
        self._metrics.frames_late(frames)

    def measured(self, quality: Quality) -> None:
        self._metrics.media_measured("in", quality.lost_in, quality.jitter_in_ms)
        self._metrics.media_measured("out", quality.lost_out, quality.jitter_out_ms)
        if quality.round_trip_ms is not None:
            self._metrics.media_round_trip(quality.round_trip_ms)


def _media_opener(sip: SipSettings, observer: MetricsObserver) -> Callable[[str, str], Awaitable[Media]]:
    try:
        ports = PortRange(sip.rtp_first_port, sip.rtp_last_port)
    except ValueError as error:
        problem = Problem("settings", None, f"`sip.rtp_first_port`: {error}.", "See docs/sip.md.")
        raise ConfigurationError([problem]) from error
    public = str(sip.public_address) if sip.public_address else ""
    metronome = Metronome(time.monotonic)

    async def open_media(local_host: str, peer_host: str) -> Media:
        plan = MediaPlan(local_host, public_address=public, signalling_address=peer_host, srtp=SrtpMode(sip.srtp))
        return await RtpMedia.open(plan, ports, observer=observer, metronome=metronome)

    return open_media


def check_sip(settings: Settings) -> None:
    """Raise ConfigurationError where files or secrets that SIP needs are missing or of no use. It blocks."""
    _authenticator(settings.sip_users, settings.sip.realm)
    _client_tls(settings.sip)
    if settings.sip.tls_port is not None:
        _server_tls(settings.sip)


def _authenticator(users: SecretStr | None, realm: str) -> Authenticator | None:
    if users is None:
        return None
    try:
        known = json.loads(users.get_secret_value())
    except ValueError:
        known = None
    if not isinstance(known, dict) or not all(isinstance(password, str) for password in known.values()):
        problem = Problem("settings", None, "`sip_users` is not what it must be.", 'Give JSON: {"name": "password"}.')
        raise ConfigurationError([problem])
    tries = RateLimit(max_events=WRONG_PASSWORDS_A_MINUTE, window_s=60, clock=time.monotonic)
    return Authenticator(known, realm=realm, key=secrets.token_bytes(32), clock=time.monotonic, wrong_tries=tries)


def _client_tls(sip: SipSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(_file(sip.tls_ca, "tls_ca")) if sip.tls_ca else None)
    if sip.tls_certificate is not None:
        _load_certificate(context, sip)
    return context


def _server_tls(sip: SipSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load_certificate(context, sip)
    if sip.tls_client_ca is not None:
        context.load_verify_locations(str(_file(sip.tls_client_ca, "tls_client_ca")))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_certificate(context: ssl.SSLContext, sip: SipSettings) -> None:
    certificate, key = _file(sip.tls_certificate, "tls_certificate"), sip.tls_key
    try:
        context.load_cert_chain(str(certificate), str(_file(key, "tls_key")) if key else None)
    except (ssl.SSLError, OSError) as error:
        what = f"`sip.tls_certificate`: {certificate} holds no usable certificate and key."
        fix = "Give PEM files: the certificate with its chain, and its key without a passphrase."
        raise ConfigurationError([Problem("settings", None, what, fix)]) from error


def _file(path: Path | None, name: str) -> Path:
    if path is None or not path.is_file():
        what = f"`sip.{name}`: there is no such file." if path else f"`sip.{name}` is missing."
        raise ConfigurationError([Problem("settings", None, what, "SIP over TLS needs it; see docs/sip.md.")])
    return path
