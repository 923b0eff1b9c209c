"""The keys of trials: those of the shipped studies stay; an option with a neutral default changes none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from mixlab.spec.complete import complete
from mixlab.spec.trial import digest


class Toy:
    """A trainable with one option; later versions change a class attribute."""

    metrics = ()
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.1}

    def __call__(self) -> None:
        raise NotImplementedError

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.defaults, **config}


def key(train: object, **config: Any) -> str:
    completed = complete(train)
    return digest(completed.hashed(completed.resolve(config).flat))


def test_an_option_with_a_neutral_default_moves_no_key() -> None:
    class Later(Toy):
        defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.1, "swa": False}
        neutral: ClassVar[Mapping[str, Any]] = {"swa": False}

    assert key(Later()) == key(Toy())
    assert key(Later(), lr=1.0) == key(Toy(), lr=1.0)
    assert key(Later(), swa=True) != key(Toy())


def test_a_changed_default_moves_the_keys_that_it_concerns() -> None:
    class Later(Toy):
        defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.2}

    assert key(Later()) != key(Toy())
    assert key(Later(), lr=0.1) == key(Toy())


def test_a_new_version_of_the_numbers_moves_every_key() -> None:
    class Later(Toy):
        numbers = 2

    assert {key(Later(), lr=lr) for lr in (0.1, 0.2)}.isdisjoint({key(Toy(), lr=lr) for lr in (0.1, 0.2)})
    assert complete(Later()).hashed({"lr": 0.1}) == {"lr": 0.1, "numbers": 2}


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    class Files(Toy):
        files = ("teacher",)

    first, second = tmp_path / "a.pt", tmp_path / "b.pt"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    before = key(Files(), teacher=str(first))
    assert key(Files(), teacher=str(second)) == before
    assert key(Files(), teacher=None) != before
    second.write_bytes(b"two")
    assert key(Files(), teacher=str(second)) != before
