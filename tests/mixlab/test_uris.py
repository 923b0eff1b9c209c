"""A URI holds no password when it is printed or recorded."""

import sys

import pytest
from sqlalchemy.engine import make_url

from mixlab.provenance import command
from mixlab.uris import shown, sqlite_file


@pytest.mark.parametrize(
    ("uri", "printed"),
    [
        ("s3://AKID:se%2Fcret@bucket/results?scheme=http", "s3://AKID:***@bucket/results?scheme=http"),
        ("s3://AKID:se/cr@et@bucket/results", "s3://AKID:***@bucket/results"),  # not quoted as it should be
        ("abfs://account:key==@container/x?client_secret=a~b", "abfs://account:***@container/x?client_secret=***"),
        ("postgresql+psycopg2://me:secret@host:5432/db", "postgresql+psycopg2://me:***@host:5432/db"),
        ("see http://:pass@a:1/x and https://b:2/y", "see http://:***@a:1/x and https://b:2/y"),
        ("s3://bucket/results?region=eu-west-1&endpoint_override=127.0.0.1:9000", None),
        ("sqlite:///mlflow.db", None),
        ("http://head:5000", None),
        ("/shared/results@2x", None),
    ],
)
def test_a_password_is_not_shown_and_all_else_is(uri, printed):
    assert shown(uri) == (uri if printed is None else printed)


def test_the_command_that_is_recorded_holds_no_password(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["study.py", "--storage", "s3://AKID:secret@bucket/x", "--seeds", "3"])
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "study.py", raising=False)  # a worker of pytest has none
    assert command() == "python study.py --storage s3://AKID:***@bucket/x --seeds 3"


def test_a_notebook_has_no_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel-1.json"])
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    assert command() == "mixlab.run(...)"


@pytest.mark.parametrize("uri", ["a%20b.db", "a%b.db", "100%25.db", "/x/a#b.db?timeout=60", "%2Fx/y.db"])
def test_the_file_of_a_uri_is_the_one_that_mlflow_opens(uri):
    """With another, a study trained everything and then found no database to make its table of."""
    assert str(sqlite_file(f"sqlite:///{uri}")) == make_url(f"sqlite:///{uri}").database


@pytest.mark.parametrize("uri", ["sqlite:///", "sqlite://", "http://head:5000"])
def test_a_uri_without_a_file_has_none(uri):
    assert sqlite_file(uri) is None
