"""The keys of trials: those of the shipped studies stay; an option with a neutral default changes none."""

from collections.abc import Mapping
from typing import Any

from mixlab.spec.complete import complete
from mixlab.spec.trial import digest
from tests.mixlab.spec import minimal


class Toy(minimal.Toy):
    """A trainable with one option; of later versions some attributes are others."""

    def __init__(self, **changed: Any) -> None:
        self.defaults: Mapping[str, Any] = {"lr": 0.1}
        vars(self).update(changed)

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.defaults, **config}


def key(train: object, **config: Any) -> str:
    completed = complete(train)
    return digest(completed.hashed(completed.resolve(config).flat))


def test_an_option_with_a_neutral_default_moves_no_key():
    later = Toy(defaults={"lr": 0.1, "swa": False}, neutral={"swa": False})
    assert key(later) == key(Toy())
    assert key(later, lr=1.0) == key(Toy(), lr=1.0)
    assert key(later, swa=True) != key(Toy())


def test_a_changed_default_moves_the_keys_that_it_concerns():
    later = Toy(defaults={"lr": 0.2})
    assert key(later) != key(Toy())
    assert key(later, lr=0.1) == key(Toy())


def test_a_new_version_of_the_numbers_moves_every_key():
    later = Toy(numbers=2)
    assert {key(later, lr=lr) for lr in (0.1, 0.2)}.isdisjoint({key(Toy(), lr=lr) for lr in (0.1, 0.2)})
    assert complete(later).hashed({"lr": 0.1}) == {"lr": 0.1, "numbers": 2}


def test_a_file_counts_by_its_content(tmp_path):
    reader = Toy(files=("teacher",))
    first, second = tmp_path / "a.pt", tmp_path / "b.pt"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    before = key(reader, teacher=str(first))
    assert key(reader, teacher=str(second)) == before
    assert key(reader, teacher=None) != before
    second.write_bytes(b"two")
    assert key(Toy(files=("teacher",)), teacher=str(second)) != before
