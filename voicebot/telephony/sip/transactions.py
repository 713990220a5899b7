"""All transactions of an endpoint: which one a message belongs to (RFC 3261 section 17.1.3 and 17.2.3). Pure."""

from __future__ import annotations

from collections.abc import Callable

from sipmessage import Message, Request, Response

from voicebot.errors import LocalProtocolError
from voicebot.telephony.sip.hop import Hop
from voicebot.telephony.sip.message import BRANCH_COOKIE, SIP_PORT, tag_of
from voicebot.telephony.sip.transaction import ClientTransaction, Failure, ServerTransaction
from voicebot.telephony.sip.transaction_machine import Timers

#: Far above what calls within the limits need; above it requests are dropped, and their senders try again.
MAX_TRANSACTIONS = 20_000

Key = tuple[str, ...]


class TransactionsFull(LocalProtocolError):
    """More transactions are open than this server keeps; the request must be dropped."""


class Transactions:
    """`send` puts a message on the wire."""

    def __init__(
        self, *, send: Callable[[Request | Response, Hop], None], timers: Timers, limit: int = MAX_TRANSACTIONS
    ) -> None:
        self._send = send
        self._timers = timers
        self._limit = limit
        self._clients: dict[Key, tuple[ClientTransaction, Hop]] = {}
        self._servers: dict[Key, tuple[ServerTransaction, Hop]] = {}
        #: Requests outside of dialogs by what stays the same when a proxy forks them.
        self._requests: dict[Key, Key] = {}

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def absorb(self, message: Request | Response) -> bool:
        """Give a message to the transaction it belongs to; False when there is none and somebody else must take it."""
        if isinstance(message, Response):
            client = self._clients.get(client_key(message))
            if client is None:
                return False
            client[0].receive(message)
            return True
        server = self._servers.get(server_key(message))
        if server is None or (message.method == "ACK" and not _awaits_ack(server[0])):
            return False
        server[0].receive(message)
        return True

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """Return the INVITE transaction that a CANCEL is about (section 9.2)."""
        found = self._servers.get(server_key(cancel, method="INVITE"))
        return found[0] if found else None

    def is_merged(self, request: Request) -> bool:
        """Tell whether a request came by another way already, as forking proxies do (section 8.2.2.2)."""
        if tag_of(request.headers["To"]) is not None:
            return False
        return self._requests.get(_request_id(request), server_key(request)) != server_key(request)

    def serve(self, request: Request, source: Hop) -> ServerTransaction:
        """Begin a server transaction; raises `TransactionsFull`."""
        if len(self) >= self._limit:
            raise TransactionsFull("Too many transactions are open.")
        key = server_key(request)
        back = response_hop(request, source)
        same = _request_id(request)

        def forget() -> None:
            self._servers.pop(key, None)
            if self._requests.get(same) == key:
                del self._requests[same]

        transaction = ServerTransaction(
            request,
            reliable=source.is_reliable,
            timers=self._timers,
            send=lambda response: self._send(response, back),
            on_terminated=forget,
        )
        self._servers[key] = (transaction, back)
        if tag_of(request.headers["To"]) is None:
            self._requests[same] = key
        return transaction

    def request(
        self,
        request: Request,
        hop: Hop,
        *,
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None],
    ) -> ClientTransaction:
        """Send a request, whose top Via must have a branch of its own, and follow it."""
        key = client_key(request)
        transaction = ClientTransaction(
            request,
            reliable=hop.is_reliable,
            timers=self._timers,
            send=lambda message: self._send(message, hop),
            on_response=on_response,
            on_failure=on_failure,
            on_terminated=lambda: self._forget_client(key),
        )
        self._clients[key] = (transaction, hop)
        transaction.start()
        return transaction

    def hop_failed(self, hop: Hop) -> None:
        """Fail whatever waits for this peer: its connection broke or never came up."""
        for client, to in list(self._clients.values()):
            if to == hop:
                client.transport_failed()
        for server, to in list(self._servers.values()):
            if to == hop:
                server.transport_failed()

    def stop(self) -> None:
        """Forget all transactions and their timers."""
        for client, _ in self._clients.values():
            client.stop()
        for server, _ in self._servers.values():
            server.stop()
        self._clients.clear()
        self._servers.clear()
        self._requests.clear()

    def _forget_client(self, key: Key) -> None:
        self._clients.pop(key, None)


def _awaits_ack(server: ServerTransaction) -> bool:
    """A 2xx's ACK goes to the dialog, even when its sender kept the INVITE's branch."""
    return server.state in {"completed", "confirmed"}


def client_key(message: Message) -> Key:
    """Return branch and method, by which a response finds its request."""
    return (message.via[0].parameters.get("branch") or "", message.cseq.method)


def server_key(request: Request, *, method: str | None = None) -> Key:
    """Return what tells a transaction from all others; an ACK has its INVITE's."""
    via = request.via[0]
    branch = via.parameters.get("branch") or ""
    named = method or ("INVITE" if request.method == "ACK" else request.method)
    sent_by = f"{via.host.lower()}:{via.port or SIP_PORT}"
    if branch.startswith(BRANCH_COOKIE) and branch != BRANCH_COOKIE:
        return (branch, sent_by, named)
    # A peer of RFC 2543, whose branches are not unique.
    return (branch, sent_by, named, *_request_id(request)[:3], str(request.uri))


def _request_id(request: Request) -> Key:
    cseq = request.cseq
    return (request.call_id, tag_of(request.headers["From"]) or "", str(cseq.sequence), cseq.method)


def response_hop(request: Request, source: Hop) -> Hop:
    """Return where the response to a request goes (section 18.2.2, RFC 3581 section 4)."""
    via = request.via[0]
    if source.is_reliable or "rport" in via.parameters:
        return source
    return Hop(source.transport, source.host, via.port or SIP_PORT)
