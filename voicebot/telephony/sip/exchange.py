"""One request of ours and everything that comes back, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from sipmessage import Request, Response

from voicebot.errors import VoicebotError
from voicebot.telephony.sip.endpoint import Endpoint
from voicebot.telephony.sip.hop import Hop
from voicebot.telephony.sip.transaction import Failure


class RequestRefused(Exception):  # an outcome, always caught
    """A request within a dialog got a final response that is no 2xx."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.code)
        self.response = response


class NoAnswer(VoicebotError):
    """A request got no final response."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"a request was not answered: {failure}")
        self.failure = failure


async def responses(
    endpoint: Endpoint, request: Request, hop: Hop, *, on_more: Callable[[Response], None] | None = None
) -> AsyncIterator[Response]:
    """Send a request and yield what comes back, ending with a final response; raises `NoAnswer`.

    `on_more` gets what follows it: a 2xx to an INVITE again, or of another branch of a fork.
    """
    waiting: asyncio.Queue[Response | Failure] = asyncio.Queue()
    finished = False

    def on_response(response: Response) -> None:
        nonlocal finished
        if not finished:
            finished = response.code >= 200
            waiting.put_nowait(response)
        elif on_more is not None:
            on_more(response)

    endpoint.send_request(request, hop, on_response=on_response, on_failure=waiting.put_nowait)
    while True:
        match await waiting.get():
            case Response() as response:
                yield response
                if response.code >= 200:
                    return
            case failure:
                raise NoAnswer(failure)


async def final_response(endpoint: Endpoint, request: Request, hop: Hop) -> Response:
    """Send a request other than INVITE and return its final response; raises `NoAnswer`."""
    async for response in responses(endpoint, request, hop):
        if response.code >= 200:
            return response
    raise NoAnswer(Failure.TRANSPORT)


class Repeater:
    """Says something again and again until it is acknowledged: a 2xx until its ACK, a reliable 1xx until its PRACK."""

    def __init__(
        self, say: Callable[[], None], *, on_given_up: Callable[[], None], first_s: float, most_s: float, limit_s: float
    ) -> None:
        self._say = say
        self._on_given_up = on_given_up
        self._delay_s = first_s
        self._most_s = most_s
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(first_s, self._again)
        self._limit = loop.call_later(limit_s, self._give_up)
        say()

    def stop(self) -> None:
        self._next.cancel()
        self._limit.cancel()

    def _again(self) -> None:
        self._delay_s = min(2 * self._delay_s, self._most_s)
        self._next = asyncio.get_running_loop().call_later(self._delay_s, self._again)
        self._say()

    def _give_up(self) -> None:
        self.stop()
        self._on_given_up()
