"""What Prometheus gets to see."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from voicebot.records.journal import JournalFailure
from voicebot.records.metrics import Metrics
from voicebot.records.record import Outcome
from voicebot.records.timings import Stage


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.text()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_calls_are_counted_by_outcome_and_the_live_ones_beside(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.call_began()
    metrics.call_ended(Outcome.COMPLETED, 42.0)
    metrics.call_ended(Outcome.FAILED, 1.0)
    assert _value(metrics, "voicebot_calls_total", outcome="completed") == 1
    assert _value(metrics, "voicebot_calls_total", outcome="failed") == 1
    assert _value(metrics, "voicebot_live_calls") == 1
    assert _value(metrics, "voicebot_call_duration_seconds_sum") == 43


def test_series_exist_before_anything_happens(metrics: Metrics) -> None:
    for outcome in Outcome:
        assert _value(metrics, "voicebot_calls_total", outcome=outcome.value) == 0
    for stage in Stage:
        assert _value(metrics, "voicebot_reply_stage_seconds_count", stage=stage.value) == 0


def test_a_turns_stages_are_observed_in_seconds_and_details_are_not(metrics: Metrics) -> None:
    metrics.turn_timed({"end_of_turn": 300.0, "first_audio_sent": 450.0, "decode": 12.0})
    assert _value(metrics, "voicebot_reply_stage_seconds_sum", stage="end_of_turn") == 0.3
    assert _value(metrics, "voicebot_reply_stage_seconds_bucket", stage="first_audio_sent", le="0.5") == 1
    assert _value(metrics, "voicebot_reply_stage_seconds_bucket", stage="first_audio_sent", le="0.4") == 0
    assert "decode" not in metrics.text()


def test_everything_that_goes_wrong_has_a_count(metrics: Metrics) -> None:
    metrics.protocol_error("twilio", "bad_base64")
    metrics.call_refused("cpu")
    metrics.frames_late(7)
    metrics.barge_in()
    metrics.worker_restarted("recognition")
    metrics.worker_left("asr")
    metrics.failed("recorder", "write")
    metrics.failed("store", JournalFailure.DROPPED)
    assert _value(metrics, "voicebot_protocol_errors_total", channel="twilio", kind="bad_base64") == 1
    assert _value(metrics, "voicebot_calls_refused_total", reason="cpu") == 1
    assert _value(metrics, "voicebot_late_frames_total") == 7
    assert _value(metrics, "voicebot_barge_ins_total") == 1
    assert _value(metrics, "voicebot_worker_restarts_total", worker="recognition") == 1
    assert _value(metrics, "voicebot_workers_left_total", worker="asr") == 1
    assert _value(metrics, "voicebot_failures_total", part="recorder", kind="write") == 1
    assert _value(metrics, "voicebot_failures_total", part="store", kind="dropped") == 1


def test_two_servers_in_one_process_do_not_share_their_counts(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry())
    other.barge_in()
    assert _value(metrics, "voicebot_barge_ins_total") == 0
