"""Counts and times for Prometheus. Labels come from closed sets, so that no caller can make new time series."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from voicebot.records.journal import JournalFailure
from voicebot.records.record import Outcome
from voicebot.records.timings import Stage

_REPLY_BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_LOSS_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_NETWORK_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4, 0.8)
_DURATION_BUCKETS_S = (5, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)


class Metrics:
    """Everything this server measures of itself, in one `registry`. Safe to call from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._calls = Counter("voicebot_calls", "Calls ended, by outcome.", ["outcome"], registry=registry)
        self._audit_head = Gauge(
            "voicebot_audit_head_number", "Number of the newest entry of the audit trail.", registry=registry
        )
        self._live = Gauge("voicebot_live_calls", "Calls going on.", registry=registry)
        self._duration = Histogram(
            "voicebot_call_duration_seconds", "How long calls took.", buckets=_DURATION_BUCKETS_S, registry=registry
        )
        self._stage = Histogram(
            "voicebot_reply_stage_seconds",
            "From the caller's last speech to each stage of the reply.",
            ["stage"],
            buckets=_REPLY_BUCKETS_S,
            registry=registry,
        )
        self._protocol = Counter(
            "voicebot_protocol_errors", "What peers did against their protocol.", ["channel", "kind"], registry=registry
        )
        self._refused = Counter(
            "voicebot_calls_refused", "Calls not taken on, by reason.", ["reason"], registry=registry
        )
        self._late = Counter("voicebot_late_frames", "Frames sent over 10 ms after their time.", registry=registry)
        self._barge_ins = Counter("voicebot_barge_ins", "Prompts stopped by the caller.", registry=registry)
        self._restarts = Counter(
            "voicebot_worker_restarts",
            "Speech workers that died and were started again.",
            ["worker"],
            registry=registry,
        )
        self._left = Counter(
            "voicebot_workers_left",
            "Speech workers that were left for others because they answered too late again and again.",
            ["worker"],
            registry=registry,
        )
        self._failures = Counter(
            "voicebot_failures", "What failed inside without ending a call.", ["part", "kind"], registry=registry
        )
        self._media_loss = Histogram(
            "voicebot_media_loss_ratio",
            "Share of RTP packets lost, every five seconds of a call.",
            ["direction"],
            buckets=_LOSS_BUCKETS,
            registry=registry,
        )
        self._media_jitter = Histogram(
            "voicebot_media_jitter_seconds",
            "Jitter of RTP packets, every five seconds of a call.",
            ["direction"],
            buckets=_NETWORK_BUCKETS_S,
            registry=registry,
        )
        self._media_round_trip = Histogram(
            "voicebot_media_round_trip_seconds",
            "Round trips that RTCP tells, every five seconds of a call.",
            buckets=_NETWORK_BUCKETS_S,
            registry=registry,
        )
        # Series that exist from the start can be watched for a rise from zero.
        for outcome in Outcome:
            self._calls.labels(outcome.value)
        for stage in Stage:
            self._stage.labels(stage.value)
        for failure in JournalFailure:
            self._failures.labels("store", failure.value)

    def call_began(self) -> None:
        self._live.inc()

    def call_ended(self, outcome: Outcome, duration_s: float) -> None:
        self._live.dec()
        self._calls.labels(outcome.value).inc()
        self._duration.observe(duration_s)

    def call_refused(self, reason: str) -> None:
        """Count a call not taken on; `reason` is a constant."""
        self._refused.labels(reason).inc()

    def turn_timed(self, timings_ms: Mapping[str, float]) -> None:
        """Observe a turn's stages; names that are no `Stage` are details of the record and not measured here."""
        for stage in Stage:
            if stage.value in timings_ms:
                self._stage.labels(stage.value).observe(timings_ms[stage.value] / 1000)

    def protocol_error(self, channel: str, kind: str) -> None:
        """Count a peer's mistake; both are constants of this code, never text from the peer."""
        self._protocol.labels(channel, kind).inc()

    def media_measured(self, direction: str, loss: float | None, jitter_ms: float | None) -> None:
        """Observe one direction ("in", "out") of a call's RTP; None is not known."""
        if loss is not None:
            self._media_loss.labels(direction).observe(loss)
        if jitter_ms is not None:
            self._media_jitter.labels(direction).observe(jitter_ms / 1000)

    def media_round_trip(self, round_trip_ms: float) -> None:
        self._media_round_trip.observe(round_trip_ms / 1000)

    def frames_late(self, count: int = 1) -> None:
        self._late.inc(count)

    def barge_in(self) -> None:
        self._barge_ins.inc()

    def worker_restarted(self, worker: str) -> None:
        self._restarts.labels(worker).inc()

    def worker_left(self, worker: str) -> None:
        self._left.labels(worker).inc()

    def audit_head(self, number: int) -> None:
        self._audit_head.set(number)

    def failed(self, part: str, kind: str) -> None:
        """Count what failed inside ("store", "recorder") without ending a call; both are constants."""
        self._failures.labels(part, str(kind)).inc()

    def text(self) -> str:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry).decode()
