"""The image's recipe: hadolint finds it clean, it has one Python, and it copies the files that the build is given.

``image.py`` builds it, and looks at the user, the entry point and the environment of the image itself.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from mixlab import provenance

ROOT = Path(__file__).parents[2]
INSTRUCTIONS = re.findall(r"^([A-Z]+) ((?:.*\\\n)*.*)", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)


def values(instruction: str) -> list[str]:
    return [value for name, value in INSTRUCTIONS if name == instruction]


def test_hadolint_has_nothing_to_say():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    done = subprocess.run([hadolint, str(ROOT / "docker" / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_python_is_pinned_to_the_patch_version_everywhere():
    (version,) = {value.partition("=")[2] for value in values("ARG") if value.startswith("PYTHON_VERSION=")}
    (image,) = {value.partition("=")[2] for value in values("ARG") if value.startswith("PYTHON_IMAGE=")}
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f":{version}-" in image


def test_what_is_copied_is_let_into_the_build():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    first, *others = [line for line in lines if line and not line.startswith("#")]
    assert first == "*"
    allowed = {line[1:] for line in others if line.startswith("!")}
    copied = {word for value in values("COPY") if "--from" not in value for word in value.split()[:-1]}
    assert {word for word in copied if not word.startswith("--")} == allowed


def test_runs_log_the_constraints_that_the_image_names(monkeypatch, tmp_path):
    assert set(re.findall(r"(MIXLAB_\w+)=\S+", "".join(values("ENV")))) == {"MIXLAB_COMMIT", "MIXLAB_CONSTRAINTS"}
    copy, elsewhere = tmp_path / "constraints.txt", tmp_path / "elsewhere"
    copy.write_bytes((ROOT / "constraints.txt").read_bytes())
    of_checkout = provenance.constraints_hash(ROOT)
    assert re.fullmatch(r"[0-9a-f]{12}", of_checkout)
    assert provenance.constraints_hash(elsewhere) == ""
    monkeypatch.setenv("MIXLAB_CONSTRAINTS", str(copy))
    assert provenance.collect(elsewhere).tags["mixlab.constraints"] == of_checkout
    copy.write_text("torch==1.0\n")
    assert provenance.constraints_hash(elsewhere) != of_checkout


def test_all_packages_are_those_of_the_constraints():
    installs = [command for value in values("RUN") for command in value.split("&&") if "pip install" in command]
    assert len(installs) == 2
    for command in installs:
        words = command.split()
        # Either by the constraints, or nothing but our own code.
        assert words[words.index("-c") + 1] == "constraints.txt" if "-c" in words else "--no-deps" in words, command


def test_nothing_runs_as_root_and_ray_asks_for_a_token():
    (user,) = values("USER")
    assert int(user) > 0
    assert f"--uid {user} " in "".join(values("RUN"))
    environment = dict(word.split("=", 1) for value in values("ENV") for word in value.replace("\\\n", "").split())
    assert environment["RAY_AUTH_MODE"] == "token"
