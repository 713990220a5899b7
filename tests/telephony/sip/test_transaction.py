"""The four machines, against the RFCs' text, on a clock of the test's own."""

from __future__ import annotations

import pytest
from sipmessage import Request, Response

from tests.telephony.sip.clock import FakeTimers
from tests.telephony.sip.messages import request, response
from voicebot.errors import LocalProtocolError
from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.message import respond
from voicebot.telephony.sip.transaction import ClientTransaction, Failure, ServerTransaction
from voicebot.telephony.sip.transaction_machine import INVITE_CLIENT, INVITE_SERVER, OTHER_CLIENT, OTHER_SERVER, State
from voicebot.telephony.sip.transactions import Transactions, TransactionsFull

UDP = Hop(Transport.UDP, "127.0.0.1", 5070)
TCP = Hop(Transport.TCP, "127.0.0.1", 5070)


class Side:
    """A transaction layer whose wire is a list."""

    def __init__(self, limit: int = 100) -> None:
        self.timers = FakeTimers()
        self.sent: list[tuple[float, Request | Response]] = []
        self.transactions = Transactions(send=self._send, timers=self.timers, limit=limit)
        self.responses: list[int] = []
        self.failures: list[Failure] = []

    def _send(self, message: Request | Response, _hop: Hop) -> None:
        self.sent.append((self.timers.now_s, message))

    def request(self, method: str, hop: Hop = UDP) -> ClientTransaction:
        return self.transactions.request(
            request(method),
            hop,
            on_response=lambda response: self.responses.append(response.code),
            on_failure=self.failures.append,
        )

    def serve(self, method: str, hop: Hop = UDP) -> ServerTransaction:
        return self.transactions.serve(request(method), hop)

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]

    def methods(self) -> list[str]:
        return [message.method for _, message in self.sent if isinstance(message, Request)]


def test_an_invite_without_answer_is_sent_again_at_doubling_times_and_given_up_after_32_seconds() -> None:
    side = Side()
    side.request("INVITE")
    side.timers.advance(100)
    assert side.times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert side.failures == [Failure.TIMED_OUT]
    assert len(side.transactions) == 0
    assert side.timers.pending == 0


def test_another_request_without_answer_is_sent_again_at_most_every_4_seconds() -> None:
    side = Side()
    side.request("BYE")
    side.timers.advance(100)
    assert side.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert side.failures == [Failure.TIMED_OUT]


def test_over_a_stream_nothing_is_sent_again() -> None:
    side = Side()
    side.request("INVITE", TCP)
    side.request("BYE", TCP)
    side.timers.advance(100)
    assert side.methods() == ["INVITE", "BYE"]
    assert side.failures == [Failure.TIMED_OUT] * 2


def test_a_provisional_response_stops_the_invite_from_being_sent_again_and_lets_it_wait_for_ever() -> None:
    side = Side()
    transaction = side.request("INVITE")
    transaction.receive(response(transaction.request, 180))
    side.timers.advance(1000)
    assert side.times == [0]
    assert side.responses == [180]
    assert transaction.state is State.PROCEEDING


def test_a_failure_is_acknowledged_each_time_it_comes_and_told_once() -> None:
    side = Side()
    transaction = side.request("INVITE")
    for _ in range(3):
        transaction.receive(response(transaction.request, 486))
    assert side.methods() == ["INVITE", "ACK", "ACK", "ACK"]
    ack = side.sent[1][1]
    assert ack.headers["Via"] == transaction.request.headers["Via"]
    assert ack.headers["To"].endswith(";tag=callee-tag")
    assert ack.headers["CSeq"] == "1 ACK"
    assert side.responses == [486]
    side.timers.advance(33)
    assert len(side.transactions) == 0


def test_each_2xx_to_an_invite_reaches_its_user_until_timer_m() -> None:
    side = Side()
    transaction = side.request("INVITE")
    for tag in ("one", "one", "two"):
        transaction.receive(response(transaction.request, 200, to_tag=tag))
    assert side.responses == [200, 200, 200]
    assert side.methods() == ["INVITE"]
    side.timers.advance(33)
    assert len(side.transactions) == 0


def test_a_second_final_response_to_another_request_is_ignored() -> None:
    side = Side()
    transaction = side.request("OPTIONS")
    transaction.receive(response(transaction.request, 200))
    transaction.receive(response(transaction.request, 200))
    assert side.responses == [200]
    side.timers.advance(5.1)
    assert len(side.transactions) == 0


def test_a_broken_connection_fails_what_waits_for_it() -> None:
    side = Side()
    side.request("INVITE", TCP)
    side.transactions.hop_failed(TCP)
    assert side.failures == [Failure.TRANSPORT]


def test_a_copy_of_an_invite_gets_the_last_response_again_and_makes_no_second_transaction() -> None:
    side = Side()
    transaction = side.serve("INVITE")
    transaction.respond(respond(transaction.request, 100))
    transaction.respond(respond(transaction.request, 180, to_tag="bot"))
    assert side.transactions.absorb(request("INVITE"))
    codes = [message.code for _, message in side.sent if isinstance(message, Response)]
    assert codes == [100, 180, 180]
    assert len(side.transactions) == 1


def test_a_refusal_is_repeated_until_its_ack() -> None:
    side = Side()
    transaction = side.serve("INVITE")
    transaction.respond(respond(transaction.request, 486, to_tag="bot"))
    side.timers.advance(4)
    assert side.times == [0, 0.5, 1.5, 3.5]
    assert side.transactions.absorb(request("ACK"))
    side.timers.advance(4)
    assert len(side.sent) == 4
    assert transaction.state is State.CONFIRMED
    side.timers.advance(2)
    assert len(side.transactions) == 0


def test_a_refusal_without_ack_is_given_up() -> None:
    side = Side()
    side.serve("INVITE").respond(respond(request("INVITE"), 486, to_tag="bot"))
    side.timers.advance(33)
    assert len(side.transactions) == 0
    assert side.timers.pending == 0


def test_a_copy_of_an_accepted_invite_is_absorbed_in_silence() -> None:
    side = Side()
    transaction = side.serve("INVITE")
    transaction.respond(respond(transaction.request, 200, to_tag="bot"))
    assert side.transactions.absorb(request("INVITE"))
    assert len(side.sent) == 1
    side.timers.advance(33)
    assert len(side.transactions) == 0


def test_the_ack_of_a_2xx_is_left_to_the_dialog() -> None:
    side = Side()
    transaction = side.serve("INVITE")
    transaction.respond(respond(transaction.request, 200, to_tag="bot"))
    assert not side.transactions.absorb(request("ACK"))


def test_a_copy_of_another_request_gets_the_same_response() -> None:
    side = Side()
    transaction = side.serve("BYE")
    assert side.transactions.absorb(request("BYE"))
    assert side.sent == []
    transaction.respond(respond(transaction.request, 200, to_tag="bot"))
    assert side.transactions.absorb(request("BYE"))
    assert len(side.sent) == 2
    side.timers.advance(33)
    assert len(side.transactions) == 0


def test_a_second_final_response_is_our_own_mistake() -> None:
    transaction = Side().serve("BYE")
    transaction.respond(respond(transaction.request, 200))
    with pytest.raises(LocalProtocolError):
        transaction.respond(respond(transaction.request, 481))


def test_a_cancel_finds_its_invite() -> None:
    side = Side()
    transaction = side.serve("INVITE")
    assert side.transactions.invite_of(request("CANCEL")) is transaction
    assert side.transactions.invite_of(request("CANCEL", branch="z9hG4bKother")) is None


def test_the_same_request_by_another_way_is_merged_and_a_copy_is_not() -> None:
    side = Side()
    side.serve("INVITE")
    assert side.transactions.is_merged(request("INVITE", branch="z9hG4bKother"))
    assert not side.transactions.is_merged(request("INVITE"))
    assert not side.transactions.is_merged(request("INVITE", branch="z9hG4bKother", call_id="another"))
    assert not side.transactions.is_merged(request("INVITE", branch="z9hG4bKother", to_tag="bot"))


def test_more_transactions_than_the_limit_are_refused() -> None:
    side = Side(limit=1)
    side.serve("INVITE")
    with pytest.raises(TransactionsFull):
        side.transactions.serve(request("BYE", branch="z9hG4bKtwo"), UDP)


@pytest.mark.parametrize("branch", ["z9hG4bK", "390skdjuw"])
def test_requests_of_rfc_2543_are_told_apart_without_a_unique_branch(branch: str) -> None:
    side = Side()
    first = side.transactions.serve(request("INVITE", branch=branch), UDP)
    assert side.transactions.absorb(request("INVITE", branch=branch))
    assert not side.transactions.absorb(request("INVITE", branch=branch, call_id="another"))
    first.respond(respond(first.request, 486, to_tag="bot"))
    assert side.transactions.absorb(request("ACK", branch=branch, to_tag="bot"))
    assert first.state is State.CONFIRMED


@pytest.mark.parametrize("table", [INVITE_CLIENT, OTHER_CLIENT, INVITE_SERVER, OTHER_SERVER])
def test_every_state_that_a_table_reaches_leads_to_the_end(table: dict[tuple[State, object], object]) -> None:
    reaches = {(was, step.to) for (was, _), step in table.items()}  # type: ignore[attr-defined]  # a Step
    ends = {State.TERMINATED}
    for _ in State:
        ends |= {was for was, to in reaches if to in ends}
    assert {to for _, to in reaches} <= ends
