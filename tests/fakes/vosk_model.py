"""A Vosk model of a few kilobytes, written as Kaldi reads it, that knows three words: tones of three heights.

Everything around the weights is real: file formats, features, network, decoding graph, lattice, times and
confidences. Nothing is trained. The cepstrum of as many coefficients as there are bands loses nothing, so that one
matrix, the inverse of the cosine transform, gives the network the loudness of each band again; each word watches the
band of its tone, and silence is what is louder in none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

#: Words and their tones, in Hz; each the middle of a band of its own.
TONES_HZ: Mapping[str, float] = {"low": 500.0, "middle": 1_200.0, "high": 2_400.0}

_BANDS = 12
_LOW_HZ, _HIGH_HZ = 100.0, 3_800.0
#: A band counts as sounding from here on, as a logarithm of its energy; speech at a usual level has 15 to 22.
_AUDIBLE = 12.0
#: How many times likelier a word is with each unit of that logarithm.
_SURENESS = 0.5
#: What beginning a word costs, so that no frame at the edge of a tone becomes one.
_WORD_COST = 4.0
_SILENCE_PHONE = 1
_FST_MAGIC = 2_125_659_606


@dataclass(frozen=True, slots=True)
class _Arc:
    input_label: int
    output_label: int
    cost: float
    to: int


def write_vosk_model(directory: Path, *, sample_rate_hz: int = 8_000) -> Path:
    """Write a model into `directory`, with features of `sample_rate_hz` as its configuration says."""
    for folder in ("am", "conf", "graph/phones"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    phones = range(_SILENCE_PHONE, _SILENCE_PHONE + 1 + len(TONES_HZ))
    (directory / "am/final.mdl").write_text(_transitions(phones) + _network())
    (directory / "conf/mfcc.conf").write_text(
        f"--sample-frequency={sample_rate_hz}\n--use-energy=false\n--dither=0\n--cepstral-lifter=0\n"
        f"--num-mel-bins={_BANDS}\n--num-ceps={_BANDS}\n--low-freq={_LOW_HZ:g}\n--high-freq={_HIGH_HZ:g}\n"
    )
    (directory / "conf/model.conf").write_text(
        "--min-active=200\n--max-active=3000\n--beam=13.0\n--lattice-beam=6.0\n--acoustic-scale=1.0\n"
        f"--frame-subsampling-factor=3\n--endpoint.silence-phones={_SILENCE_PHONE}\n"
        "--endpoint.rule2.min-trailing-silence=0.5\n--endpoint.rule3.min-trailing-silence=1.0\n"
        "--endpoint.rule4.min-trailing-silence=2.0\n"
    )
    words = ["<eps>", *TONES_HZ, "#0"]
    (directory / "graph/words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(words)))
    (directory / "graph/phones/word_boundary.int").write_text(
        "".join(f"{phone} {'nonword' if phone == _SILENCE_PHONE else 'singleton'}\n" for phone in phones)
    )
    (directory / "graph/HCLG.fst").write_bytes(_graph(len(TONES_HZ)))
    return directory


def tones(*said: tuple[str, float]) -> bytes:
    """Return 8 kHz PCM of words for as many seconds each, over a little noise; the empty word is a pause."""
    chance = np.random.default_rng(1)
    sounds = []
    for word, seconds in said:
        time_s = np.arange(int(seconds * 8000)) / 8000
        loudness = 3000 if word else 0
        sounds.append(loudness * np.sin(2 * np.pi * TONES_HZ.get(word, 0.0) * time_s))
    sound = np.concatenate(sounds)
    return (sound + chance.normal(0, 5, len(sound))).astype(np.int16).tobytes()


def _transitions(phones: Iterable[int]) -> str:
    """Return the HMMs: each phone one state that stays or leaves, with a distribution of its own."""
    numbers = list(phones)
    triples = "".join(f"{phone} 0 {pdf}\n" for pdf, phone in enumerate(numbers))
    half = " ".join(["0", *[f"{np.log(0.5):.6f}"] * (2 * len(numbers))])
    return (
        "<TransitionModel>\n<Topology>\n<TopologyEntry>\n"
        f"<ForPhones> {' '.join(map(str, numbers))} </ForPhones>\n"
        "<State> 0 <PdfClass> 0 <Transition> 0 0.5 <Transition> 1 0.5 </State>\n<State> 1 </State>\n"
        f"</TopologyEntry>\n</Topology>\n<Triples> {len(numbers)}\n{triples}</Triples>\n"
        f"<LogProbs>\n [ {half} ]\n</LogProbs>\n</TransitionModel>\n"
    )


def _network() -> str:
    """Return an nnet3 of one layer, of logarithms of likelihood: silence first, then the words."""
    weights = np.vstack([np.zeros(_BANDS), *(_band(tone) for tone in TONES_HZ.values())])
    weights = _SURENESS * weights @ _cosines().T
    biases = [0.0, *[-_SURENESS * _AUDIBLE] * len(TONES_HZ)]
    rows = "\n".join(_numbers(row) for row in weights)
    return (
        f"<Nnet3>\n\ninput-node name=input dim={_BANDS}\n"
        "component-node name=words component=words input=input\noutput-node name=output input=words\n\n"
        f"<NumComponents> 1\n<ComponentName> words <FixedAffineComponent> <LinearParams> [\n{rows} ]\n"
        f"<BiasParams> [ {_numbers(biases)} ]\n</FixedAffineComponent>\n"
        "</Nnet3>\n<LeftContext> 0 <RightContext> 0 <Priors> [ ]\n"
    )


def _band(tone_hz: float) -> npt.NDArray[np.float64]:
    """Return which band a tone is in."""
    edges = np.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), _BANDS + 2)
    band = np.zeros(_BANDS)
    band[np.argmin(abs(edges[1:-1] - _mel(tone_hz)))] = 1.0
    return band


def _mel(frequency_hz: float) -> float:
    return float(1127.0 * np.log(1.0 + frequency_hz / 700.0))


def _cosines() -> npt.NDArray[np.float64]:
    """Return Kaldi's cosine transform, orthogonal: its transpose takes the cepstrum back to the bands."""
    order, band = np.arange(_BANDS)[:, None], np.arange(_BANDS)[None, :]
    transform = np.sqrt(2.0 / _BANDS) * np.cos(np.pi / _BANDS * (band + 0.5) * order)
    transform[0] = np.sqrt(1.0 / _BANDS)
    return np.asarray(transform)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)


def _graph(words: int) -> bytes:
    """Return an OpenFst vector: from the one resting state into any word or silence, and back from its end.

    Transition 2n - 1 stays in the state of phone n, and 2n leaves it. As in every graph of Kaldi's recipes the one that
    leaves comes first ("reordered"), then as many that stay as the sound lasts.
    """
    states: list[tuple[float, list[_Arc]]] = [(0.0, [])]
    for word in range(words + 1):
        stays, leaves = 2 * word + 1, 2 * word + 2
        states[0][1].append(_Arc(leaves, word, _WORD_COST if word else 0.0, word + 1))
        states.append((float("inf"), [_Arc(0, 0, 0.0, 0), _Arc(stays, 0, 0.0, word + 1)]))
    expanded_and_mutable = 3
    total = sum(len(arcs) for _, arcs in states)
    written = [struct.pack("<i", _FST_MAGIC), _string("vector"), _string("standard")]
    written.append(struct.pack("<iiQqqq", 2, 0, expanded_and_mutable, 0, len(states), total))
    for final_cost, arcs in states:
        written.append(struct.pack("<fq", final_cost, len(arcs)))
        written += [struct.pack("<iifi", arc.input_label, arc.output_label, arc.cost, arc.to) for arc in arcs]
    return b"".join(written)


def _string(text: str) -> bytes:
    return struct.pack("<i", len(text)) + text.encode()
