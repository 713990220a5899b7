"""The user agent's core: what every message goes through before a call sees it (RFC 3261 section 8)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sipmessage import Request, Response

from voicebot.telephony.sip.dialog import DialogId, dialog_id_of
from voicebot.telephony.sip.hop import Hop, Transport, host_port
from voicebot.telephony.sip.message import BRANCH_COOKIE, BadMessage, parse, respond, stamp_source, tokens
from voicebot.telephony.sip.transaction import ClientTransaction, Failure, ServerTransaction
from voicebot.telephony.sip.transactions import Transactions, TransactionsFull, response_hop
from voicebot.telephony.sip.transport import Transports

_log = structlog.get_logger()

#: What a call of ours understands; in the order of the RFCs that define them.
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, INFO, UPDATE, REFER, NOTIFY"
SUPPORTED = ("100rel", "timer", "replaces")
ACCEPT = "application/sdp, application/dtmf-relay, application/dtmf, message/sipfrag"
#: Methods that exist but that this server has no use for.
_KNOWN_METHODS = frozenset(
    "ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)
_INSIDE_ONLY = frozenset({"BYE", "INFO", "NOTIFY", "PRACK", "UPDATE"})


class DialogUser(Protocol):
    """A call, which takes the requests of its dialog."""

    def receive(self, request: Request, source: Hop) -> None: ...


class Doorman(Protocol):
    """Whoever decides about requests from outside of any dialog."""

    def invited(self, request: Request, source: Hop) -> None:
        """Take an INVITE; it must be answered, by a transaction or at once."""
        ...

    def retry_after_s(self) -> int | None:
        """Return after how many seconds to try again when no further call can be served, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """How this endpoint names itself. `public_host` is what peers behind another network use for it."""

    user: str = "voicebot"
    user_agent: str = "voicebot"
    public_host: str | None = None


class Endpoint:
    """Everything of SIP that calls share. `new_id` gives fresh random names, `on_violation` counts by a constant."""

    def __init__(
        self,
        identity: Identity,
        *,
        client_tls: ssl.SSLContext,
        new_id: Callable[[], str],
        on_violation: Callable[[str], None],
    ) -> None:
        self.identity = identity
        self.new_id = new_id
        self.loop = asyncio.get_running_loop()
        self._on_violation = on_violation
        self.transports = Transports(
            on_data=self.received,
            on_failed=self._hop_failed,
            on_violation=self.violated,
            client_tls=client_tls,
            public_host=identity.public_host,
        )
        self.transactions = Transactions(send=self.send, timers=self.loop)
        self._dialogs: dict[DialogId, DialogUser] = {}
        #: What to do about a CANCEL, by its INVITE's transaction.
        self._cancels: dict[ServerTransaction, Callable[[Request], None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.doorman: Doorman | None = None

    @property
    def dialogs(self) -> int:
        return len(self._dialogs)

    async def close(self) -> None:
        """Wait shortly for what is being said, then close the sockets."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.transactions.stop()
        await self.transports.close()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Run work that belongs to a call until its end; its failure is logged and ends nothing else."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("work for a call failed", exc_info=error)

    def violated(self, kind: str) -> None:
        self._on_violation(kind)

    def add_dialog(self, dialog_id: DialogId, user: DialogUser) -> None:
        self._dialogs[dialog_id] = user

    def remove_dialog(self, dialog_id: DialogId) -> None:
        self._dialogs.pop(dialog_id, None)

    def dialog(self, dialog_id: DialogId) -> DialogUser | None:
        return self._dialogs.get(dialog_id)

    def serve_invite(self, request: Request, source: Hop, on_cancel: Callable[[Request], None]) -> ServerTransaction:
        """Begin the transaction of an INVITE that may be cancelled; raises `TransactionsFull`."""
        transaction = self.transactions.serve(request, source)
        self._cancels[transaction] = on_cancel
        return transaction

    def forget_cancel(self, transaction: ServerTransaction) -> None:
        """A final response was given; a CANCEL that comes now changes nothing."""
        self._cancels.pop(transaction, None)

    def contact(self, hop: Hop) -> str:
        """Return the Contact under which the peer at `hop` reaches this endpoint."""
        host, port = self.transports.local(hop)
        # Not sips: many a PBX that speaks TLS does not take it, and all understand this.
        transport = "" if hop.transport is Transport.UDP else f";transport={hop.transport.lower()}"
        return f"<sip:{self.identity.user}@{host_port(host, port)}{transport}>"

    def send(self, message: Request | Response, hop: Hop) -> None:
        """Put a message on the wire."""
        name = "User-Agent" if isinstance(message, Request) else "Server"
        if message.headers.get(name) is None:
            message.headers.set(name, self.identity.user_agent)
        self.transports.send(bytes(message), hop)

    def send_request(
        self,
        request: Request,
        hop: Hop,
        *,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None],
    ) -> ClientTransaction:
        """Send a request with a Via of its own and follow it."""
        self.put_via(request, hop)
        return self.transactions.request(request, hop, on_response=on_response, on_failure=on_failure)

    def send_ack(self, ack: Request, hop: Hop) -> None:
        """Send the ACK of a 2xx, which is no transaction."""
        self.put_via(ack, hop)
        self.send(ack, hop)

    def put_via(self, request: Request, hop: Hop) -> None:
        host, port = self.transports.local(hop)
        branch = BRANCH_COOKIE + self.new_id()
        request.headers.set("Via", f"SIP/2.0/{hop.transport} {host_port(host, port)};branch={branch};rport")

    def answer(
        self, request: Request, source: Hop, code: int, headers: Iterable[tuple[str, str]] = (), *, body: bytes = b""
    ) -> None:
        """Answer without a transaction: a copy of the request gets the same again (section 8.2.7)."""
        self.send(respond(request, code, headers=headers, body=body), response_hop(request, source))

    def received(self, data: bytes, source: Hop) -> None:
        """Take one message's bytes. Whatever a peer sends, nothing leaves this but through `doorman` and calls."""
        try:
            message = parse(data, stream=source.is_reliable)
        except BadMessage as error:
            self._refuse_bad(error, source, answerable=not data.startswith(b"ACK"))
            return
        if isinstance(message, Response):
            if not self.transactions.absorb(message):
                self.violated("stray_response")
            return
        stamp_source(message, source.host, source.port)
        if self.transactions.absorb(message):
            return
        try:
            self._take(message, source)
        except BadMessage as error:
            self._refuse_bad(error, source, answerable=message.method != "ACK")
        except TransactionsFull:
            self.violated("too_many_transactions")

    def _refuse_bad(self, error: BadMessage, source: Hop, *, answerable: bool) -> None:
        self.violated(error.kind)
        _log.debug("bad message", kind=error.kind, what=str(error))
        if error.answer is not None and answerable:
            self.send(error.answer, source)

    def _take(self, request: Request, source: Hop) -> None:
        dialog_id = dialog_id_of(request)
        user = self._dialogs.get(dialog_id) if dialog_id else None
        if request.method == "ACK":
            if user is not None:
                user.receive(request, source)
            return
        if request.method == "CANCEL":
            self._cancel(request, source)
            return
        unknown = tokens(request, "Require") - set(SUPPORTED)
        if unknown:
            self.answer(request, source, 420, [("Unsupported", ", ".join(sorted(unknown)))])
        elif user is not None:
            user.receive(request, source)
        elif dialog_id is not None or request.method in _INSIDE_ONLY:
            self.answer(request, source, 481)
        elif request.method == "OPTIONS":
            self._tell_options(request, source)
        elif request.method == "INVITE" and self.doorman is not None:
            if self.transactions.is_merged(request):
                self.answer(request, source, 482)
            else:
                self.doorman.invited(request, source)
        elif request.method in _KNOWN_METHODS:
            self.answer(request, source, 405, [("Allow", ALLOW)])
        else:
            self.answer(request, source, 501, [("Allow", ALLOW)])

    def _cancel(self, request: Request, source: Hop) -> None:
        transaction = self.transactions.invite_of(request)
        if transaction is None:
            self.answer(request, source, 481)
            return
        self.answer(request, source, 200)
        on_cancel = self._cancels.pop(transaction, None)
        if on_cancel is not None and transaction.is_pending:
            on_cancel(request)

    def _tell_options(self, request: Request, source: Hop) -> None:
        retry_after_s = self.doorman.retry_after_s() if self.doorman else None
        if retry_after_s is not None:
            self.answer(request, source, 503, [("Retry-After", str(retry_after_s))])
            return
        self.answer(request, source, 200, capabilities())

    def _hop_failed(self, hop: Hop) -> None:
        self.transactions.hop_failed(hop)


def capabilities() -> list[tuple[str, str]]:
    """Return the headers that say what this endpoint can do (section 11.2)."""
    return [("Allow", ALLOW), ("Accept", ACCEPT), ("Accept-Encoding", "identity"), ("Supported", ", ".join(SUPPORTED))]
