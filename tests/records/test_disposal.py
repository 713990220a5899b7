"""Deletion by age and by request: what goes is gone everywhere, what is held stays, and the trail stays sound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, text

from tests.fakes.sealing import KEYS
from voicebot.dialog.events import Continuation
from voicebot.records.audit import AuditEntry, verify
from voicebot.records.continuations import ContinuationStore, KeptChat
from voicebot.records.deeds import Deeds
from voicebot.records.disposal import Disposal, DisposalRefused
from voicebot.records.facts import SealedFacts
from voicebot.records.record import HeardWord, Outcome, Speaker, TurnRecord
from voicebot.records.retention import DataKind, Retention
from voicebot.records.search import CallSearch
from voicebot.records.store import Store
from voicebot.records.tables import AUDIT, AUDIT_CONTENTS, CALLBACKS, CONTEXTS
from voicebot.records.vault.erasing import Eraser
from voicebot.records.vault.objects import DiskObjects

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
WHY = {"by": "dana", "reason": "request 17"}


@dataclass(frozen=True, slots=True)
class _Party:
    caller: str
    channel: str = "twilio"
    direction: str = "inbound"
    called: str = "+15550199"
    carrier_call_id: str = "CA1"


def _call(
    store: Store,
    data: Path,
    call_id: str,
    *,
    days_ago: float,
    outcome: Outcome = Outcome.COMPLETED,
    caller: str | None = None,
) -> None:
    """A call of ten minutes by a caller of its own, with a recording, that speaks of xylophones."""
    started = NOW - timedelta(days=days_ago)
    store.journal.begin_call(call_id, _Party(caller or f"+1555{call_id}"), started, "f")
    words = (HeardWord("xylophone", 0, 1, 1.0),)
    turn = TurnRecord(Speaker.CALLER, "a xylophone please", slots={"thing": "xylophone"}, words=words, intent="buy")
    store.journal.add_turn(call_id, turn)
    decided = TurnRecord(Speaker.CALLER, "xylophones", decision="buy: a xylophone", alternatives=("xylophone",))
    store.journal.add_turn(call_id, decided)
    path = data / "recordings" / f"{call_id}.wav"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(call_id.encode())
    store.journal.note_recording(call_id, f"{call_id}.wav")
    store.journal.end_call(call_id, started + timedelta(minutes=10), outcome, "we_hung_up")


@pytest.fixture
async def store(tmp_path: Path, database_url: str) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, url=database_url, on_failure=print, now=lambda: NOW) as opened:
        yield opened


def _eraser(store: Store, data: Path) -> Eraser:
    return Eraser(DiskObjects(data / "recordings"), data / "tapes", store.recordings)


@pytest.fixture
def disposal(store: Store, tmp_path: Path) -> Disposal:
    return Disposal(store.database, _eraser(store, tmp_path), lambda: NOW)


def _recorded(data: Path) -> list[str]:
    return sorted(path.stem for path in (data / "recordings").glob("*.wav"))


async def _calls(store: Store) -> list[str]:
    return [call["id"] for call in await store.search(CallSearch(), 100)]


async def _is_sound(store: Store) -> bool:
    async with store.database.connect() as connection:
        return (await verify(connection)).sound


async def _holds_anywhere(store: Store, word: str) -> bool:
    """Tell whether any table holds a word, be it in an index."""
    async with store.database.connect() as connection:
        listing = (
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            if store.database.is_postgresql
            else "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
        for table in (await connection.execute(text(listing))).scalars().all():
            for row in await connection.execute(text(f"SELECT * FROM {table}")):
                if word in str(tuple(row)):
                    return True
    return False


async def test_each_kind_goes_at_its_own_age(store: Store, disposal: Disposal, tmp_path: Path) -> None:
    for call_id, days_ago in (("young", 5), ("month", 40), ("season", 100), ("old", 400)):
        _call(store, tmp_path, call_id, days_ago=days_ago)
    await store.journal.flush()
    policy = Retention({DataKind.AUDIO: 30, DataKind.TRANSCRIPT: 90, DataKind.RECORD: 365})
    assert await disposal.count_due(policy) == {DataKind.RECORD: 1, DataKind.AUDIO: 3, DataKind.TRANSCRIPT: 2}
    gone = await disposal.retain(policy)
    assert gone == {DataKind.RECORD: 1, DataKind.AUDIO: 2, DataKind.TRANSCRIPT: 1, DataKind.AUDIT: 0}
    assert _recorded(tmp_path) == ["young"]
    assert await _calls(store) == ["young", "month", "season"]
    season, month = await store.get("season"), await store.get("month")
    assert season
    assert month
    assert season["recording"]["state"] == month["recording"]["state"] == "deleted"
    assert "xylophone" not in json.dumps(season)
    assert [turn["intent"] for turn in season["turns"]] == ["buy", None]
    assert "xylophone" in json.dumps(month)
    assert [call["id"] for call in await store.search(CallSearch(words="xylophone"), 9)] == ["young", "month"]
    assert (await disposal.retain(policy)).total() == 0
    assert await _is_sound(store)


async def test_calls_of_some_outcomes_are_kept_for_longer_or_shorter(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for outcome in (Outcome.COMPLETED, Outcome.FAILED, Outcome.CALLER_HUNG_UP):
        _call(store, tmp_path, outcome.value, days_ago=50, outcome=outcome)
    await store.journal.flush()
    others = {Outcome.FAILED: {DataKind.AUDIO: 90}, Outcome.CALLER_HUNG_UP: {DataKind.RECORD: 7}}
    gone = await disposal.retain(Retention({DataKind.AUDIO: 30}, others))
    assert gone == {DataKind.RECORD: 1, DataKind.AUDIO: 1, DataKind.TRANSCRIPT: 0, DataKind.AUDIT: 0}
    assert _recorded(tmp_path) == ["failed"]
    assert set(await _calls(store)) == {"completed", "failed"}


async def test_without_a_policy_everything_is_kept(store: Store, disposal: Disposal, tmp_path: Path) -> None:
    _call(store, tmp_path, "c1", days_ago=9999)
    await store.journal.flush()
    assert (await disposal.retain(Retention())).total() == 0
    assert await _calls(store) == ["c1"]


async def test_a_live_call_is_never_due_and_never_deleted(store: Store, disposal: Disposal, tmp_path: Path) -> None:
    store.journal.begin_call("live", _Party("+1"), NOW - timedelta(days=9999), "f")
    await store.journal.flush()
    assert (await disposal.retain(Retention(dict.fromkeys(DataKind, 1)))).total() == 0
    with pytest.raises(DisposalRefused, match="Still going on: live"):
        await disposal.delete(call_ids=["live"], **WHY)


async def test_a_legal_hold_keeps_a_call_or_a_caller_until_it_is_released(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("a", "b", "c"):
        _call(store, tmp_path, call_id, days_ago=50)
    await store.journal.flush()
    by_call = await disposal.hold(call_id="a", **WHY)
    by_caller = await disposal.hold(caller="+1555b", **WHY)
    assert [hold.id for hold in await disposal.holds()] == sorted([by_call.id, by_caller.id])
    everything = Retention(dict.fromkeys(DataKind, 1))
    await disposal.retain(everything)
    assert set(await _calls(store)) == {"a", "b"}
    assert _recorded(tmp_path) == ["a", "b"]
    with pytest.raises(DisposalRefused, match=r"Under a legal hold: a\. Nothing was deleted"):
        await disposal.delete(call_ids=["a"], **WHY)
    with pytest.raises(DisposalRefused, match=r"Under a legal hold: b\. Nothing was deleted"):
        await disposal.delete(caller="+1555b", **WHY)
    await disposal.release(by_call.id, **WHY)
    await disposal.release(by_caller.id, **WHY)
    with pytest.raises(DisposalRefused, match="no legal hold"):
        await disposal.release(by_call.id, **WHY)
    await disposal.retain(everything)
    assert await _calls(store) == []
    async with store.database.connect() as connection:
        actions = (await connection.scalars(select(AUDIT.c.action).where(AUDIT.c.actor == "dana"))).all()
    assert actions == ["hold_placed", "hold_placed", "hold_released", "hold_released"]


async def test_a_hold_keeps_what_the_audit_trail_says_of_its_call(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("a", "b"):
        _call(store, tmp_path, call_id, days_ago=1)
    await store.journal.flush()
    await disposal.hold(call_id="a", **WHY)
    later = Disposal(
        store.database,
        _eraser(store, tmp_path),
        lambda: NOW + timedelta(days=10),
    )
    await later.retain(Retention({DataKind.AUDIT: 5}))
    left = select(AUDIT.c.subject).join(AUDIT_CONTENTS, AUDIT_CONTENTS.c.number == AUDIT.c.number)
    async with store.database.connect() as connection:
        subjects = set((await connection.scalars(left)).all())
        report = await verify(connection)
    assert "call:a" in subjects
    assert "call:b" not in subjects
    assert report.sound
    assert report.deleted == 3  # two of call b, and what the hold said


async def _hand_over(store: Store, call_id: str) -> None:
    """Note that the call was handed over, and that the caller waits for a call back."""
    context = {"call_id": call_id, "document": {"said": "a xylophone"}, "stored_at": NOW}
    callback = {
        "id": f"back-{call_id}",
        "call_id": call_id,
        "queue": "sales",
        "number": f"+1555{call_id}",
        "zone": "UTC",
        "consent": True,
        "reason": "no agent",
        "state": "waiting",
        "due_at": NOW,
        "attempts": 0,
        "token": 0,
        "created_at": NOW,
    }
    async with store.database.begin() as connection:
        await connection.execute(insert(CONTEXTS).values(context))
        await connection.execute(insert(CALLBACKS).values(callback))


async def test_the_context_of_a_hand_over_goes_with_the_transcript(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    _call(store, tmp_path, "c1", days_ago=50)
    await store.journal.flush()
    await _hand_over(store, "c1")
    await disposal.retain(Retention({DataKind.TRANSCRIPT: 30}))
    async with store.database.begin() as connection:
        await connection.execute(delete(AUDIT_CONTENTS))  # dated today, whatever the call's age
    assert not await _holds_anywhere(store, "xylophone")
    assert await store.get("c1") is not None


async def test_what_was_made_of_a_call_afterwards_goes_with_the_transcript(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    _call(store, tmp_path, "c1", days_ago=50)
    await store.journal.flush()
    deeds, said = Deeds(store.database, KEYS, now=lambda: NOW), '{"thing": "xylophone"}'
    await SealedFacts(store.database).keep("c1", "a" * 64, b"sealed xylophone")
    await deeds.note_summary("c1", "Wanted a xylophone.")
    await deeds.note("d1", "c1", "shop.order", said, said)
    await deeds.ask("a1", "c1", "shop.order", said, 60)
    await deeds.note_follow_up("c1/send", "c1", "Send the xylophone.", timedelta(hours=1))
    await deeds.note_message("c1/sms", "c1", "sms", "Your xylophone comes.", "SM1")
    await disposal.retain(Retention({DataKind.TRANSCRIPT: 30}))
    async with store.database.begin() as connection:
        await connection.execute(delete(AUDIT_CONTENTS))  # dated today, whatever the call's age
    assert not await _holds_anywhere(store, "xylophone")
    assert await deeds.unworked(NOW - timedelta(days=90), NOW) == []
    assert [(call.call_id, call.summary) for call in await deeds.past(["a" * 64])] == [("c1", "")]


async def test_a_customers_deletion_leaves_nothing_but_a_certificate(
    store: Store, disposal: Disposal, tmp_path: Path, database_url: str
) -> None:
    _call(store, tmp_path, "mine", days_ago=2)
    await store.journal.flush()
    await _hand_over(store, "mine")
    assert await _holds_anywhere(store, "xylophone")  # the search finds what is there
    certificate = await disposal.delete(caller="+1555mine", **WHY)
    assert not await _holds_anywhere(store, "xylophone")
    assert not await _holds_anywhere(store, "+1555mine")
    if database_url.startswith("sqlite"):
        everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"xylophone" not in everything
        assert b"+1555mine" not in everything
    assert _recorded(tmp_path) == []
    assert await store.get("mine") is None
    (told,) = certificate["calls"]
    assert (told["call_id"], told["turns"]) == ("mine", 2)
    assert told["recording_sha256"] == "3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff"
    assert len(told["record_sha256"]) == 64
    assert (certificate["by"], certificate["reason"], certificate["at"]) == ("dana", "request 17", NOW.isoformat())
    assert await disposal.certificate(certificate["id"]) == certificate
    assert await _is_sound(store)


async def test_exports_and_holds_of_a_number_do_not_outlast_its_deletion(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id, caller in (("a1", "+15550100"), ("a2", "+15550100"), ("b1", "+155501001")):
        _call(store, tmp_path, call_id, days_ago=2, caller=caller)
    await store.journal.flush()
    for caller in ("+15550100", "+155501001"):
        store.journal.audit(AuditEntry(NOW, "dana", "calls_exported", "/api", {"query": {"caller": [caller]}}))
        hold = await disposal.hold(caller=caller, by="dana", reason="a case")
        await disposal.release(hold.id, by="dana", reason="over")
    await store.journal.flush()
    await disposal.delete(call_ids=["a1"], **WHY)
    assert await _contents_with(store, '"+15550100"') > 1  # another of its calls is left
    await disposal.delete(caller="+15550100", **WHY)
    assert await _contents_with(store, '"+15550100"') == 0
    assert await _contents_with(store, '"+155501001"') > 1
    assert await _is_sound(store)


async def _contents_with(store: Store, text_: str) -> int:
    async with store.database.connect() as connection:
        return sum(text_ in content for content in await connection.scalars(select(AUDIT_CONTENTS.c.content)))


class _HeldMeanwhile:
    """Erases, and has somebody place a hold on every other call of the customer just before the first file goes."""

    def __init__(self, eraser: Eraser, place: Callable[[str], Awaitable[object]]) -> None:
        self._eraser = eraser
        self._place = place
        self.erased: list[str] = []

    async def erase(self, call_id: str) -> str | None:
        self.erased.append(call_id)
        if len(self.erased) == 1:
            await self._place(call_id)
        return await self._eraser.erase(call_id)


async def test_a_hold_placed_in_mid_deletion_keeps_what_has_not_gone_yet_and_the_certificate_says_so(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("a1", "a2", "a3"):
        _call(store, tmp_path, call_id, days_ago=2, caller="+1555a")
    await store.journal.flush()
    eraser = _HeldMeanwhile(_eraser(store, tmp_path), lambda _: disposal.hold(caller="+1555a", **WHY))
    certificate = await Disposal(store.database, eraser, lambda: NOW).delete(caller="+1555a", **WHY)
    (first,) = eraser.erased
    others = sorted({"a1", "a2", "a3"} - {first})
    assert _recorded(tmp_path) == others
    assert certificate["calls"] == []
    assert sorted((each["call_id"], each["why"]) for each in certificate["kept"]) == sorted(
        [(first, "legal hold, placed after its recording was deleted"), *((other, "legal hold") for other in others)]
    )
    record = await store.get(first)
    assert record
    assert record["turns"][0]["text"] == "a xylophone please"
    assert record["recording"]["state"] == "deleted"
    assert await _is_sound(store)


async def test_a_hold_placed_in_mid_retention_keeps_what_has_not_gone_yet(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("a", "b"):
        _call(store, tmp_path, call_id, days_ago=50)
    await store.journal.flush()
    eraser = _HeldMeanwhile(
        _eraser(store, tmp_path), lambda going: disposal.hold(call_id="b" if going == "a" else "a", **WHY)
    )
    gone = await Disposal(store.database, eraser, lambda: NOW).retain(Retention({DataKind.RECORD: 30}))
    (first,) = eraser.erased
    assert gone[DataKind.RECORD] == 1
    assert _recorded(tmp_path) == await _calls(store) == sorted({"a", "b"} - {first})


async def test_a_hold_waits_for_the_deletion_that_has_begun_with_its_call(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    _call(store, tmp_path, "a", days_ago=2)
    await store.journal.flush()
    placed = [asyncio.create_task(disposal.hold(call_id="a", **WHY)) for _ in range(5)]
    deleted = asyncio.create_task(disposal.delete(call_ids=["a"], **WHY))
    results = await asyncio.gather(deleted, *placed, return_exceptions=True)
    record = await store.get("a")
    if record is None:
        assert not isinstance(results[0], Exception)
        assert all(isinstance(result, DisposalRefused) for result in results[1:])
    else:
        assert any(not isinstance(result, Exception) for result in results[1:])


async def test_a_customers_deletion_keeps_what_is_held_or_goes_on_and_says_why(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("a1", "a2"):
        _call(store, tmp_path, call_id, days_ago=2, caller="+1555a")
    store.journal.begin_call("a3", _Party("+1555a"), NOW, "f")
    await store.journal.flush()
    await disposal.hold(call_id="a2", **WHY)
    certificate = await disposal.delete(caller="+1555a", **WHY)
    assert [told["call_id"] for told in certificate["calls"]] == ["a1"]
    assert [(each.get("call_id"), each["why"]) for each in certificate["kept"]] == [
        ("a3", "the call still goes on; delete again once it is over"),
        ("a2", "legal hold"),
        (None, "digests without contents, so that the audit trail can still be proved"),
    ]
    assert set(await _calls(store)) == {"a2", "a3"}
    assert _recorded(tmp_path) == ["a2"]


async def test_with_a_number_go_the_requests_and_chats_it_could_go_on_with(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("mine", "other"):
        _call(store, tmp_path, call_id, days_ago=2)
    await store.journal.flush()
    kept = ContinuationStore(store.database, now=lambda: NOW)
    for number in ("+1555mine", "+1555other"):
        going_on = Continuation("orders", "order_status", {"order_number": f"9{number}"})
        await kept.keep(number, going_on)
        await kept.keep_chat(f"chat-{number}", KeptChat("sms", number, "+1", 1, going_on))
    certificate = await disposal.delete(caller="+1555mine", **WHY)
    assert certificate["continuations"] == 2
    assert not await _holds_anywhere(store, "+1555mine")
    assert await kept.take("+1555other") is not None
    assert await kept.take_chat("chat-+1555other") is not None


async def test_a_customer_who_proved_who_they_are_is_deleted_from_every_number(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("home", "office", "else"):
        _call(store, tmp_path, call_id, days_ago=2)
    await store.journal.flush()
    deeds = Deeds(store.database, KEYS, now=lambda: NOW)
    for call_id, customer in (("home", "h1"), ("office", "h2"), ("else", "h3")):
        await SealedFacts(store.database).keep(call_id, customer, b"sealed")
        await deeds.note_summary(call_id, "A summary.")
    certificate = await disposal.delete(customer=["h1", "h2"], **WHY)
    assert {told["call_id"] for told in certificate["calls"]} == {"home", "office"}
    assert await deeds.past(["h1", "h2"]) == []
    assert [call.call_id for call in await deeds.past(["h3"])] == ["else"]


@pytest.mark.parametrize("which", [{"call_ids": ["nobody"]}, {"caller": "+19"}, {"call_ids": []}])
async def test_deleting_what_is_not_there_is_refused(disposal: Disposal, which: dict[str, object]) -> None:
    with pytest.raises(DisposalRefused, match=r"There (is|are) no call"):
        await disposal.delete(**which, **WHY)  # type: ignore[arg-type]  # one of two ways to name calls
    with pytest.raises(DisposalRefused, match="There is no deletion"):
        await disposal.certificate("none")
    with pytest.raises(DisposalRefused, match="There is no call nobody"):
        await disposal.hold(call_id="nobody", **WHY)


async def test_what_was_broken_off_after_the_file_went_is_finished_by_the_next_run(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    _call(store, tmp_path, "c1", days_ago=50)
    await store.journal.flush()
    (tmp_path / "recordings" / "c1.wav").unlink()
    await disposal.retain(Retention({DataKind.AUDIO: 30}))
    record = await store.get("c1")
    assert record
    assert record["recording"]["state"] == "deleted"


async def test_a_content_that_somebody_deleted_in_secret_shows(
    store: Store, disposal: Disposal, tmp_path: Path
) -> None:
    for call_id in ("a", "b"):
        _call(store, tmp_path, call_id, days_ago=2)
    await store.journal.flush()
    await disposal.delete(call_ids=["a"], **WHY)
    async with store.database.begin() as connection:
        await connection.execute(delete(AUDIT_CONTENTS).where(AUDIT_CONTENTS.c.number == 4))
    async with store.database.connect() as connection:
        report = await verify(connection)
    assert report.deleted == 3
    assert [(problem.number, problem.what) for problem in report.problems] == [
        (4, "content deleted, and no entry says so")
    ]


async def test_one_server_of_several_leaves_the_others_records_alone(
    tmp_path: Path, database_url: str, store: Store, disposal: Disposal
) -> None:
    _call(store, tmp_path, "c1", days_ago=50)
    await store.journal.flush()
    assert (await disposal.retain(Retention({DataKind.RECORD: 1}), instance="other")).total() == 0
    assert (await disposal.retain(Retention({DataKind.RECORD: 1}), instance="main")).total() == 1
