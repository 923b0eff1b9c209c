"""Builds the last commit as an image, without a Docker engine, and runs a study and a job in it: ``make test-images``.

    python tests/docker/image.py [--store DIR]       about 15 minutes and 25 GB on two processors; as root, on Debian

The base is made from Debian's packages, so that no registry of images is asked. With --store the layers are kept there,
and the next build begins with what has changed.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.servers.isolation import isolated  # noqa: E402

PACKAGES = ("buildah", "debootstrap")  # each named like its program
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
STUDY = "python studies/ablation_cifar100.py --preset smoke --dataset cifar10 --data-root /data"

# A run's tags, as the image's own MLflow reads them.
TAGS = """
import json
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:////work/mlflow.db")
ids = [found.experiment_id for found in client.search_experiments()]
runs = client.search_runs(ids, "tags.`mixlab.level` = 'seed'")
print(json.dumps([dict(found.data.tags) for found in runs]))
"""

# As docs/cluster.md describes `ray job submit`, on a head that listens nowhere else.
JOB = f"""
set -eu
export RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
ray start --head --port=6379 --num-cpus=2 --dashboard-host=127.0.0.1 > /tmp/head.log 2>&1
ray health-check --address 127.0.0.1:6379
! RAY_AUTH_TOKEN=wrong ray health-check --address 127.0.0.1:6379 > /dev/null 2>&1
export RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265
ray job submit --no-wait --submission-id smoke -- \\
  sh -c "cd /work && {STUDY} --address auto --mixers cutmix --arms '+ lam' --storage /results/job"
until ray job status smoke 2>&1 | grep -iE 'succeeded|failed'; do sleep 3; done
ray job logs smoke
ray job status smoke 2>&1 | grep -i succeeded
"""


def main() -> None:
    """Do everything in turn; the first failure ends it with its output."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--store", type=Path, help="folder of the layers; a temporary one if not given")
    store = options.parse_args().store
    install()
    with tempfile.TemporaryDirectory(prefix="mixlab-image-") as folder:
        buildah = Buildah(store or Path(folder) / "store", Path(folder))
        commit = output("git", "-C", str(ROOT), "rev-parse", "HEAD").strip()
        python = buildah.make_base()
        buildah.build(python, commit)
        buildah.check_settings(commit)
        container = output(*buildah.command, "from", "localhost/mixlab").strip()
        try:
            check_inside(buildah, container, python, commit)
        finally:
            subprocess.run([*buildah.command, "rm", container], check=True, capture_output=True)
    say("all is well")


def install() -> None:
    """Install what a fresh Debian lacks."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    if missing:
        say(f"installing {', '.join(missing)}")
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing)


class Buildah:
    """Builds and runs images as root of this machine, with the layers in ``store`` and other files in ``folder``."""

    def __init__(self, store: Path, folder: Path) -> None:
        self.folder = folder
        self.context = folder / "context"
        places = ("buildah", "--root", str(store), "--runroot", str(folder / "run"))
        self.command: Sequence[str] = (*places, "--storage-driver", "overlay")
        # Overlays share what layers have in common; where the kernel grants none, each layer is a whole copy.
        if subprocess.run([*self.command, "images"], capture_output=True).returncode != 0:
            self.command = (*places, "--storage-driver", "vfs")
        self.trust = ("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro") if CERTIFICATES.exists() else ()

    def make_base(self) -> str:
        """Make the base image from Debian's packages, and return the version of its Python."""
        known = subprocess.run([*self.command, "inspect", "localhost/base"], capture_output=True).returncode == 0
        if not known:
            say("making the base from Debian's packages")
            include = "--include=python3,python3-venv,ca-certificates"
            run("debootstrap", "--variant=minbase", include, "bookworm", f"{self.folder}/base")
            run("tar", "-C", f"{self.folder}/base", "-cf", f"{self.folder}/base.tar", ".")
            (self.folder / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
            run(*self.command, "build", "--isolation", "chroot", "-t", "localhost/base", str(self.folder))
            shutil.rmtree(self.folder / "base")
        container = output(*self.command, "from", "localhost/base").strip()
        version = output(*self.command, "run", "--isolation", "chroot", container, "python3", "--version")
        run(*self.command, "rm", container)
        return version.split()[1]

    def build(self, python: str, commit: str) -> None:
        """Build the Dockerfile of the commit on that base."""
        say(f"building {commit[:12]} on Debian's Python {python}")
        context = self.context
        context.mkdir()
        archive = subprocess.Popen(["git", "-C", str(ROOT), "archive", commit], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(context)], stdin=archive.stdout, check=True)
        images = dict.fromkeys(("PYTHON_IMAGE", "BASE_IMAGE"), "localhost/base")
        given = {**images, "PYTHON_VERSION": python, "COMMIT": commit}
        arguments = [text for key, value in given.items() for text in ("--build-arg", f"{key}={value}")]
        options = ("--layers", "--isolation", "chroot", "--format", "docker", *self.trust, *arguments)
        options += ("-f", f"{context}/docker/Dockerfile", "-t", "localhost/mixlab")
        run(*self.command, "build", *options, str(context))

    def check_settings(self, commit: str) -> None:
        config = json.loads(output(*self.command, "inspect", "localhost/mixlab"))["Docker"]["config"]
        assert config["Entrypoint"] == ["tini", "--"]
        assert config["User"] == "10001"
        assert config["Healthcheck"]["Test"] == ["CMD", "ray", "health-check"]
        assert config["Labels"]["org.opencontainers.image.revision"] == commit
        names = [line.partition("=")[0] for line in config["Env"]]
        assert not [name for name in names if re.search("PASSWORD|SECRET|TOKEN", name)]

    def inside(self, container: str, *command: str) -> str:
        """Return the output of a command in a container with the data sets, a network and processes of its own.

        Under chroot isolation the container itself has neither, and what ``ray start`` leaves behind would go on.
        """
        mounts = ("--volume", f"{ROOT}/data:/data")
        return output(*isolated([*self.command, "run", "--isolation", "chroot", *mounts, container, "--", *command]))


def check_inside(buildah: Buildah, container: str, python: str, commit: str) -> None:
    """Run a study and a job, and check whom they run as."""
    say("looking inside")
    assert buildah.inside(container, "id", "-u").strip() == "10001"
    assert buildah.inside(container, "python", "--version").split() == ["Python", python]
    buildah.inside(container, "pip", "check")
    assert "ablation_cifar100" in buildah.inside(container, "mixlab", "list")
    say("a study")
    shown = buildah.inside(container, "tini", "-s", "--", *STUDY.split())
    print(shown)
    done, planned = re.findall(r"^\[(\d+)/(\d+) done", shown, re.MULTILINE)[-1]
    assert done == planned
    tags = json.loads(buildah.inside(container, "python", "-c", TAGS).splitlines()[-1])
    digest = output("sha256sum", str(buildah.context / "constraints.txt"))[:12]
    assert len(tags) == int(planned)
    assert {tag["mixlab.commit"] for tag in tags} == {commit}
    assert {tag["mixlab.constraints"] for tag in tags} == {digest}
    say("a job")
    print(buildah.inside(container, "tini", "-s", "--", "sh", "-c", JOB))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def output(*command: str) -> str:
    """Run a command and return its output; a failure shows it."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\n{' '.join(command)}: exit code {done.returncode}")
    return done.stdout


def say(text: str) -> None:
    print(f"--- {text}", flush=True)


if __name__ == "__main__":
    main()
