"""The account of a process that ended by itself, from the log that it left."""

import pytest

from mixlab.cluster import last_words
from mixlab.errors import last_line

# As Ray 2.56 and Python 3.11 left it.
SEGMENTATION_FAULT = """:job_id:01000000
:actor_name:ImplicitFunc
*** SIGSEGV received at time=1795708229 on cpu 0 ***
PC: @     0x7fc8d7785ad8  (unknown)  (unknown)
[2026-11-26 15:50:30,133 E 23451 23709] logging.cc:474: *** SIGSEGV received at time=1795708230 on cpu 0 ***
Fatal Python error: Segmentation fault

Stack (most recent call first):
  File "/home/me/it's mine/kernel.py", line 519 in <lambda>
  File "/home/me/study.py", line 15 in __call__

Extension modules: msgpack._cmsgpack (total: 1)
"""
AT = "/home/me/it's mine/kernel.py, line 519, in <lambda>"
SILENT = "its process ended without a word, as by os._exit, SIGKILL or a machine short of memory"


def test_a_signal_is_named_with_the_line_at_which_it_came_and_the_stack_is_kept():
    account = last_words.in_words("/tmp/ray/w.err", SEGMENTATION_FAULT)
    assert last_line(account) == f"its process ended by SIGSEGV at {AT}; its log is /tmp/ray/w.err"
    assert account.splitlines()[1] == '  File "/home/me/study.py", line 15 in __call__'


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("w.err on node7", ":job_id:01000000\n", f"{SILENT}; its log is w.err on node7"),
        ("w.err", "", f"{SILENT}; its log is w.err"),
        ("", "", SILENT),
        ("w.err", "*** SIGBUS received at time=1 ***\nno stack", "its process ended by SIGBUS; its log is w.err"),
        ("w.err", "the text '*** SIGSEGV received' in a line of a trial's own", f"{SILENT}; its log is w.err"),
    ],
)
def test_what_the_log_does_not_say_is_not_made_up(path, text, sentence):
    assert last_words.in_words(path, text) == sentence
