"""What holds of a hand-over whatever happens: nobody is lost, and nobody gets two agents."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.routing.actions import (
    Action,
    DropThird,
    Ending,
    EnterQueue,
    Finish,
    FreeAgent,
    InviteThird,
    Join,
    JoinThird,
    LeaveQueue,
    Promote,
    RunBot,
    SendElsewhere,
    SendPacket,
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
from voicebot.routing.handover import begin, step
from voicebot.routing.handover_state import Phase
from voicebot.routing.queues import Choice, Failure, NextStep
from voicebot.routing.waiting import Outlook, Standing

ANA, BEN = Claim("ana", 1), Claim("ben", 7)


class World:
    """What is outstanding for the caller, as those who carry the actions out would know it."""

    def __init__(self) -> None:
        self.state, actions = begin("service")
        self.queued = False
        self.claims: dict[Claim, str] = {}
        self.finished: Ending | None = None
        self.awaited: set[str] = set()
        self.settled = False
        self.joined: list[Claim] = []
        #: The caller is on their way elsewhere, or there.
        self.sent = False
        #: Somebody is being asked into the call; and who has come.
        self.inviting = False
        self.third: Claim | None = None
        self._do(actions)

    def take(self, event: Event) -> None:
        if isinstance(event, AgentClaimed):
            self.claims[event.claim] = "claimed"
        if isinstance(event, PacketSettled):
            self.settled = True
        if isinstance(event, ElsewhereFailed | ElsewhereEnded | ElsewhereGone | CallerLeft):
            self.sent = False
        if isinstance(event, ThirdFailed):
            self.inviting = False
        self.state, actions = step(self.state, event)
        self._do(actions)
        self.check()

    def _do(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case EnterQueue():
                    self.queued = True
                case LeaveQueue():
                    self.queued = False
                case SendPacket():
                    self.settled = False
                case FreeAgent(claim):
                    self.claims.pop(claim, None)
                    self.joined = [one for one in self.joined if one != claim]
                case Join(claim):
                    assert claim in self.claims
                    assert self.settled, "joined before the packet was there"
                    self.joined = [claim]
                case SendElsewhere():
                    assert self.settled, "sent before the packet was there"
                    assert not self.sent, "sent to two places"
                    self.sent = True
                case InviteThird():
                    assert not self.inviting
                    assert self.third is None, "a fourth party"
                    self.inviting = True
                case JoinThird(third):
                    assert self.inviting, "somebody joined who was not asked for"
                    assert self.joined, "a third party without a caller"
                    self.inviting, self.third = False, third
                case DropThird():
                    self.inviting, self.third = False, None
                case Promote(third):
                    assert third == self.third
                    assert not self.claims, "two agents for one caller"
                    self.claims[third], self.third, self.joined = "promoted", None, [third]
                case RunBot():
                    assert self.third is None, "a third party left with nobody"
                case Finish(ending):
                    assert self.finished is None, "finished twice"
                    self.finished = ending
                case _:
                    pass

    def check(self) -> None:
        phase = self.state.phase
        assert (self.inviting, self.third) == (bool(self.state.inviting), self.state.third)
        assert phase in {Phase.JOINED, Phase.HELD} or not (self.inviting or self.third)
        assert len(self.claims) <= 1, "two agents for one caller"
        assert len(self.joined) <= 1
        if phase is Phase.DONE:
            assert self.finished is not None
            assert not self.claims, "an agent rings on"
            assert not self.inviting, "somebody is asked into a call that is over"
            assert self.third is None, "a third party left with nobody"
            assert not self.queued, "the caller is gone and their place is not"
            return
        assert self.finished is None
        # In every other phase something is under way that ends by itself: a place in a queue, a ringing or talking
        # agent, a question to the caller, or work of ours.
        match phase:
            case Phase.ANNOUNCED:
                assert self.queued
                assert not self.claims
            case Phase.DIALLING | Phase.BRIEFING:
                assert self.queued
                assert self.state.claim in self.claims
            case Phase.ACCEPTED | Phase.JOINED | Phase.HELD:
                assert self.state.claim in self.claims
            case Phase.CHOOSING | Phase.ARRANGING | Phase.NEW:
                assert not self.claims
                assert not self.queued
            case Phase.WITH_BOT:
                assert not self.queued
            case Phase.SENDING | Phase.ELSEWHERE:
                assert not self.claims
                assert not self.queued
                assert self.sent or not self.settled, "neither sent nor about to be"


claims = st.builds(Claim, st.sampled_from(["ana", "ben", "eva"]), st.integers(1, 3))
choices = st.sampled_from(Choice)
outlooks = st.builds(
    Outlook,
    st.just("service"),
    st.sampled_from(Standing),
    st.integers(0, 3),
    st.none() | st.floats(0, 900),
    st.lists(choices, unique=True).map(tuple),
)
rules = st.builds(
    Rules,
    st.fixed_dictionaries({failure: st.sampled_from(NextStep) for failure in Failure}),
    st.sampled_from(["", "second", "third"]),
    st.lists(choices, unique=True).map(tuple),
    st.integers(1, 3),
    st.booleans(),
    st.lists(st.sampled_from([Dial("+15550123"), Refer("sip:a@b")]), max_size=2).map(tuple),
)
going_on: st.SearchStrategy[Event] = st.one_of(
    st.builds(QueueFound, outlooks, rules),
    st.builds(AgentClaimed, claims),
    st.builds(AgentAnswered, claims, st.booleans()),
    st.builds(AgentAccepted, claims),
    st.builds(AgentFailed, claims, st.sampled_from(Failure)),
    st.builds(CallerTold, claims),
    st.builds(PacketSettled),
    st.builds(WaitedTooLong),
    st.builds(QueueClosed),
    st.builds(CallerChose, choices),
    st.builds(NothingChosen),
    st.builds(Arranged, choices),
    st.builds(NotArranged, choices),
    st.builds(AgentHeld, claims, st.booleans()),
    st.builds(BotAskedBack, claims, st.just("pay")),
    st.builds(BotFinished),
    st.builds(BotCalledOff, claims),
    st.builds(ThirdAsked, claims, st.just("second"), st.sampled_from(["", "eva"])),
    st.builds(ThirdAccepted, claims),
    st.builds(ThirdFailed, st.sampled_from(Failure)),
    st.builds(ThirdLeft, claims),
    st.builds(ThirdCalledOff, claims),
    st.builds(SentOn, claims, st.just("second"), st.sampled_from(["", "eva"])),
    st.builds(AgentLeft, claims, st.booleans()),
    st.builds(ElsewhereAnswered),
    st.builds(ElsewhereFailed, st.sampled_from(Failure)),
    st.builds(ElsewhereEnded),
    st.builds(ElsewhereGone),
)


@settings(max_examples=400)
@given(st.lists(going_on | st.builds(CallerLeft), max_size=40))
def test_no_sequence_of_events_loses_a_caller_or_gives_them_two_agents(events: list[Event]) -> None:
    world = World()
    for event in events:
        # A token is given out once: a claim that has been freed never comes back.
        if isinstance(event, AgentClaimed) and event.claim in world.claims:
            continue
        if isinstance(event, ThirdAccepted) and event.third in world.claims:
            continue
        world.take(event)


@settings(max_examples=200)
@given(st.lists(going_on, max_size=30))
def test_a_caller_who_hangs_up_at_any_point_frees_the_agent_and_ends_it(events: list[Event]) -> None:
    world = World()
    for event in events:
        if isinstance(event, AgentClaimed) and event.claim in world.claims:
            continue
        if isinstance(event, ThirdAccepted) and event.third in world.claims:
            continue
        world.take(event)
    if world.finished is None:
        world.take(CallerLeft())
    assert world.state.phase is Phase.DONE
    assert not world.claims


@given(st.data())
def test_a_caller_whom_nobody_takes_always_comes_to_an_end(data: st.DataObject) -> None:
    """Agents fail one after the other, queues are too slow, and nothing chosen can be arranged: it still ends."""
    world = World()
    answers: dict[Phase, st.SearchStrategy[Event]] = {
        Phase.NEW: st.builds(QueueFound, outlooks, rules),
        Phase.ANNOUNCED: st.sampled_from([WaitedTooLong(), QueueClosed(), AgentClaimed(ANA), AgentClaimed(BEN)]),
        Phase.CHOOSING: st.builds(CallerChose, choices) | st.builds(NothingChosen),
        Phase.SENDING: st.builds(ElsewhereFailed, st.sampled_from(Failure)) | st.builds(PacketSettled),
    }
    for _ in range(60):
        state = world.state
        if state.phase is Phase.DONE:
            break
        if state.claim is not None:
            world.take(AgentFailed(state.claim, data.draw(st.sampled_from(Failure))))
        elif state.phase is Phase.ARRANGING:
            world.take(NotArranged(data.draw(choices)))
        else:
            event = data.draw(answers[state.phase])
            if isinstance(event, AgentClaimed) and event.claim.agent_id in state.tried:
                event = WaitedTooLong()
            world.take(event)
    assert world.finished is not None
