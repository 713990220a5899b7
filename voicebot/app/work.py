"""Opens what follows calls and stands between them and writes: durable work, approvals, pauses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import structlog

from voicebot.app.editions import Edition, Editions
from voicebot.calls.transfer.posting import SIGNATURE_HEADER, signature
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation
from voicebot.records.actions import ActionBook
from voicebot.records.deeds import ALL, Approval, Deeds
from voicebot.records.facts import SealedFacts
from voicebot.records.store import Store
from voicebot.records.tasks import Tasks
from voicebot.records.vault.keys import RecordingKeys
from voicebot.settings import Settings
from voicebot.telephony.twilio.rest import TwilioRest
from voicebot.work.actions import Actions
from voicebot.work.after_call import AFTER_CALL, AfterCall
from voicebot.work.customers import Customers
from voicebot.work.durable import DurableWork, Errand, durable_work
from voicebot.work.memory import MemorySystem
from voicebot.work.messages import MailSender, MailServer, MailTls, Sender, SmsSender
from voicebot.work.plan import Channel, Plan
from voicebot.work.planned import PlannedFor
from voicebot.work.supervision import Notify, Supervision
from voicebot.work.undoing import UNDO, Undoing

log = structlog.get_logger(__name__)

#: A supervisor's pause is heeded by calls that begin so much later.
_LOOK_EVERY_S = 2.0
#: Calls whose work was not begun, as their server died, are looked for so often, and so far back.
_SWEEP_EVERY_S = 60.0
_SWEEP_BACK = timedelta(days=7)
#: Whoever carried a call has begun its work within this time, or died.
_SWEEP_AFTER = timedelta(minutes=2)
_LAST_CALLS_S = 5.0
_WEBHOOK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Work:
    """What calls and pages need of it."""

    supervision: Supervision
    durable: DurableWork
    actions: Actions
    #: Begins the work after a call or chat, by its id, what the flows remember of it, and the edition that led it.
    after: Callable[[str, Mapping[str, SlotValue], Edition], None]
    #: The intents that are paused now.
    paused: Callable[[], frozenset[str]]


def remembering(store: Store, keys: RecordingKeys, *, now: Callable[[], datetime]) -> MemorySystem:
    """Return what flows ask about a customer's earlier calls."""
    deeds = Deeds(store.database, keys, now=now)
    return MemorySystem(deeds, Customers(SealedFacts(store.database), keys), now=now)


@asynccontextmanager
async def working(  # noqa: PLR0917  # everything it may need, from one place
    settings: Settings,
    store: Store,
    keys: RecordingKeys,
    editions: Editions,
    planned: PlannedFor,
    twilio: TwilioRest | None,
    *,
    now: Callable[[], datetime],
) -> AsyncIterator[Work]:
    """Take up what was under way, and yield what new calls need. `planned` gives what a version of the flows had.

    `twilio` sends text messages, where there is an account.
    """
    deeds, book = Deeds(store.database, keys, now=now), ActionBook(store.database, now=now)
    customers = Customers(SealedFacts(store.database), keys)
    after_call = AfterCall(
        calls=store,
        deeds=deeds,
        tasks=Tasks(store.database, now=now),
        customers=customers,
        planned=planned,
        senders=_senders(settings, twilio),
    )
    jobs = {**after_call.jobs(), **Undoing(deeds, planned).jobs()}
    async with durable_work(store.database.url, instance=settings.instance, jobs=jobs) as durable:
        paused: set[str] = set()
        beginning: set[asyncio.Task[None]] = set()

        async def begin(
            call_id: str, slots: Mapping[str, SlotValue], plan: Plan, held: AbstractAsyncContextManager[None]
        ) -> None:
            # What the work needs of a version that is no longer current need not be opened anew.
            async with held:
                # A call that just ended may still be on its way to the database.
                await store.journal.flush()
                await customers.keep(call_id, plan, slots)
                await durable.begin(Errand(AFTER_CALL, call_id))
                await durable.settled(Errand(AFTER_CALL, call_id))

        def after(call_id: str, slots: Mapping[str, SlotValue], edition: Edition) -> None:
            # Held already now: the task begins after the last call of a retired version has let go of it.
            doing = begin(call_id, slots, edition.after_call, editions.held(edition))
            task = asyncio.create_task(_in_peace(doing, "work after a call not begun"))
            beginning.add(task)
            task.add_done_callback(beginning.discard)

        async def sweep() -> None:
            for call_id in await deeds.unworked(now() - _SWEEP_BACK, now() - _SWEEP_AFTER):
                await durable.begin(Errand(AFTER_CALL, call_id))

        async def contracts_of(version: str) -> Mapping[str, Operation]:
            async with planned(version) as found:
                return found.contracts

        async def undo_what_is_asked_for() -> None:
            # By `voicebot actions`, or by a server that died before it could begin.
            for deed_id in await book.undoing():
                await durable.take_up(Errand(UNDO, deed_id))

        async def look() -> None:
            found = {pause.subject for pause in await deeds.pauses()}
            if ALL in found:
                found |= {name for name, intent in editions.current.bot.intents_by_name.items() if intent.flow}
            paused.clear()
            paused.update(found - {ALL})

        await look()
        # In no task group, which would wrap a fault of whatever runs inside this block: a port that is taken, say.
        repeating = [
            asyncio.create_task(_every(_LOOK_EVERY_S, look)),
            asyncio.create_task(_every(_LOOK_EVERY_S, undo_what_is_asked_for)),
            asyncio.create_task(_every(_SWEEP_EVERY_S, sweep)),
        ]
        supervision = Supervision(deeds, _webhook(settings), limit_s=settings.approval_limit_s)
        try:
            actions = Actions(book, supervision, contracts_of, durable)
            yield Work(supervision, durable, actions, after, lambda: frozenset(paused))
        finally:
            # A database that is away holds up the end no longer than this; the next run's sweep finds those calls.
            if beginning:
                await asyncio.wait(beginning, timeout=_LAST_CALLS_S)
            stopping = [*repeating, *beginning]
            for task in stopping:
                task.cancel()
            await asyncio.gather(*stopping, return_exceptions=True)


async def _every(seconds: float, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await _in_peace(do(), "look at the database failed")
        await asyncio.sleep(seconds)


async def _in_peace(doing: Coroutine[Any, Any, None], event: str) -> None:
    """Await something whose failure must not end the server; it is made up for by the next sweep."""
    try:
        await doing
    except Exception as error:  # noqa: BLE001  # whatever it is, calls go on
        log.warning(event, error=type(error).__name__)


def _senders(settings: Settings, twilio: TwilioRest | None) -> Mapping[Channel, Sender]:
    senders: dict[Channel, Sender] = {}
    if twilio is not None and settings.sms_from:
        senders[Channel.SMS] = SmsSender(twilio, settings.sms_from)
    mail = settings.mail
    if mail.host:
        password = settings.mail_password
        server = MailServer(
            mail.host,
            mail.port,
            mail.sender,
            mail.user,
            password.get_secret_value() if password else "",
            MailTls(mail.tls),
        )
        senders[Channel.EMAIL] = MailSender(server)
    log.info("messages after calls", by=sorted(senders) or "nothing")
    return senders


def _webhook(settings: Settings) -> Notify:
    """Return what announces an approval: a POST signed as docs/api.md says, or nothing where none is set."""
    url, secret = settings.approval_webhook, settings.webhook_secret

    async def announce(approval: Approval) -> None:
        if url is None or secret is None:
            return
        # Ids alone leave the house; what it is about is seen by whoever may.
        body = json.dumps(
            {
                "event": "approval_asked",
                "approval": approval.id,
                "call": approval.call_id,
                "operation": approval.operation,
                "expires_at": approval.expires_at.isoformat(),
            }
        ).encode()
        signed = signature(secret.get_secret_value().encode(), body)
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signed}
        timeout = aiohttp.ClientTimeout(total=_WEBHOOK_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            # Elsewhere is not where the settings said it goes.
            client.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            if not 200 <= answer.status < 300:
                log.warning("approval webhook refused", status=answer.status)

    return announce
