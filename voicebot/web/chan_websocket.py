"""The way in for Asterisk's chan_websocket: a WebSocket that Asterisk opens for every call."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog
from aiohttp import web

from voicebot.telephony.chan_websocket.leg import ChanWebsocketLeg, await_start
from voicebot.telephony.leg import Capability, Channel, Direction, LegInfo
from voicebot.web.address import PublicAddress
from voicebot.web.doors import Admission, client_address
from voicebot.web.socket_door import START_TIMEOUT_S, SocketDoor, TurnedAway

_log = structlog.get_logger()

MEDIA_PATH = "/asterisk/media"
#: Numbers and parameters of the URL longer than this are cut.
_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class AsteriskPeers:
    """Which phone systems may bring calls: by address, and by password where one is set (HTTP Basic, any user)."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    password: str | None = None

    def knows(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)

    def lets_in(self, host: str, authorization: str | None) -> bool:
        if not self.knows(host):
            return False
        if self.password is None:
            return True
        scheme, _, credentials = (authorization or "").partition(" ")
        try:
            _, _, given = base64.b64decode(credentials, validate=True).partition(b":")
        except ValueError:
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, self.password.encode())


class ChanWebsocketDoor:
    """`new_id` gives fresh random names. Caller and called number come as parameters of the URL, if at all."""

    def __init__(
        self,
        *,
        peers: AsteriskPeers,
        public: PublicAddress,
        admission: Admission,
        door: SocketDoor,
        new_id: Callable[[], str],
    ) -> None:
        self._peers = peers
        self._public = public
        self._admission = admission
        self._door = door
        self._new_id = new_id

    def routes(self) -> list[web.RouteDef]:
        return [web.get(MEDIA_PATH, self.media)]

    async def media(self, request: web.Request) -> web.WebSocketResponse:
        """Carry one call from the WebSocket handshake to its end."""
        if not self._peers.lets_in(client_address(request, self._public), request.headers.get("Authorization")):
            self._door.violated("stranger", "A phone system that is not configured asked for a call.")
            raise web.HTTPForbidden(text="This phone system is not configured (asterisk_peers, asterisk_password).")
        return await self._door.carry(request, self._greet)

    async def _greet(self, request: web.Request, socket: web.WebSocketResponse) -> ChanWebsocketLeg:
        start = await await_start(socket, timeout_s=START_TIMEOUT_S)
        leg_id = self._new_id()
        parameters = {name: value[:_MAX_CHARS] for name, value in request.query.items()}
        caller = parameters.pop("caller", "")
        called = parameters.pop("called", "")
        why = self._admission.admit(caller, leg_id)
        if why is not None:
            _log.warning("call refused", why=why, channel=Channel.CHAN_WEBSOCKET)
            raise TurnedAway("")
        info = LegInfo(
            leg_id=leg_id,
            channel=Channel.CHAN_WEBSOCKET,
            direction=Direction.INBOUND,
            caller=caller,
            called=called,
            carrier_call_id=start.channel_id or start.connection_id,
            parameters=parameters,
            capabilities=frozenset({Capability.PLAYBACK_CONFIRMED}),
        )
        return ChanWebsocketLeg(self._door.line(request, socket, info), start)
