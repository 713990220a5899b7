"""Puts together what hands callers over to people: queues, agents' lines, and whom a packet is sent to."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import aiohttp
import phonenumbers
import structlog
from phonenumbers import timezone

from voicebot.app.backends import held_model
from voicebot.app.editions import Editions
from voicebot.app.sessions import SessionFactory
from voicebot.app.standing import beside
from voicebot.app.twilio import TwilioServing, say_what_is_unusable
from voicebot.calls.transfer.briefing import Briefing
from voicebot.calls.transfer.by_sip import BySip
from voicebot.calls.transfer.calling_back import CallbackMaker
from voicebot.calls.transfer.carriers import Dialer, Following
from voicebot.calls.transfer.connectors import load_connector
from voicebot.calls.transfer.delivery import Deliveries
from voicebot.calls.transfer.desk import TransferDesk
from voicebot.calls.transfer.desks import Desks
from voicebot.calls.transfer.elsewhere import Ways
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.calls.transfer.lines import AgentLines
from voicebot.calls.transfer.other_servers import OtherServers, finding_desks, line_notice, talk_notice
from voicebot.calls.transfer.party import AgentParty
from voicebot.calls.transfer.posting import HttpReceiver, MakePost, mapped, webhook
from voicebot.calls.transfer.seams import TalkLine, TalkNews
from voicebot.calls.transfer.worded import WordedSummaries
from voicebot.dialog.flow import Bot
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.access.sight import SharedWith
from voicebot.records.board import QueueBoard
from voicebot.records.call_notes import CallNotes
from voicebot.records.callbacks import CallbackBook
from voicebot.records.context import ContextPacket
from voicebot.records.contexts import Contexts
from voicebot.records.post import Post
from voicebot.records.servers import Servers
from voicebot.records.store import Store
from voicebot.routing.events import Claim
from voicebot.routing.queues import Routing
from voicebot.settings import Settings
from voicebot.telephony.leg import SAMPLE_RATE_HZ, CallLeg
from voicebot.wav import WavError, read_mulaw_wav
from voicebot.web.desk.conversation import DeskParts
from voicebot.web.desk.neighbours import NoNeighbours, Wishes
from voicebot.web.tickets import Tickets

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HandoverParts:
    """What the doors and the sessions need of it."""

    desk: TransferDesk
    desk_parts: DeskParts


@asynccontextmanager
async def handing_over(  # noqa: PLR0917  # everything it may need, from one place
    settings: Settings,
    routing: Routing,
    store: Store,
    editions: Editions,
    sessions: SessionFactory,
    dialers: Sequence[Dialer],
    now: Callable[[], datetime],
    twilio: TwilioServing,
) -> AsyncIterator[HandoverParts]:
    """Run the contact centre while the block lasts. `dialers` holds what dials agents, once that is there."""
    board = QueueBoard(store.database, instance=settings.instance, now=now)
    callbacks = CallbackBook(store.database, instance=settings.instance, now=now)
    contexts = Contexts(store.database, now=now)
    servers = Servers(store.database, instance=settings.instance, url=settings.advertised_url, now=now)
    desks = Desks(
        share=lambda call_id, agent: store.journal.share_call(call_id, SharedWith.USER, agent),
        is_open_elsewhere=finding_desks(servers),
    )
    post = Post(store.database, instance=settings.instance, new_id=partial(secrets.token_hex, 8))

    def changed() -> None:
        desks.board_changed()
        post.tell_changed()

    receivers, tickets = packet_receivers(settings), desk_tickets(settings)
    music = await asyncio.to_thread(hold_music, settings.hold_music)
    # After what may find the settings wrong, since it must be closed.
    http = aiohttp.ClientSession()
    model = held_model(settings)
    deliveries = Deliveries(
        contexts,
        receivers=[
            HttpReceiver(name, http, make_post, contexts, clock=time.monotonic, now=now)
            for name, make_post in receivers
        ],
        clock=time.monotonic,
        summaries=WordedSummaries(model) if model else None,
    )

    def find_routing() -> Routing:
        """Return the queues of the current version; those before it as long as it has none."""
        return editions.current.routing or routing

    centre = ContactCentre(
        find_routing,
        board,
        callbacks,
        hours=lambda: {name: one.placed(settings.zone) for name, one in editions.current.bot.hours.items()},
        deliver=deliveries.deliver,
        zone_of=lambda number: zone_of(number, settings.sip.dial_region, ZoneInfo(settings.zone)),
        now=now,
        changed=changed,
    )

    def takes_number(number: str) -> bool:
        has_carrier = twilio.number_dialer is not None or bool(settings.sip.outbound_proxy)
        return has_carrier and bool(dialers) and twilio.allowed(number)

    lines = AgentLines(
        find_dialer=lambda: dialers[0] if dialers else None,
        desks=desks,
        reference=context_reference,
        takes_number=takes_number,
    )

    def make_party(leg: CallLeg) -> AgentParty:
        return AgentParty(
            leg,
            lambda leg: Briefing(
                leg,
                make_line=sessions.line_to,
                understanding=editions.current.understanding,
                clock=time.monotonic,
                now=now,
            ),
            render=lambda text: editions.current.speech.phrases.render(text, cache=True),
            clock=time.monotonic,
        )

    say_what_is_unusable(twilio, routing)
    question = routing.wording.text("agent_question")
    by_sip = BySip(
        find_dialer=lambda: dialers[0] if dialers else None,
        make_party=make_party,
        question=question,
        reference=context_reference,
    )

    def show_talk(claim: Claim, news: TalkNews | None) -> None:
        desks.talk_changed(claim, news)
        post.tell(talk_notice(claim, news))

    def show_line(claim: Claim, line: TalkLine) -> None:
        desks.talk_written(claim, line)
        post.tell(line_notice(claim, line))

    desk = TransferDesk(
        centre,
        lines,
        make_party=make_party,
        music=music,
        clock=time.monotonic,
        now=now,
        elsewhere=Ways([*twilio.ways(make_party, question), by_sip]),
        onward=lines,
        show=show_talk,
        said=show_line,
    )
    maker = CallbackMaker(
        callbacks,
        contexts,
        find_routing,
        find_dialer=lambda: Following(dialers[0], twilio.journeys) if dialers else None,
        is_open=centre.is_open,
        can_serve=lambda queue: centre.can_serve(queue, ()),
        talk=lambda leg, row, packet, following: sessions.call_back(
            leg, row, packet, following, company_says=find_routing().wording
        ),
        now=now,
    )

    def heard() -> None:
        desks.board_changed()
        centre.poke()

    def steps() -> Mapping[str, str]:
        return steps_of(editions.current.bot)

    others = OtherServers(
        servers,
        post,
        desks=desks,
        board=board,
        contexts=contexts,
        find_routing=find_routing,
        heard=heard,
        answer=Wishes(desks, desk, steps).answer,
        now=now,
    )
    has_others = store.database.is_postgresql
    desk_parts = DeskParts(
        centre,
        desks,
        desk,
        callbacks,
        CallNotes(store.database, now=now),
        server=settings.instance,
        tickets=tickets,
        neighbours=others if has_others else NoNeighbours(),
        steps=steps,
    )
    try:
        async with (
            deliveries.running(),
            centre.running(),
            others.running() if has_others else nullcontext(),
            beside("call back", maker.run()),
        ):
            yield HandoverParts(desk, desk_parts)
    finally:
        await lines.close()
        await http.close()
        if model:
            await model.close()


def desk_tickets(settings: Settings) -> Tickets:
    """Return the tickets for desks' audio, which servers of one database take alike where they have one secret."""
    if settings.installation_secret is not None:
        secret = settings.installation_secret.get_secret_value().encode()
        key = hmac.digest(secret, b"desk-audio", "sha256")
    elif settings.advertised_url is None:
        key = secrets.token_bytes(32)
    else:
        fix = "Set VOICEBOT_INSTALLATION_SECRET in the environment, the same on every server of this database."
        what = "`advertised_url` needs a secret by which servers know each other's desks."
        raise ConfigurationError([Problem("settings", None, what, fix)])
    return Tickets(key, clock=time.time, new_id=partial(secrets.token_hex, 12))


def packet_receivers(settings: Settings) -> list[tuple[str, MakePost]]:
    """Return whom packets are posted to; ConfigurationError when that cannot be done as it is written."""
    found: list[tuple[str, MakePost]] = []
    if settings.webhook_url is not None:
        if settings.webhook_secret is None:
            fix = "Set VOICEBOT_WEBHOOK_SECRET in the environment, and give it to the receiver."
            raise ConfigurationError([Problem("settings", None, "`webhook_url` needs a secret to sign with.", fix)])
        secret = settings.webhook_secret.get_secret_value().encode()
        found.append(("webhook", webhook(settings.webhook_url, secret)))
    for name in settings.connectors:
        mapping, needed = load_connector(name, os.environ)
        found.append((mapping.name, mapped(mapping, needed)))
    return found


def steps_of(bot: Bot) -> dict[str, str]:
    """Return the flows that the bot can run for an agent, by title: whatever callers can ask for and come back from."""
    return {name: flow.title for name, flow in bot.flows.items() if flow.title and not flow.replaces}


def zone_of(number: str, region: str, default: ZoneInfo) -> ZoneInfo:
    """Return the time zone where a telephone number lives; the first of several, `default` where nobody can tell."""
    try:
        zones = timezone.time_zones_for_number(phonenumbers.parse(number, region))
        return ZoneInfo(zones[0]) if zones and zones[0] != timezone.UNKNOWN_TIMEZONE else default
    except (phonenumbers.NumberParseException, ZoneInfoNotFoundError, ValueError):
        return default


def context_reference(packet: ContextPacket) -> tuple[tuple[str, str], ...]:
    """Return the SIP headers by which an agent's telephone finds the packet (RFC 7433); it says nothing itself."""
    named = f"voicebot-context:{packet.id}".encode().hex()
    return ("User-to-User", f"{named};encoding=hex"), ("X-Voicebot-Context", packet.id)


def hold_music(path: Path) -> bytes:
    """Return what callers who wait hear, as mu-law; ConfigurationError when it cannot be played. It blocks."""
    try:
        music, problem = read_mulaw_wav(path), ""
    except WavError as error:
        music, problem = b"", str(error)
    if len(music) < SAMPLE_RATE_HZ:
        what = f"`hold_music`: cannot be played: {problem or f'{path}: there is less than a second in it'}."
        raise ConfigurationError([Problem("settings", None, what, "Name a WAV file of 8 kHz mu-law, mono.")])
    return music
