"""Which recognisers and voices this machine has, which would run, and why: what `voicebot models` prints.

Nothing is loaded to answer that: only files and installed packages are looked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.whisper.hub import MODEL_FILES, repository_of
from voicebot.speech.synthesis.voices import VoiceChoice, choose_voice, list_voices
from voicebot.speech.tts import Voice
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

WHISPER_DEFAULT = "base.en"
WHEEL_MODEL = "en-us"
#: A Kaldi model as Vosk packs it; small and large ones differ in the rest.
_VOSK_FILES = (Path("am/final.mdl"), Path("final.mdl"))


class Recogniser(StrEnum):
    """The engines that can hear, by the names an operator configures."""

    WYOMING = "wyoming"
    TWO_PASS = "two-pass"  # noqa: S105 - over the audio, no password
    WHISPER = "whisper"
    VOSK = "vosk"
    POCKETSPHINX = "pocketsphinx"


@dataclass(frozen=True, slots=True)
class RecogniserReport:
    """One engine with one model: whether it is here, and what it is good for or what it lacks."""

    engine: Recogniser
    model: str
    present: bool
    note: str


@dataclass(frozen=True, slots=True)
class RecogniserChoice:
    """The engine that hears, the reason in words, and what its workers are started with.

    `servers` are the addresses of Wyoming servers that somebody else runs.
    """

    engine: Recogniser
    model: str
    why: str
    options: Mapping[str, object] = field(default_factory=dict)
    servers: tuple[str, ...] = ()

    def pool(self, workers: int, *, niceness: int = 5) -> WorkerPool:
        """Return a pool, not yet started, of `workers` processes; of the servers where there are some."""
        spec = WorkerSpec("asr", self.options, workers, environment=_ENVIRONMENTS[self.engine], niceness=niceness)
        return WorkerPool(spec, remote=self.servers)


@dataclass(frozen=True, slots=True)
class RecogniserWish:
    """What the operator configured: an engine (None: the best there is) and where models may lie.

    `whisper_model` is a directory or a name; a name is looked for under `models_dir`, in the hub's cache, and under
    `installed_dir`, where set-up puts models. `whisper_context_s` is how much audio it hears at least.
    `vosk_model` is the same without a hub. `acoustic_model` is a directory for pocketsphinx, else the English model
    inside its wheel runs. `servers` are Wyoming servers, such as ``tcp://10.0.0.7:10300``.
    """

    engine: Recogniser | None = None
    models_dir: Path | None = None
    whisper_model: str | None = None
    vosk_model: str | None = None
    acoustic_model: Path | None = None
    servers: tuple[str, ...] = ()
    installed_dir: Path | None = None
    whisper_context_s: float | None = None


_NO_DICTATION = "only spots phrases that the flows know; `voicebot models pull whisper-tiny.en` gets what dictates"
_ONLY_PHRASES = "spots phrases that the flows know, as VOICEBOT_DICTATION says"
# One decoding thread per worker is the whole design; nothing in it must start threads of its own.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
_ENVIRONMENTS: Mapping[Recogniser, Mapping[str, str]] = {
    Recogniser.WYOMING: {},
    Recogniser.TWO_PASS: _ONE_THREAD,
    # CTranslate2 has as many threads as the setting says.
    Recogniser.WHISPER: {},
    Recogniser.VOSK: _ONE_THREAD,
    Recogniser.POCKETSPHINX: _ONE_THREAD,
}


#: What engines call themselves in what they heard, where that is not their name here.
_OWN_NAMES: Mapping[Recogniser, str] = {Recogniser.WHISPER: "faster-whisper"}


def engine_name(engine: Recogniser) -> str:
    """Return the name that an engine gives itself."""
    return _OWN_NAMES.get(engine, engine.value)


def list_recognisers(wish: RecogniserWish) -> tuple[RecogniserReport, ...]:
    """Return the engines in the order in which they would be chosen, present or not."""
    whisper, sphinx = _whisper_report(wish), _sphinx_report(wish)
    return (_server_report(wish), _two_pass_report(whisper, sphinx), whisper, _vosk_report(wish), sphinx)


def choose_recognisers(wish: RecogniserWish) -> tuple[RecogniserChoice, ...]:
    """Return the engine to run and, unless one was configured by name, the one that takes over when it fails.

    `EngineUnavailable` as for `choose_recogniser`.
    """
    first = choose_recogniser(wish)
    if wish.engine is not None or first.engine is Recogniser.POCKETSPHINX or not _sphinx_report(wish).present:
        return (first,)
    return (first, _choice(_sphinx_report(wish), wish, f"takes over when {first.engine} fails"))


def choose_recogniser(wish: RecogniserWish) -> RecogniserChoice:
    """Return the engine to run: the configured one, else the first that is present.

    The order is Wyoming servers where some are named, Whisper with pocketsphinx, Whisper alone and Vosk where a model
    is present, pocketsphinx.
    `EngineUnavailable` when the configured engine or model is missing (a worse one never takes its place unasked), or
    when there is none at all.
    """
    reports = {report.engine: report for report in list_recognisers(wish)}
    if wish.engine is not None:
        report = reports[wish.engine]
        if not report.present:
            raise EngineUnavailable(f"settings: `recognizer`: {report.engine} cannot run: {report.note}")
        return _choice(report, wish, "configured")
    passed_over: list[str] = []
    for report in reports.values():
        if report.present:
            why = f"best present, {report.note}" + "".join(f"; {reason}" for reason in passed_over)
            return _choice(report, wish, why)
        if report.engine not in {Recogniser.WYOMING, Recogniser.TWO_PASS}:
            passed_over.append(f"not {report.engine}: {report.note}")
    raise EngineUnavailable(f"No recogniser is installed: {'; '.join(passed_over)}")


def choose_dictation(wish: RecogniserWish, *, phrases_only: bool = False) -> RecogniserChoice:
    """Return what hears people's talk after a transfer: a dictation engine where one is present and wanted.

    Also the Whisper model that set-up installs unasked, since nobody waits for it. Then Vosk, the servers that were
    named, and pocketsphinx, which only spots phrases. `EngineUnavailable` when there is none at all.
    """
    reports = {report.engine: report for report in list_recognisers(wish)}
    for engine in (Recogniser.WHISPER, Recogniser.VOSK, Recogniser.WYOMING):
        if reports[engine].present and not phrases_only:
            return _choice(reports[engine], wish, "writes talk down")
    if reports[Recogniser.POCKETSPHINX].present:
        return _choice(reports[Recogniser.POCKETSPHINX], wish, _ONLY_PHRASES if phrases_only else _NO_DICTATION)
    raise EngineUnavailable("No recogniser is installed.")


def describe_models(wish: RecogniserWish, voice: Voice | None) -> str:
    """Return what is on this machine, what would run and why, as lines for a terminal."""
    lines = ["recognisers"]
    lines += [
        _line(report.present, f"{report.engine}/{report.model}", report.note) for report in list_recognisers(wish)
    ]
    lines += _reasons(lambda: choose_recognisers(wish))
    lines += ["talk after a transfer", *_reasons(lambda: (choose_dictation(wish),))]
    lines.append("voices")
    lines += [
        _line(report.present, f"{report.voice.engine}/{report.voice.name}", report.note)
        for report in list_voices(wish.models_dir)
    ]
    lines += _reasons(lambda: (choose_voice(voice, wish.models_dir),))
    return "\n".join(lines)


def find_whisper_model(name: str | None, models_dir: Path | None, installed_dir: Path | None = None) -> Path | None:
    """Return the directory of the Whisper model `name`; without a name of the default one, else of any there is.

    The operator's own folder counts before the hub's cache, and that before what set-up installed.
    """
    if name is not None and Path(name).is_dir():
        return Path(name) if _is_whisper(Path(name)) else None
    own, installed = _whispers_in(models_dir), _whispers_in(installed_dir)
    if name is None:
        default = (folder for folder in own if _is_named(folder, WHISPER_DEFAULT))
        candidates = (next(default, None), *own, _in_hub_cache(WHISPER_DEFAULT), *installed)
    else:
        fitting = [[folder for folder in folders if _is_named(folder, name)] for folders in (own, installed)]
        candidates = (*fitting[0], _in_hub_cache(name), *fitting[1])
    return next((folder for folder in candidates if folder is not None), None)


def _whispers_in(folder: Path | None) -> list[Path]:
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and _is_whisper(path))


def _is_named(folder: Path, name: str) -> bool:
    return folder.name in {name, f"whisper-{name}", f"faster-whisper-{name}"}


def find_vosk_model(name: str | None, models_dir: Path | None) -> Path | None:
    """Return the directory of the Vosk model `name`, or of any under `models_dir` when no name is given."""
    if name is not None and Path(name).is_dir():
        return Path(name) if _is_vosk(Path(name)) else None
    if models_dir is None or not models_dir.is_dir():
        return None
    folders = sorted(path for path in models_dir.iterdir() if path.is_dir())
    return next((folder for folder in folders if name in {None, folder.name} and _is_vosk(folder)), None)


def _is_vosk(folder: Path) -> bool:
    return any((folder / file).is_file() for file in _VOSK_FILES)


def _is_whisper(folder: Path) -> bool:
    return all((folder / name).is_file() for name in MODEL_FILES)


def _in_hub_cache(name: str) -> Path | None:
    """Look where the hub's client keeps downloads, without importing it."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    repository = repository_of(name)
    if repository is None:
        return None
    snapshots = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
    if not snapshots.is_dir():
        return None
    return next((folder for folder in sorted(snapshots.iterdir()) if _is_whisper(folder)), None)


def _server_report(wish: RecogniserWish) -> RecogniserReport:
    if not wish.servers:
        return RecogniserReport(Recogniser.WYOMING, "-", present=False, note="no Wyoming server is named")
    return RecogniserReport(Recogniser.WYOMING, ", ".join(wish.servers), present=True, note="servers that you named")


def _two_pass_report(whisper: RecogniserReport, sphinx: RecogniserReport) -> RecogniserReport:
    models = f"{whisper.model}, {sphinx.model}"
    if lacking := next((report for report in (whisper, sphinx) if not report.present), None):
        return RecogniserReport(Recogniser.TWO_PASS, models, present=False, note=f"needs {lacking.engine}")
    note = "pocketsphinx while the caller speaks, Whisper for what was said, each in a process of its own"
    return RecogniserReport(Recogniser.TWO_PASS, models, present=True, note=note)


def _whisper_report(wish: RecogniserWish) -> RecogniserReport:
    model = wish.whisper_model or WHISPER_DEFAULT
    if find_spec("faster_whisper") is None:
        return RecogniserReport(Recogniser.WHISPER, model, present=False, note="faster-whisper is not installed")
    found = find_whisper_model(wish.whisper_model, wish.models_dir, wish.installed_dir)
    if found is None:
        where = f"under {wish.models_dir}" if wish.models_dir is not None else "and VOICEBOT_MODELS is not set"
        note = f"no model {model} {where}; `voicebot models pull whisper-tiny.en` gets one"
        return RecogniserReport(Recogniser.WHISPER, model, present=False, note=note)
    return RecogniserReport(Recogniser.WHISPER, found.name, present=True, note="open dictation")


def _vosk_report(wish: RecogniserWish) -> RecogniserReport:
    model = wish.vosk_model or "-"
    if find_spec("vosk") is None:
        note = "vosk is not installed (the extra vosk)"
        return RecogniserReport(Recogniser.VOSK, model, present=False, note=note)
    found = find_vosk_model(wish.vosk_model, wish.models_dir)
    if found is None:
        where = f"under {wish.models_dir}" if wish.models_dir is not None else "and VOICEBOT_MODELS is not set"
        which = f" {wish.vosk_model}" if wish.vosk_model else ""
        note = f"no model{which} {where}; unpack a Vosk model there"
        return RecogniserReport(Recogniser.VOSK, model, present=False, note=note)
    return RecogniserReport(Recogniser.VOSK, found.name, present=True, note="open dictation, streaming")


def _sphinx_report(wish: RecogniserWish) -> RecogniserReport:
    if find_spec("pocketsphinx") is None:
        note = "pocketsphinx is not installed"
        return RecogniserReport(Recogniser.POCKETSPHINX, WHEEL_MODEL, present=False, note=note)
    if wish.acoustic_model is None:
        note = "hears what the flows expect, with the wideband model of its wheel"
        return RecogniserReport(Recogniser.POCKETSPHINX, WHEEL_MODEL, present=True, note=note)
    name = wish.acoustic_model.name
    if not (wish.acoustic_model / "feat.params").is_file() or not (wish.acoustic_model / "mdef").is_file():
        note = f"{wish.acoustic_model} holds no acoustic model (feat.params and mdef)"
        return RecogniserReport(Recogniser.POCKETSPHINX, name, present=False, note=note)
    return RecogniserReport(Recogniser.POCKETSPHINX, name, present=True, note="hears what the flows expect")


def _choice(report: RecogniserReport, wish: RecogniserWish, why: str) -> RecogniserChoice:
    options: dict[str, object]
    match report.engine:
        case Recogniser.WYOMING:
            return RecogniserChoice(report.engine, report.model, why, servers=wish.servers)
        case Recogniser.WHISPER:
            options = {"engine": "whisper", **_whisper_options(wish)}
        case Recogniser.TWO_PASS:
            options = {"engine": "two-pass", **_whisper_options(wish), **_sphinx_options(wish)}
        case Recogniser.VOSK:
            folder = find_vosk_model(wish.vosk_model, wish.models_dir)
            assert folder is not None
            options = {"engine": "vosk", "model": str(folder)}
        case Recogniser.POCKETSPHINX:
            options = {"engine": "sphinx", **_sphinx_options(wish)}
        case never:
            assert_never(never)
    return RecogniserChoice(report.engine, report.model, why, options)


def _whisper_options(wish: RecogniserWish) -> dict[str, object]:
    found = find_whisper_model(wish.whisper_model, wish.models_dir, wish.installed_dir)
    assert found is not None
    context = {} if wish.whisper_context_s is None else {"context_s": wish.whisper_context_s}
    return {"model": str(found), **context}


def _sphinx_options(wish: RecogniserWish) -> dict[str, object]:
    return {} if wish.acoustic_model is None else {"acoustic_model": str(wish.acoustic_model)}


def _line(present: bool, name: str, note: str) -> str:  # noqa: FBT001 - a mark at the beginning of the line
    return f"  {'+' if present else '-'} {name:<32} {note}"


def _reasons(choose: Callable[[], Sequence[RecogniserChoice | VoiceChoice]]) -> list[str]:
    try:
        choices = choose()
    except EngineUnavailable as error:
        return [f"  runs: nothing ({error})"]
    return [f"  {'then' if rank else 'runs'}: {_chosen(choice)}" for rank, choice in enumerate(choices)]


def _chosen(choice: RecogniserChoice | VoiceChoice) -> str:
    if isinstance(choice, RecogniserChoice):
        return f"{choice.engine}/{choice.model} ({choice.why})"
    return f"{choice.voice.engine}/{choice.voice.name} ({choice.why})"
