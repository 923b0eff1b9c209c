"""The errors that end a command with one sentence: bad input, with exit code 2; a lost cluster or storage, with 1."""

import contextlib
import difflib
import errno
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType

from mixlab.passwords import shown

MOST_LETTERS = 500  # the longest error that is shown
ANSWERED = re.compile(r"too many (50[234]) error responses")  # urllib3's words
LIKE = 1.3  # the ``_likeness`` from which a name may be another one misspelt
MOST_BEGUN = 20  # up to so many names that begin with the given one are all shown


class BadInput(Exception):
    """The input is wrong, which is found before anything starts; the message quotes it and says what would be valid."""


class HeadLost(Exception):
    """The head of the Ray cluster has died or become unreachable; the message is a sentence for the user."""


class StorageLost(Exception):
    """No checkpoint can be written or read any more; the message is a clause that says why."""


class Crash(Exception):
    """A trial ended by an exception that its trainable does not document; the message is the account of that."""


def no_room(error: BaseException) -> bool:
    """Return whether an error says that a disk is full, or a quota used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def without_room(place: str, error: BaseException) -> str:
    """Return a clause that says that a place is full, and what helps."""
    return f"there is no room left in {place} ({first_line(error)}): free some"


def answer_in_a_sentence() -> None:
    """From now on, let ``BadInput`` end the program with one sentence and exit code 2, not with a traceback."""
    otherwise = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if not isinstance(error, BadInput):
            otherwise(kind, error, where)
            return
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2)

    sys.excepthook = hook


def ends_output(error: OSError) -> bool:
    """Return whether an error says that the standard output takes no more: a disk is full, or nobody reads a pipe."""
    return no_room(error) or isinstance(error, BrokenPipeError)


def give_up_output(error: OSError) -> int:
    """Write no more to the standard output, and return the exit code; say why, unless it is a pipe that nobody reads.

    Whoever reads a pipe, such as head, may have had enough of it.
    """
    drop_output()
    if isinstance(error, BrokenPipeError):
        return 0
    print(f"error: the standard output cannot be written ({first_line(error)})", file=sys.stderr)
    return 1


def drop_output() -> None:
    """Discard what the standard output still holds, which would be flushed at the exit, and all that follows."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def require(fits: object, what: str, valid: str, given: object) -> None:
    """Raise ``BadInput``, which says what is ``valid`` and quotes what was given, unless that fits."""
    if not fits:
        raise BadInput(f"{what} must be {valid}, got {given!r}")


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ``BadInput`` that names the nearest of ``known`` unless ``name`` is among them."""
    known = list(known)
    if name not in known:
        raise BadInput(f"unknown {what} {name!r}; {hint(name, known)}")


def hint(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the names that begin with it, else the one most like it, else all."""
    known = list(dict.fromkeys(known))
    text = name if isinstance(name, str) else repr(name)
    begun = [each for each in known if text and each.casefold().startswith(text.casefold())]
    if 0 < len(begun) <= MOST_BEGUN:
        *others, last = map(repr, begun)
        return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
    if known and _likeness(text, nearest := max(known, key=partial(_likeness, text))) > LIKE:
        return f"did you mean {nearest!r}?"
    return f"there {'is' if len(known) == 1 else 'are'} {', '.join(map(repr, known)) or 'none'}"


def _likeness(name: str, known: str) -> float:
    """Return how alike two names are, from 0 to 3: in all their letters, without digits, and in their beginning."""
    name, known = name.casefold(), known.casefold()
    pairs = (name, known), (re.sub(r"\d", "", name), re.sub(r"\d", "", known)), (name, known[: len(name)])
    return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)


def first_line(error: BaseException) -> str:
    """Return what went wrong, in one line and without passwords."""
    reason = getattr(error, "reason", error)  # a URLError has it
    text = shown(str(reason)).strip()
    return (text or type(error).__name__).splitlines()[0]


def in_one_line(error: BaseException) -> str:
    """Return the whole text of an error, without passwords, in one line: for a sentence that stands alone."""
    return " ".join(line.strip() for line in shown(str(error)).splitlines() if line.strip())


def root_cause(error: BaseException) -> str:
    """Return in one line what started a chain of errors, such as ``Connection refused``."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    if answered := ANSWERED.search(str(error)):
        return f"a server answers, but what is behind it, such as its database, does not: error {answered[1]}"
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Turn an exception that a user's function raises inside the block into ``BadInput``.

    The text of a ``ValueError`` is the sentence, in one line; of any other exception it is ``what``, with the line that
    raised it.
    """
    try:
        yield
    except BadInput:
        raise
    except (Exception, SystemExit) as error:  # argparse ends by the latter
        if isinstance(error, ValueError) and str(error).strip():
            raise BadInput(in_one_line(error)) from error
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind, said = type(error).__name__, first_line(error)
        text = kind if said == kind else f"{kind}: {said}"
        raise BadInput(f"{what}: {text} ({frame.filename}, line {frame.lineno})") from error


def account_of(error: BaseException) -> str:
    """Return the traceback of an error, whose last line says what happened, as storable text without passwords."""
    text = shown("".join(traceback.format_exception(error))).strip()
    kind, line = type(error), first_line(error)
    name = kind.__name__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    ours = kind.__module__.startswith("mixlab.") and line != kind.__name__  # a sentence that needs no name before it
    named = name if line == kind.__name__ else f"{name}: {line}"
    said = line if ours else named
    text = text if last_line(text) == said else f"{text}\n{said}"  # the message may have several lines, or none
    return storable(text)


def storable(text: str) -> str:
    """Return text in letters that every terminal, file and database takes.

    NUL, the escape that begins a terminal's commands, and what UTF-8 lacks are written as in a Python string.
    """
    return text.replace("\0", "\\0").replace("\x1b", "\\x1b").encode(errors="backslashreplace").decode()


def last_line(account: str) -> str:
    """Return the line of a traceback that says what happened: the last one that is not indented, if long its start."""
    lines = [line for line in account.strip().splitlines() if line and not line[0].isspace()]
    return lines[-1][:MOST_LETTERS] if lines else "unknown error"
