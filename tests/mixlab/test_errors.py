"""Errors in words: the nearest valid name, the line that says what happened, and text that can be stored anywhere."""

import errno
import itertools
from urllib.error import URLError

import pytest

from mixlab.errors import (
    BadInput,
    account_of,
    first_line,
    in_one_line,
    last_line,
    no_room,
    refused,
    require_known,
    root_cause,
    storable,
    without_room,
)

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("CutMx", ["mixup", "cutmix"], "did you mean 'cutmix'?"),
        ("CUTMIX", ["Cutmix", "mixup"], "did you mean 'Cutmix'?"),
        ("Cifar", ["cifar10", "cifar100", "cub200", "cifar8"], "did you mean 'cifar10', 'cifar100' or 'cifar8'?"),
        ("arm", [f"arm{number}" for number in range(21)], "did you mean 'arm0'?"),  # not all of so many
        ("resnet9", ["resnext29", "resnet18", "resnet8"], "did you mean 'resnet8'?"),
        ("resnet101", ["resnet101_imagenet", "resnet10"], "did you mean 'resnet101_imagenet'?"),
        ("tiny", ["cifar10", "tiny_imagenet"], "did you mean 'tiny_imagenet'?"),
        ("mnist", ["imagenet", "fashion_mnist"], "did you mean 'fashion_mnist'?"),
        ("", ["loss", "batch"], "there are 'loss', 'batch'"),
        ("fmix", ["batch", "loss", "batch"], "there are 'batch', 'loss'"),
        ("fmix", [], "there are none"),
        (3, ["batch", "batch"], "there is 'batch'"),
    ],
)
def test_an_unknown_name_is_answered_by_the_nearest_or_by_all(name, known, hint):
    with pytest.raises(BadInput) as error:
        require_known("mixer", name, known)
    assert str(error.value) == f"unknown mixer {name!r}; {hint}"
    for each in known:
        require_known("mixer", each, known)


def test_a_full_disk_and_a_used_up_quota_are_no_room_and_other_errors_are_not():
    others = (OSError(errno.EACCES, "Permission denied"), ValueError("no room"))
    assert [no_room(error) for error in (FULL, OSError(errno.EDQUOT, "Quota"), *others)] == [True, True, False, False]
    said = "there is no room left in /data ([Errno 28] No space left on device): free some"
    assert without_room("/data", FULL) == said


def test_an_error_in_one_line():
    unreachable = URLError(OSError("no route to the host\nof the data"))
    errors = (RuntimeError("\n\nmat1 and mat2\ndo not fit"), unreachable, AssertionError())
    assert [*map(first_line, errors)] == ["mat1 and mat2", "no route to the host", "AssertionError"]
    away = RuntimeError("API request to http://me:secret@head failed")  # as MLflow says it
    assert {first_line(away), in_one_line(away), root_cause(away)} == {"API request to http://me:***@head failed"}
    assert in_one_line(ValueError("1 error\n\n  lr\n  got 'much  more'\n")) == "1 error lr got 'much  more'"


def chain(*errors: Exception, caused: bool) -> Exception:
    """Return the last of some errors, each raised because of the one before it or while that was handled."""
    for before, error in itertools.pairwise(errors):
        error.__cause__ = before if caused else None
        error.__context__ = before
    return errors[-1]


LET_DOWN = "a server answers, but what is behind it, such as its database, does not: error 503"


@pytest.mark.parametrize("caused", [True, False])
@pytest.mark.parametrize(
    ("first", "cause"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError("no number"), "no number"),
        (ValueError("said\nat length"), "said"),
        (RuntimeError("Max retries exceeded (Caused by ResponseError('too many 503 error responses'))"), LET_DOWN),
    ],
)
def test_what_started_a_chain_of_errors_is_its_cause(caused, first, cause):
    assert root_cause(chain(first, KeyError("x"), RuntimeError("the last"), caused=caused)) == cause
    assert root_cause(first) == cause


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a shape is wrong"), "ValueError: a shape is wrong"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError(), "ValueError"),
        (ValueError("http://me:secret@head"), "ValueError: http://me:***@head"),
        (BadInput("a sentence"), "a sentence"),
        (BadInput(), "mixlab.errors.BadInput"),
    ],
)
def test_the_last_line_of_an_account_says_what_happened(error, said):
    account = account_of(error)
    assert last_line(account) == said
    assert account.splitlines()[-2:] != [said, said]  # it is there already, or added


def test_the_line_of_an_account_is_cut_and_not_indented():
    assert last_line("Traceback\n  File\nValueError: no\n    1 | x\n\n") == "ValueError: no"
    assert last_line("x" * 501) == "x" * 500
    assert [last_line(text) for text in ("", " \n ")] == ["unknown error"] * 2


def test_text_is_stored_in_letters_that_every_place_takes():
    assert storable("a\0b\x1b[1m\ud800 é\n") == r"a\0b\x1b[1m\ud800 é" + "\n"


def raised(error: BaseException) -> str:
    with pytest.raises(BadInput) as found, refused("check fails for 'a'"):
        raise error
    return str(found.value)


def test_what_a_users_function_raises_is_a_sentence():
    assert raised(ValueError("lr must be\n at most 1")) == "lr must be at most 1"
    assert raised(BadInput("as it is")) == "as it is"
    named = {"ValueError": ValueError(""), "KeyError: 'x'": KeyError("x"), "SystemExit: 3": SystemExit(3)}
    for said, error in named.items():
        assert raised(error).startswith(f"check fails for 'a': {said} ({__file__}, line ")
    with pytest.raises(KeyboardInterrupt), refused("check fails"):
        raise KeyboardInterrupt
