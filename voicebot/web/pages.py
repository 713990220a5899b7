"""What every page for people shares: the templates, who is signed in, where they may go, and the CSRF token."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import jinja2
from aiohttp import web

from voicebot.records.access.roles import Right
from voicebot.web import record_view
from voicebot.web.access.principal import PRINCIPAL


@dataclass(frozen=True, slots=True)
class Place:
    """A link in the bar at the top, shown to those who have the right to go there."""

    path: str
    label: str
    right: Right


PLACES = (
    Place("/desk", "Desk", Right.TAKE_CALLS),
    Place("/floor", "Floor", Right.WATCH_QUEUES),
    Place("/calls", "Calls", Right.READ_CALLS),
    Place("/approvals", "Approvals", Right.DECIDE_APPROVALS),
    Place("/actions", "Actions", Right.UNDO_ACTIONS),
)
_OF_DESKS = frozenset({"/desk", "/floor"})


class Pages:
    """Renders the templates beside this file. All of them extend ``base.html``, and every value in them is escaped.

    A template has `user` (a `Principal`, None where nobody is signed in), `csrf` (for forms:
    ``<input type="hidden" name="csrf" value="{{ csrf }}">``), `here` (the path) and `places`; `Right` is for
    ``user.may(Right.LISTEN)``.
    """

    def __init__(self, *, has_desks: bool = False) -> None:
        """`has_desks` tells whether anybody takes calls here, so that the bar leads to their pages."""
        self._places = [place for place in PLACES if has_desks or place.path not in _OF_DESKS]
        templates = resources.files("voicebot.web") / "templates"
        self._environment = jinja2.Environment(
            loader=jinja2.FunctionLoader(lambda name: (templates / name).read_text("utf-8")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "clock_time": record_view.clock_time,
            "durations": record_view.durations,
            "moment": record_view.moment,
            "percent": record_view.percent,
            "stages": record_view.stages,
            "steps": record_view.steps,
            "words": record_view.words,
        }
        self._environment.globals |= {
            "duration": record_view.duration,
            "bar_width": record_view.BAR_WIDTH,
            "Right": Right,
        }

    def html(self, request: web.Request, name: str, *, status: int = 200, **values: object) -> web.Response:
        """Return the page that the template `name` makes of `values` for whoever makes the request."""
        user = request.get(PRINCIPAL)
        shared = {
            "user": user,
            "csrf": user.csrf if user else None,
            "here": request.path,
            "places": [place for place in self._places if user and user.may(place.right)],
        }
        text = self._environment.get_template(name).render(shared | values)
        return web.Response(status=status, text=text, content_type="text/html", headers={"Cache-Control": "no-store"})
