"""A dialog: who the two ends are to each other, and in which order their requests come. Pure. RFC 3261 section 12."""

from __future__ import annotations

from dataclasses import dataclass

from sipmessage import URI, Address, Request, Response

from voicebot.telephony.sip.message import (
    MAX_CSEQ,
    BadMessage,
    parse_uri,
    respond,
    set_body,
    split_list,
    tag_of,
    without_tag,
)

MAX_FORWARDS = 70


@dataclass(frozen=True, slots=True)
class DialogId:
    call_id: str
    local_tag: str
    remote_tag: str


class Dialog:
    """One dialog of ours. `local` and `remote` are From and To values without tags, as they first were."""

    def __init__(
        self,
        dialog_id: DialogId,
        *,
        local: str,
        remote: str,
        remote_target: URI,
        route_set: tuple[str, ...],
        local_cseq: int,
        remote_cseq: int | None,
    ) -> None:
        self.id = dialog_id
        self.local = local
        self.remote = remote
        self.remote_target = remote_target
        self.route_set = route_set
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq

    @classmethod
    def of_server(cls, request: Request, local_tag: str) -> Dialog:
        """Return the dialog that an INVITE of the peer makes; raises `BadMessage` (400) without a usable Contact."""
        return cls(
            DialogId(request.call_id, local_tag, tag_of(request.headers["From"]) or ""),
            local=without_tag(request.headers["To"]),
            remote=without_tag(request.headers["From"]),
            remote_target=contact_uri(request),
            route_set=_record_routes(request),
            local_cseq=0,
            remote_cseq=request.cseq.sequence,
        )

    @classmethod
    def of_client(cls, request: Request, response: Response) -> Dialog:
        """Return the dialog that a response to our INVITE makes; raises `BadMessage` without a usable Contact."""
        return cls(
            DialogId(request.call_id, tag_of(request.headers["From"]) or "", tag_of(response.headers["To"]) or ""),
            local=without_tag(request.headers["From"]),
            remote=without_tag(request.headers["To"]),
            remote_target=contact_uri(response),
            route_set=tuple(reversed(_record_routes(response))),
            local_cseq=request.cseq.sequence,
            remote_cseq=None,
        )

    @property
    def next_hop(self) -> URI:
        """Return the URI whose host gets the requests of this dialog."""
        return _route_uri(self.route_set[0]) if self.route_set else self.remote_target

    def request(self, method: str, *, body: bytes = b"", content_type: str = "application/sdp") -> Request:
        """Return a new request within the dialog, without Via and Contact (section 12.2.1.1)."""
        self.local_cseq += 1
        return self._request(method, self.local_cseq, body, content_type)

    def ack(self, cseq: int, *, body: bytes = b"") -> Request:
        """Return the ACK of a 2xx to the INVITE numbered `cseq` (section 13.2.2.4)."""
        return self._request("ACK", cseq, body, "application/sdp")

    def accept(self, request: Request) -> bool:
        """Take note of a request's number; False when it is out of order and must be refused with 500."""
        number = request.cseq.sequence
        if request.method in {"ACK", "CANCEL"}:
            return True
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def refresh_target(self, message: Request | Response) -> None:
        """Take the Contact of a target refresh, if there is one."""
        if message.headers.get("Contact"):
            self.remote_target = contact_uri(message)

    def _request(self, method: str, cseq: int, body: bytes, content_type: str) -> Request:
        uri, routes = self.remote_target, list(self.route_set)
        if routes and "lr" not in _route_uri(routes[0]).parameters:
            # A strict router of RFC 2543: it wants to be the Request-URI itself.
            uri = _route_uri(routes.pop(0))
            routes.append(f"<{self.remote_target}>")
        request = Request(method, uri)
        request.headers.set("Max-Forwards", str(MAX_FORWARDS))
        request.headers.set("From", f"{self.local};tag={self.id.local_tag}")
        tag = f";tag={self.id.remote_tag}" if self.id.remote_tag else ""
        request.headers.set("To", self.remote + tag)
        request.headers.set("Call-ID", self.id.call_id)
        request.headers.set("CSeq", f"{min(cseq, MAX_CSEQ)} {method}")
        if routes:
            request.headers.setlist("Route", routes)
        set_body(request, body, content_type)
        return request


def dialog_id_of(request: Request) -> DialogId | None:
    """Return the dialog that a peer's request names, or None when it is outside of any."""
    local_tag = tag_of(request.headers["To"])
    if local_tag is None:
        return None
    return DialogId(request.call_id, local_tag, tag_of(request.headers["From"]) or "")


def contact_uri(message: Request | Response) -> URI:
    """Return the URI of the Contact; raises `BadMessage`, with a 400 for a request, when there is not exactly one."""
    try:
        (contact,) = split_list(message.headers["Contact"])
        uri = Address.parse(contact).uri if "<" in contact else parse_uri(contact.partition(";")[0].strip())
    except (ValueError, TypeError, KeyError) as error:
        raise _bad_contact(message) from error
    if uri.scheme == "tel" or not uri.host:
        raise _bad_contact(message)
    return uri


def _bad_contact(message: Request | Response) -> BadMessage:
    answer = respond(message, 400, phrase="Bad Contact") if isinstance(message, Request) else None
    return BadMessage("bad_contact", "There is not exactly one usable Contact.", answer=answer)


def _record_routes(message: Request | Response) -> tuple[str, ...]:
    routes = tuple(
        route for value in message.headers.getlist("Record-Route") for route in split_list(value) if route.strip()
    )
    try:
        for route in routes:
            _route_uri(route)
    except (ValueError, TypeError) as error:
        answer = respond(message, 400) if isinstance(message, Request) else None
        raise BadMessage("bad_route", "A Record-Route cannot be parsed.", answer=answer) from error
    return routes


def _route_uri(route: str) -> URI:
    return Address.parse(route).uri
