"""What stands beside the calls while the server runs: it hides no fault, and its own ends nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from voicebot.app.editions import Editions
from voicebot.app.work import working
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.store import Store
from voicebot.records.vault.keys import RecordingKeys
from voicebot.settings import load_settings
from voicebot.work.planned import PlannedFor

pytestmark = pytest.mark.xdist_group("durable")


async def test_what_is_wrong_with_the_settings_comes_out_as_it_is(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    wrong = ConfigurationError([Problem("settings", None, "`port`: is taken.", "Choose another --port.")])
    # Flows are asked for only when a call is over or all is paused.
    no_flows = cast("Editions", object())
    nothing_planned = cast("PlannedFor", object())
    keys = RecordingKeys.kept_in(tmp_path, "")
    async with Store.open(tmp_path, on_failure=lambda _: None) as store:
        with pytest.raises(ConfigurationError, match="is taken"):
            async with working(settings, store, keys, no_flows, nothing_planned, None, now=lambda: datetime.now(UTC)):
                raise wrong
