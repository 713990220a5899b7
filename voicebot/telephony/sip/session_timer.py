"""Session timers: both ends learn that a call is gone although no BYE came. Pure. RFC 4028."""

from __future__ import annotations

from dataclasses import dataclass

from sipmessage import Message, Request

from voicebot.telephony.sip.message import tokens, whole_number

#: Section 4 recommends 1800 s and forbids less than 90 s.
WANTED_S = 1800
LEAST_S = 90


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """What was agreed: the session ends `interval_s` after its last refresh, which is our task if `we_refresh`."""

    interval_s: int
    we_refresh: bool

    @property
    def due_s(self) -> float:
        """When to act: to refresh at half the interval, or to end the call shortly before its end (section 10)."""
        if self.we_refresh:
            return self.interval_s / 2
        return self.interval_s - min(32.0, self.interval_s / 3)


class IntervalTooSmall(Exception):  # an outcome that one caller answers with 422
    """The peer asks for refreshes more often than `LEAST_S`."""


def session_expires(message: Message) -> tuple[int, str] | None:
    """Return the seconds and the refresher (``uac``, ``uas`` or empty) of Session-Expires; None if it is not usable."""
    value = message.headers.get("Session-Expires")
    if value is None:
        return None
    seconds, *parameters = (part.strip() for part in value.split(";"))
    interval_s = whole_number(seconds)
    if interval_s is None:
        return None
    refresher = ""
    for parameter in parameters:
        name, _, given = parameter.partition("=")
        if name.strip().lower() == "refresher":
            refresher = given.strip().lower()
    return interval_s, refresher


def agree_as_server(
    request: Request, *, wanted_s: int = WANTED_S, least_s: int = LEAST_S
) -> tuple[SessionTimer, list[tuple[str, str]]]:
    """Return what a peer's INVITE or UPDATE leads to, and the headers that tell it (section 9).

    Raises `IntervalTooSmall`.
    """
    asked = session_expires(request)
    theirs = "timer" in tokens(request, "Supported")
    interval_s = wanted_s
    if asked is not None:
        if asked[0] < least_s and theirs:
            raise IntervalTooSmall
        interval_s = max(least_s, min(asked[0], wanted_s))
    lowest = request.headers.get("Min-SE")
    if lowest is not None:
        interval_s = max(interval_s, int(lowest.partition(";")[0].strip()))
    # Who refreshes is the peer's to say; a peer that does not say, or cannot, leaves it to us.
    they_refresh = theirs and asked is not None and asked[1] == "uac"
    headers = [("Session-Expires", f"{interval_s};refresher={'uac' if they_refresh else 'uas'}")]
    if theirs:
        headers.append(("Require", "timer"))
    return SessionTimer(interval_s, we_refresh=not they_refresh), headers


def ask_as_client(
    timer: SessionTimer | None, *, wanted_s: int = WANTED_S, least_s: int = LEAST_S
) -> list[tuple[str, str]]:
    """Return the headers of an INVITE or UPDATE of ours; in a refresh the refresher stays who it was (section 7.4)."""
    value = str(wanted_s)
    if timer is not None:
        value = f"{timer.interval_s};refresher={'uac' if timer.we_refresh else 'uas'}"
    return [("Session-Expires", value), ("Min-SE", str(least_s))]


def agreed_as_client(response: Message) -> SessionTimer | None:
    """Return what the peer's 2xx says, None when it wants no timer (section 7.2)."""
    answered = session_expires(response)
    if answered is None or answered[0] < 1:
        return None
    return SessionTimer(max(answered[0], LEAST_S), we_refresh=answered[1] != "uas")
