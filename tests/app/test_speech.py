"""What a bot's folder says about how its prompts sound."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.fakes.buzz import buzz
from voicebot.app.speech import pronunciation
from voicebot.dialog.loader import load_bot
from voicebot.speech.synthesis.recorded import text_id
from voicebot.wav import write_wav_mulaw

FLOWS = Path(__file__).parents[2] / "flows"


def test_the_lexicon_and_the_recordings_of_a_bots_folder_are_used(tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    (folder / "lexicon.yaml").write_text("Finch: fintsh\n", encoding="utf-8")
    text = load_bot(folder).static_prompts()[0]
    (folder / "recordings").mkdir()
    (folder / "recordings" / f"{text_id(text)}.wav").write_bytes(write_wav_mulaw(b"".join(buzz(0.5))))
    (folder / "recordings" / "0000000000000000.wav").write_bytes(write_wav_mulaw(b"".join(buzz(0.5))))
    bot = load_bot(folder)
    lexicon, recorded = pronunciation(bot, bot.static_prompts())
    assert lexicon.apply("Harbour and Finch") == "Harbour and Fintsh"
    assert len(recorded) == 1
    assert recorded.audio(text)
    assert recorded.unused == ("0000000000000000.wav",)


def test_a_folder_without_either_changes_nothing() -> None:
    bot = load_bot(FLOWS)
    lexicon, recorded = pronunciation(bot, bot.static_prompts())
    assert (len(lexicon), len(recorded)) == (0, 0)
