"""What is measured before a call is taken."""

from __future__ import annotations

from voicebot.calls.admission import EngineMeter, Limits, Load, RefusalReason, refuse

LIMITS = Limits(max_calls=10, max_calls_per_caller=2, max_cpu_percent=80, max_engine_load=0.95)


def refused(engines: EngineMeter) -> RefusalReason | None:
    return refuse(Load(5, 0, 10.0, engines.share, draining=False), LIMITS)


def test_an_engine_that_is_full_for_a_moment_refuses_nobody() -> None:
    load = 0.2
    engines = EngineMeter(lambda: load)
    engines.sample()
    load = 1.0
    assert refused(engines) is None


def test_an_engine_that_stays_full_refuses_calls_until_it_has_room() -> None:
    load = 1.0
    engines = EngineMeter(lambda: load)
    engines.sample()
    assert refused(engines) is RefusalReason.ENGINES_BUSY
    load = 0.5
    assert refused(engines) is None
