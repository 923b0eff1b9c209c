"""A URI holds no password when it is printed or recorded."""

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from mixlab.passwords import shown
from mixlab.provenance import command
from mixlab.uris import existing_part, require_uri, sqlite_file, sqlite_uri
from tests.endings import refused


@pytest.mark.parametrize(
    ("uri", "printed"),
    [
        ("s3://AKID:se%2Fcret@bucket/results?scheme=http", "s3://AKID:***@bucket/results?scheme=http"),
        ("s3://AKID:se/cr@et@bucket/results", "s3://AKID:***@bucket/results"),  # not quoted as it should be
        ("abfs://account:key==@container/x?client_secret=a~b", "abfs://account:***@container/x?client_secret=***"),
        ("mysql+pymysql://me:my se@cret@host/db, or ask me@lab", "mysql+pymysql://me:***@host/db, or ask me@lab"),
        ("no http://head:5000, s3://b: ask me@lab", None),
        ("postgresql+psycopg2://me:secret@host:5432/db", "postgresql+psycopg2://me:***@host:5432/db"),
        ("https://me@lab.org:secret@mlflow.lab.org/", "https://me@lab.org:***@mlflow.lab.org/"),  # nor this name
        ("mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("mysql+pymysql://host/db?user=me&passwd=secret", "mysql+pymysql://host/db?user=me&passwd=***"),
        ("see http://:pass@a:1/x and https://b:2/y", "see http://:***@a:1/x and https://b:2/y"),
        ("https://b/x?X-Amz-Signature=a%2F&region=eu&TOKEN=1", "https://b/x?X-Amz-Signature=***&region=eu&TOKEN=***"),
        ("az://c/x?sv=2024&sig=a%3D&design=3&account_key=b==", "az://c/x?sv=2024&sig=***&design=3&account_key=***"),
        ("s3://bucket/results?region=eu-west-1&endpoint_override=127.0.0.1:9000", None),
        ("sqlite:///mlflow.db", None),
        ("http://head:5000", None),
        ("/shared/results@2x", None),
    ],
)
def test_a_password_is_not_shown_and_all_else_is(uri, printed):
    assert shown(uri) == (uri if printed is None else printed)
    assert shown(repr(shown(uri))) == repr(shown(uri))


def test_a_long_text_without_a_password_is_looked_through_once():
    text = "http://head:5000," * 20_000
    began = time.process_time()
    assert shown(text) == text
    assert time.process_time() - began < 1  # it was a minute


def test_the_command_that_is_recorded_can_be_typed_and_holds_no_password(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["study.py", "--storage", "s3://AKID:secret@bucket/x", "--arms", "it's 5 %", ""])
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "study.py", raising=False)  # a worker of pytest has none
    assert command() == "python study.py --storage s3://AKID:***@bucket/x --arms 'it'\"'\"'s 5 %' ''"


def test_a_notebook_has_no_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel-1.json"])
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    assert command() == "mixlab.run(...)"


@pytest.mark.parametrize("name", ["mlflow.db", "a%20b.db", "50 % off/ä#b.db", "what?.db", "a+b&c.db"])
@pytest.mark.parametrize("folder", ["", "/", "/tmp/"])
def test_the_uri_of_any_file_leads_back_to_it(folder, name):
    uri = sqlite_uri(folder + name)
    assert sqlite_file(uri) == Path(folder + name)
    assert make_url(uri).database == folder + name
    require_uri(uri)


def test_the_part_of_a_path_that_exists_is_the_path_or_the_nearest_folder_above_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for given, found in ((".", "."), ("file", "file"), ("file/x", "file"), ("new/folder/x", "."), ("/none/x", "/")):
        assert existing_part(Path(given)) == tmp_path / found


def test_a_server_has_a_host_and_a_port_that_can_be_reached():
    for uri in ("http://head", "https://head:1/x"):
        require_uri(uri)
    for uri in ("http://head:0", "http://:5000"):
        with refused("names no host, or no port that there is; give http://HOST:PORT"):
            require_uri(uri)


def test_an_empty_file_is_a_database_that_can_be_made_and_a_file_of_another_kind_is_none(tmp_path):
    for content in (b"", b"SQLite format 3\0 and more"):
        (tmp_path / "x.db").write_bytes(content)
        require_uri(f"sqlite:///{tmp_path}/x.db", "--store")
    (tmp_path / "x.db").write_bytes(b"SQLite format 4")
    with refused("not a database"):
        require_uri(f"sqlite:///{tmp_path}/x.db", "--store")
    with closing(sqlite3.connect(tmp_path / "y.db")) as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")  # as Optuna's begin
    with refused("y.db' names a database of another program, with a table 'studies'; give MLflow's"):
        require_uri(f"sqlite:///{tmp_path}/y.db", "--store")
