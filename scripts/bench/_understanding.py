"""What every part of the benchmark of understanding works with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from _report import Report

from voicebot.language.encoder import SentenceEncoder, Vectors

ROOT = Path(__file__).parents[2]


class RememberingEncoder(SentenceEncoder):
    """Encodes each sentence once: the same test rows are read by classifiers of many draws."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._made_from = folder
        self._known: dict[str, Vectors] = {}

    def views(self, sentence: str) -> Vectors:
        if sentence not in self._known:
            self._known[sentence] = super().views(sentence)
        return self._known[sentence]

    def forgetful(self) -> SentenceEncoder:
        """Return an encoder as calls use it."""
        return SentenceEncoder(self._made_from)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every part works with: where the rows go, the material, the encoder if there is one, a Whisper model."""

    report: Report
    data: Path
    encoder: RememberingEncoder | None
    whisper: Path

    def engines(self) -> Iterator[tuple[str, RememberingEncoder | None]]:
        yield "words only", None
        if self.encoder:
            yield "with encoder", self.encoder


def calibration_error(outcomes: Sequence[tuple[float, bool]]) -> float:
    """Return the expected calibration error over ten equal bins (Guo et al. 2017), 0 to 1."""
    error = 0.0
    for tenth in range(10):
        inside = [each for each in outcomes if min(int(each[0] * 10), 9) == tenth]
        error += abs(sum(said for said, _ in inside) - sum(right for _, right in inside)) / len(outcomes)
    return error
