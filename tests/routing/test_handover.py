"""The hand-over: every row of its table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicebot.routing.actions import (
    Action,
    AnnounceElsewhere,
    Arrange,
    BriefAgent,
    DropThird,
    Ending,
    EnterQueue,
    FindQueue,
    Finish,
    FreeAgent,
    Hold,
    InviteThird,
    Join,
    JoinThird,
    LeaveQueue,
    Offer,
    Promote,
    RingAgent,
    RunBot,
    SendElsewhere,
    SendPacket,
    Setback,
    TellCaller,
)
from voicebot.routing.destinations import Dial, Refer
from voicebot.routing.events import (
    AgentAccepted,
    AgentAnswered,
    AgentClaimed,
    AgentFailed,
    AgentHeld,
    AgentLeft,
    Arranged,
    BotAskedBack,
    BotCalledOff,
    BotFinished,
    CallerChose,
    CallerLeft,
    CallerTold,
    Claim,
    ElsewhereAnswered,
    ElsewhereEnded,
    ElsewhereFailed,
    ElsewhereGone,
    Event,
    NotArranged,
    NothingChosen,
    PacketSettled,
    QueueClosed,
    QueueFound,
    Rules,
    SentOn,
    ThirdAccepted,
    ThirdAsked,
    ThirdCalledOff,
    ThirdFailed,
    ThirdLeft,
    WaitedTooLong,
)
from voicebot.routing.handover import TRANSITIONS, begin, step
from voicebot.routing.handover_state import MOST_OFFERS, Handover, Phase
from voicebot.routing.queues import USUAL_STEPS, Choice, Failure, NextStep
from voicebot.routing.waiting import Outlook, Standing

ANA, BEN = Claim("ana", 1), Claim("ben", 7)
CALLBACK, MESSAGE = Choice.CALLBACK, Choice.MESSAGE
OPEN = Outlook("service", Standing.OPEN, 0, 0.0, ())
SLOW = replace(OPEN, wait_s=600.0, choices=(Choice.WAIT, CALLBACK))
CLOSED = Outlook("service", Standing.CLOSED, 0, None, (MESSAGE,))
FULL = Outlook("service", Standing.FULL, 9, 600.0, (CALLBACK,))
RULES = Rules()
SPILLS = Rules(overflow="second")
OFFERS = Offer((CALLBACK, MESSAGE), Standing.OPEN, 0.0)
DESK, PBX = Dial("+15550123"), Refer("sip:support@pbx.example")
AWAY = Rules(elsewhere=(DESK, PBX))
NOTED = Finish(Ending.NOTED)


def at(phase: Phase, **changes: object) -> Handover:
    """A hand-over as it stands in a phase, Ana being claimed where somebody is."""
    claimed = phase in {Phase.DIALLING, Phase.BRIEFING, Phase.ACCEPTED, Phase.JOINED, Phase.HELD, Phase.WITH_BOT}
    state = Handover(phase, OPEN, RULES, ANA if claimed else None, queues=("service",))
    return replace(state, **changes)  # type: ignore[arg-type]  # any field


def left(ending: Ending = Ending.CALLER_LEFT) -> Finish:
    return Finish(ending)


FREED = FreeAgent(ANA, None, caller_left=True)
LET_GO = FreeAgent(ANA, None)


def again(because: Failure | Setback | None, tried: tuple[str, ...] = ("ana",)) -> EnterQueue:
    return EnterQueue(OPEN, tried, (), again=True, because=because)


P = Phase
SENT = at(P.SENDING, rules=AWAY, packet_settled=True)
TALKING = at(P.ELSEWHERE, rules=AWAY, packet_settled=True)

#: (what the row is about, where it stands, what happens, the phase then, what is done)
ROWS: list[tuple[str, Handover, Event, Phase, tuple[Action, ...]]] = [
    ("open", at(P.NEW), QueueFound(OPEN, RULES), P.ANNOUNCED, (EnterQueue(OPEN, (), (), again=False),)),
    (
        "slow",
        at(P.NEW),
        QueueFound(SLOW, RULES),
        P.ANNOUNCED,
        (EnterQueue(SLOW, (), (Choice.WAIT, CALLBACK), again=False),),
    ),
    ("closed", at(P.NEW), QueueFound(CLOSED, RULES), P.CHOOSING, (Offer((MESSAGE,), Standing.CLOSED, None),)),
    ("full", at(P.NEW), QueueFound(FULL, RULES), P.CHOOSING, (Offer((CALLBACK,), Standing.FULL, 600.0),)),
    ("full, overflows", at(P.NEW), QueueFound(FULL, SPILLS), P.NEW, (FindQueue("second"),)),
    ("closed with nothing to offer", at(P.NEW), QueueFound(replace(CLOSED, choices=()), RULES), P.DONE, (NOTED,)),
    ("agents elsewhere", at(P.NEW), QueueFound(OPEN, AWAY), P.SENDING, (AnnounceElsewhere(),)),
    (
        "agents elsewhere, the packet is out",
        at(P.NEW, packet_settled=True),
        QueueFound(FULL, AWAY),
        P.SENDING,
        (AnnounceElsewhere(), SendElsewhere(DESK)),
    ),
    (
        "closed elsewhere, too",
        at(P.NEW),
        QueueFound(CLOSED, AWAY),
        P.CHOOSING,
        (Offer((MESSAGE,), Standing.CLOSED, None),),
    ),
    ("the packet first, then there", at(P.SENDING, rules=AWAY), PacketSettled(), P.SENDING, (SendElsewhere(DESK),)),
    ("taken elsewhere", SENT, ElsewhereAnswered(), P.ELSEWHERE, ()),
    ("not taken there", SENT, ElsewhereFailed(Failure.BUSY), P.SENDING, (SendElsewhere(PBX),)),
    (
        "taken nowhere",
        replace(SENT, sent=1),
        ElsewhereFailed(Failure.NO_ANSWER),
        P.ANNOUNCED,
        (again(Failure.NO_ANSWER, ()),),
    ),
    (
        "taken nowhere, none here",
        replace(SENT, sent=1, outlook=FULL),
        ElsewhereFailed(Failure.BUSY),
        P.CHOOSING,
        (Offer((CALLBACK, MESSAGE), Standing.FULL, 600.0),),
    ),
    (
        "taken nowhere, overflows",
        replace(SENT, sent=1, outlook=FULL, rules=replace(AWAY, overflow="second")),
        ElsewhereFailed(Failure.BUSY),
        P.NEW,
        (FindQueue("second"),),
    ),
    (
        "lost there",
        replace(TALKING, sent=1),
        ElsewhereFailed(Failure.HUNG_UP),
        P.ANNOUNCED,
        (again(Failure.HUNG_UP, ()),),
    ),
    *(
        (f"{name} {state.phase}", state, event, P.DONE, (left(ending),))
        for state in (SENT, TALKING)
        for name, event, ending in (
            ("back from", ElsewhereEnded(), Ending.SERVED),
            ("goes on without us,", ElsewhereGone(), Ending.ELSEWHERE),
            ("hangs up", CallerLeft(), Ending.CALLER_LEFT),
        )
    ),
    ("claimed", at(P.ANNOUNCED), AgentClaimed(ANA), P.DIALLING, (RingAgent(ANA),)),
    ("claimed too late", at(P.DIALLING), AgentClaimed(BEN), P.DIALLING, (FreeAgent(BEN, None),)),
    ("waited too long", at(P.ANNOUNCED), WaitedTooLong(), P.CHOOSING, (LeaveQueue(), OFFERS)),
    (
        "waited too long, overflows",
        at(P.ANNOUNCED, rules=SPILLS),
        WaitedTooLong(),
        P.NEW,
        (LeaveQueue(), FindQueue("second")),
    ),
    ("closes", at(P.ANNOUNCED), QueueClosed(), P.CHOOSING, (LeaveQueue(), OFFERS)),
    ("waits on", at(P.ANNOUNCED), CallerChose(Choice.WAIT), P.ANNOUNCED, ()),
    ("waits no more", at(P.ANNOUNCED), CallerChose(CALLBACK), P.ARRANGING, (LeaveQueue(), Arrange(CALLBACK))),
    ("answered", at(P.DIALLING), AgentAnswered(ANA), P.BRIEFING, (BriefAgent(ANA),)),
    (
        "accepted at the desk",
        at(P.DIALLING),
        AgentAnswered(ANA, accepted=True),
        P.ACCEPTED,
        (LeaveQueue(), TellCaller(ANA)),
    ),
    *(
        (
            f"{failure} while ringing",
            at(P.DIALLING),
            AgentFailed(ANA, failure),
            P.ANNOUNCED,
            (FreeAgent(ANA, failure), again(failure)),
        )
        for failure in Failure
    ),
    (
        "the last agent fails",
        at(P.DIALLING, tried=("a", "b", "c", "d")),
        AgentFailed(ANA, Failure.NO_ANSWER),
        P.CHOOSING,
        (FreeAgent(ANA, Failure.NO_ANSWER), LeaveQueue(), OFFERS),
    ),
    (
        "policy overflows a failure",
        at(P.DIALLING, rules=replace(SPILLS, then={**USUAL_STEPS, Failure.BUSY: NextStep.OVERFLOW})),
        AgentFailed(ANA, Failure.BUSY),
        P.NEW,
        (FreeAgent(ANA, Failure.BUSY), LeaveQueue(), FindQueue("second")),
    ),
    (
        "policy offers on a failure",
        at(P.DIALLING, rules=Rules(then={**USUAL_STEPS, Failure.DECLINED: NextStep.OFFER})),
        AgentFailed(ANA, Failure.DECLINED),
        P.CHOOSING,
        (FreeAgent(ANA, Failure.DECLINED), LeaveQueue(), OFFERS),
    ),
    (
        "waits no more while it rings",
        at(P.DIALLING),
        CallerChose(CALLBACK),
        P.ARRANGING,
        (FREED, LeaveQueue(), Arrange(CALLBACK)),
    ),
    ("waits while it rings", at(P.DIALLING), CallerChose(Choice.WAIT), P.DIALLING, ()),
    ("accepted", at(P.BRIEFING), AgentAccepted(ANA), P.ACCEPTED, (LeaveQueue(), TellCaller(ANA))),
    *(
        (
            f"{failure} in the briefing",
            at(P.BRIEFING),
            AgentFailed(ANA, failure),
            P.ANNOUNCED,
            (FreeAgent(ANA, failure), again(failure)),
        )
        for failure in Failure
    ),
    (
        "waits no more in the briefing",
        at(P.BRIEFING),
        CallerChose(CALLBACK),
        P.ARRANGING,
        (FREED, LeaveQueue(), Arrange(CALLBACK)),
    ),
    ("told before the packet is there", at(P.ACCEPTED), CallerTold(ANA), P.ACCEPTED, ()),
    ("told", at(P.ACCEPTED, packet_settled=True), CallerTold(ANA), P.JOINED, (Join(ANA),)),
    ("packet before the caller is told", at(P.ACCEPTED), PacketSettled(), P.ACCEPTED, ()),
    ("packet after the caller is told", at(P.ACCEPTED, told=True), PacketSettled(("crm",)), P.JOINED, (Join(ANA),)),
    (
        "hung up after accepting",
        at(P.ACCEPTED),
        AgentFailed(ANA, Failure.HUNG_UP),
        P.ANNOUNCED,
        (FreeAgent(ANA, Failure.HUNG_UP), again(Failure.HUNG_UP)),
    ),
    (
        "lost after the join",
        at(P.JOINED),
        AgentFailed(ANA, Failure.HUNG_UP),
        P.ANNOUNCED,
        (FreeAgent(ANA, Failure.HUNG_UP), again(Setback.AGENT_GONE)),
    ),
    (
        "another server has the agent",
        at(P.JOINED),
        AgentFailed(ANA, Failure.CLAIM_LOST),
        P.ANNOUNCED,
        (FreeAgent(ANA, Failure.CLAIM_LOST), again(Failure.CLAIM_LOST)),
    ),
    (
        "on the way from a full queue",
        at(P.NEW, queues=("service", "second"), because=Setback.FULL),
        QueueFound(OPEN, RULES),
        P.ANNOUNCED,
        (EnterQueue(OPEN, (), (), again=False, because=Setback.FULL),),
    ),
    *(
        (f"packet while {phase}", at(phase), PacketSettled(), phase, ())
        for phase in (P.NEW, P.ANNOUNCED, P.DIALLING, P.BRIEFING, P.CHOOSING, P.ARRANGING)
    ),
    ("held", at(P.JOINED), AgentHeld(ANA, held=True), P.HELD, (Hold(ANA, held=True),)),
    ("taken back", at(P.HELD), AgentHeld(ANA, held=False), P.JOINED, (Hold(ANA, held=False),)),
    ("bot asked back", at(P.JOINED), BotAskedBack(ANA, "pay"), P.WITH_BOT, (RunBot(ANA, "pay"),)),
    ("bot asked back on hold", at(P.HELD), BotAskedBack(ANA, "pay"), P.WITH_BOT, (RunBot(ANA, "pay"),)),
    ("bot finished", at(P.WITH_BOT), BotFinished(), P.JOINED, (Hold(ANA, held=False),)),
    ("bot called off", at(P.WITH_BOT), BotCalledOff(ANA), P.JOINED, (Hold(ANA, held=False),)),
    ("agent leaves the bot to it", at(P.WITH_BOT), AgentLeft(ANA), P.WITH_BOT, (LET_GO,)),
    ("bot finished alone", at(P.WITH_BOT, claim=None), BotFinished(), P.DONE, (Finish(Ending.SERVED),)),
    *(
        (f"sent on while {phase}", at(phase), SentOn(ANA, "second"), P.NEW, (LET_GO, SendPacket(), FindQueue("second")))
        for phase in (P.JOINED, P.HELD)
    ),
    (
        "sent on to one agent",
        at(P.JOINED),
        SentOn(ANA, "second", "ben"),
        P.NEW,
        (LET_GO, SendPacket(), FindQueue("second")),
    ),
    (
        "the one agent is waited for",
        at(P.NEW, only="ben"),
        QueueFound(OPEN, RULES),
        P.ANNOUNCED,
        (EnterQueue(OPEN, (), (), again=False, only="ben"),),
    ),
    (
        "the one agent does not come",
        at(P.ANNOUNCED, only="ben"),
        WaitedTooLong(),
        P.ANNOUNCED,
        (again(Failure.NO_ANSWER, ()),),
    ),
    *(
        (f"third asked for while {phase}", at(phase), ThirdAsked(ANA, "second"), phase, (InviteThird("second"),))
        for phase in (P.JOINED, P.HELD)
    ),
    ("another third", at(P.JOINED, inviting="second"), ThirdAsked(ANA, "second"), P.JOINED, ()),
    ("bot asked back with a third", at(P.JOINED, third=BEN), BotAskedBack(ANA, "pay"), P.JOINED, ()),
    *(
        (f"third accepts while {phase}", at(phase, inviting="second"), ThirdAccepted(BEN), phase, (JoinThird(BEN),))
        for phase in (P.JOINED, P.HELD)
    ),
    ("third accepts for nobody", at(P.JOINED), ThirdAccepted(BEN), P.JOINED, (DropThird(),)),
    *(
        (f"third fails while {phase}", at(phase, inviting="second"), ThirdFailed(Failure.BUSY), phase, ())
        for phase in (P.JOINED, P.HELD)
    ),
    *(
        (f"third leaves while {phase}", at(phase, third=BEN), ThirdLeft(BEN), phase, (DropThird(),))
        for phase in (P.JOINED, P.HELD)
    ),
    ("an earlier third leaves", at(P.JOINED, third=BEN), ThirdLeft(Claim("eva", 1)), P.JOINED, ()),
    *(
        (f"third called off while {phase}", at(phase, inviting="second"), ThirdCalledOff(ANA), phase, (DropThird(),))
        for phase in (P.JOINED, P.HELD)
    ),
    ("agent leaves a third", at(P.HELD, third=BEN), AgentLeft(ANA), P.JOINED, (LET_GO, Promote(BEN))),
    (
        "agent is lost from a third",
        at(P.JOINED, third=BEN),
        AgentFailed(ANA, Failure.HUNG_UP),
        P.JOINED,
        (FreeAgent(ANA, Failure.HUNG_UP), Promote(BEN)),
    ),
    (
        "agent leaves while a third is asked for",
        at(P.JOINED, inviting="second"),
        AgentLeft(ANA),
        P.NEW,
        (DropThird(), LET_GO, SendPacket(), FindQueue("second")),
    ),
    ("caller leaves three", at(P.JOINED, third=BEN), CallerLeft(), P.DONE, (DropThird(), FREED, left())),
    ("agent hangs up", at(P.JOINED), AgentLeft(ANA), P.DONE, (LET_GO, Finish(Ending.SERVED))),
    ("agent asks for a survey", at(P.JOINED), AgentLeft(ANA, survey=True), P.DONE, (LET_GO, Finish(Ending.SURVEY))),
    ("agent hangs up on hold", at(P.HELD), AgentLeft(ANA), P.DONE, (LET_GO, Finish(Ending.SERVED))),
    ("chose a callback", at(P.CHOOSING), CallerChose(CALLBACK), P.ARRANGING, (Arrange(CALLBACK),)),
    (
        "chose to wait",
        at(P.CHOOSING),
        CallerChose(Choice.WAIT),
        P.ANNOUNCED,
        (EnterQueue(OPEN, (), (), again=True),),
    ),
    (
        "chose to wait for a closed queue",
        at(P.CHOOSING, outlook=CLOSED),
        CallerChose(Choice.WAIT),
        P.CHOOSING,
        (Offer((MESSAGE,), Standing.CLOSED, None),),
    ),
    (
        "chose another queue",
        at(P.CHOOSING, rules=SPILLS),
        CallerChose(Choice.OVERFLOW),
        P.NEW,
        (FindQueue("second"),),
    ),
    ("chose another queue that is none", at(P.CHOOSING), CallerChose(Choice.OVERFLOW), P.CHOOSING, (OFFERS,)),
    ("chose nothing", at(P.CHOOSING), NothingChosen(), P.CHOOSING, (OFFERS,)),
    ("chose nothing for the last time", at(P.CHOOSING, offered=MOST_OFFERS), NothingChosen(), P.DONE, (NOTED,)),
    ("callback arranged", at(P.ARRANGING), Arranged(CALLBACK), P.DONE, (Finish(Ending.CALLBACK),)),
    ("message taken", at(P.ARRANGING), Arranged(MESSAGE), P.DONE, (Finish(Ending.MESSAGE),)),
    ("number told", at(P.ARRANGING), Arranged(Choice.NUMBER), P.DONE, (Finish(Ending.NUMBER),)),
    (
        "callback not arranged",
        at(P.ARRANGING),
        NotArranged(CALLBACK),
        P.CHOOSING,
        (Offer((MESSAGE,), Standing.OPEN, 0.0),),
    ),
    *(
        (f"caller leaves while {phase}", at(phase), CallerLeft(), P.DONE, (left(),))
        for phase in (P.NEW, P.CHOOSING, P.ARRANGING)
    ),
    ("caller leaves the queue", at(P.ANNOUNCED), CallerLeft(), P.DONE, (LeaveQueue(), left())),
    *(
        (f"caller leaves while {phase}", at(phase), CallerLeft(), P.DONE, (FREED, LeaveQueue(), left()))
        for phase in (P.DIALLING, P.BRIEFING)
    ),
    *(
        (f"caller leaves while {phase}", at(phase), CallerLeft(), P.DONE, (FREED, left()))
        for phase in (P.ACCEPTED, P.JOINED, P.HELD, P.WITH_BOT)
    ),
]


@pytest.mark.parametrize(
    ("state", "event", "phase", "actions"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_row_of_the_table(state: Handover, event: Event, phase: Phase, actions: tuple[Action, ...]) -> None:
    following, done = step(state, event)
    assert (following.phase, done) == (phase, actions)


@pytest.mark.parametrize(
    ("state", "event", "because"),
    [
        (at(P.NEW), QueueFound(FULL, SPILLS), Setback.FULL),
        (at(P.NEW), QueueFound(replace(FULL, standing=Standing.UNSTAFFED), SPILLS), Setback.NOBODY),
        (at(P.ANNOUNCED, rules=SPILLS), WaitedTooLong(), Setback.TOO_LONG),
        (
            at(P.DIALLING, rules=replace(SPILLS, then={**USUAL_STEPS, Failure.BUSY: NextStep.OVERFLOW})),
            AgentFailed(ANA, Failure.BUSY),
            Failure.BUSY,
        ),
        (at(P.CHOOSING, rules=SPILLS), CallerChose(Choice.OVERFLOW), None),
    ],
    ids=["full", "nobody", "too long", "busy", "chosen"],
)
def test_who_is_sent_to_another_queue_is_told_why(
    state: Handover, event: Event, because: Failure | Setback | None
) -> None:
    moved, _ = step(state, event)
    assert (moved.phase, moved.queues[-1]) == (Phase.NEW, "second")
    entered, actions = step(moved, QueueFound(OPEN, RULES))
    assert [action.because for action in actions if isinstance(action, EnterQueue)] == [because]
    assert entered.because is None


def test_every_row_has_a_test() -> None:
    tested = {(row[1].phase, type(row[2])) for row in ROWS}
    assert TRANSITIONS.keys() - tested == set()


def test_a_handover_begins_with_the_packet_and_the_queue() -> None:
    state, actions = begin("service")
    assert (state.phase, actions) == (Phase.NEW, (SendPacket(), FindQueue("service")))


def test_a_callback_that_was_asked_for_is_arranged_without_ringing_anybody() -> None:
    state, actions = begin("service", instead=CALLBACK)
    assert (state.phase, actions) == (Phase.ARRANGING, (SendPacket(), Arrange(CALLBACK)))
    assert step(state, NotArranged(CALLBACK))[1] == (NOTED,)


@pytest.mark.parametrize(
    "event",
    [AgentAnswered(BEN), AgentAccepted(BEN), AgentFailed(BEN, Failure.BUSY), CallerTold(BEN), AgentLeft(BEN)],
    ids=lambda event: type(event).__name__,
)
@pytest.mark.parametrize("phase", Phase)
def test_what_comes_late_from_an_earlier_claim_changes_nothing(phase: Phase, event: Event) -> None:
    assert step(at(phase), event) == (at(phase), ())
