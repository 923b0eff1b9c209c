"""What places are called: the file of an SQLite URI, the part of a path that exists."""

import contextlib
import os
import shlex
import sqlite3
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from mixlab.errors import BadInput, require_known
from mixlab.passwords import shown

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")  # stores that MLflow knows
FOLDERS, BUCKETS = ("file", "hdfs", "viewfs"), ("s3", "gs", "gcs", "abfs", "abfss")  # schemes that pyarrow.fs knows
# A URL that begins with postgresql:// asks for psycopg 3, which Mixlab does not install.
DATABASE = "a database such as postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE"


def typed(*words: str) -> str:
    """Return a command as it can be typed, whatever its words hold, without passwords."""
    return shown(shlex.join(words))


def existing_part(path: Path) -> Path:
    """Return the path if it exists and may be seen, else the nearest folder above it that does."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if os.path.exists(each))


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an SQLite URI such as ``sqlite:///mlflow.db?timeout=60``; None for any other URI.

    As in any URI, ``%20`` in it is a space. The name ``:memory:`` stands for a database in memory, which is no file.
    """
    name = unquote(uri.removeprefix("sqlite:///").partition("?")[0])
    return Path(name) if name not in ("", ":memory:") and uri.startswith("sqlite:///") else None


def sqlite_uri(file: str | Path) -> str:
    """Return the URI of an SQLite file, whatever its name holds: the inverse of :func:`sqlite_file`.

    It quotes no more than it must: MLflow makes the folder that the URI names before it reads what is quoted.
    """
    return "sqlite:///" + str(file).replace("%", "%25").replace("?", "%3F")


def require_uri(uri: str, option: str = "--tracking-uri") -> None:
    """Raise ``BadInput`` for a URI that names no store; MLflow would take an empty one for a file of its own."""
    file, given = sqlite_file(uri), f"{option} {shown(uri)!r}"
    if file is not None:
        _require_database(file, given)
    elif uri.lower().startswith(("sqlite:", "sqlite+")):
        raise BadInput(f"{given} names no file; give sqlite:///FILE")
    if "://" not in uri and uri != "databricks":
        hint = f"did you mean sqlite:///{uri}?" if uri.endswith(".db") else "give sqlite:///FILE, or a server's http://"
        raise BadInput(f"{given} is no URI; {hint}")
    if uri.startswith("file:"):
        raise BadInput(f"{given} is a folder, in which MLflow no longer writes; give sqlite:///FILE")
    scheme = uri.partition("://")[0].partition("+")[0].lower()
    if scheme not in SCHEMES:
        installed = [plugin.name for plugin in entry_points(group="mlflow.tracking_store")]
        require_known(f"kind of store in {given}:", scheme, [*SCHEMES, *installed])
    if uri.startswith(("http://", "https://")) and not _names_host(uri):
        raise BadInput(f"{given} names no host, or no port that there is; give http://HOST:PORT")


def require_storage_uri(root: str) -> None:
    """Raise ``BadInput`` for a URI of a storage that no start could open, as far as its text tells."""
    if "://" not in root:
        return
    scheme, given, parts = root.partition("://")[0], f"--storage {shown(root)!r}", urlsplit(root)
    require_known(f"kind of storage in {given}:", scheme, (*FOLDERS, *BUCKETS))
    if not (parts.netloc if scheme in BUCKETS else parts.path.strip("/")):
        raise BadInput(f"{given} names no {'bucket' if scheme in BUCKETS else 'folder'}; give one after ://")


def _require_database(file: Path, given: str) -> None:
    """Raise ``BadInput`` for what is there in place of an SQLite database; a file that is missing can be made."""
    if os.path.isdir(file):
        raise BadInput(f"{given} names a folder; give sqlite:///FILE, such as sqlite:///{file}/mlflow.db")
    if not os.path.exists(file):
        return
    if not os.access(file, os.R_OK, effective_ids=True):
        raise BadInput(f"{given} names a file that cannot be read; give one that can")
    with file.open("rb") as content:
        if content.read(16) not in (b"", b"SQLite format 3\0"):  # MLflow would retry for minutes
            raise BadInput(f"{given} names a file that is not a database; give that of MLflow")
    read = f"file:{quote(os.fsencode(file))}?mode=ro"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(read, timeout=1, uri=True)) as found:
        tables = [name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if tables and "experiments" not in tables:  # MLflow would add its own to these
            raise BadInput(f"{given} names a database of another program, with a table {tables[0]!r}; give MLflow's")


def require_writable(file: Path, option: str) -> None:
    """Raise ``BadInput`` unless an SQLite file can be written, and the journal that SQLite keeps beside it."""
    folder = existing_part(file.parent)
    if not folder.is_dir():
        raise BadInput(f"{option} puts the database below {str(folder)!r}, which is a file; name a folder")
    for place in (folder, file):
        try:  # permissions do not tell: /proc takes no file, nor does a disk that is mounted to be read
            if place == folder:
                tempfile.TemporaryFile(dir=folder).close()
            elif os.path.exists(file):
                file.open("r+b").close()
        except OSError as error:
            raise BadInput(
                f"{option} names the database {str(file)!r}, but {str(place)!r} cannot be written; "
                "give another file, in a folder that can be written"
            ) from error


def _names_host(uri: str) -> bool:
    try:
        return bool(urlsplit(uri).hostname) and urlsplit(uri).port != 0
    except ValueError:  # an unclosed bracket, or a port that is not a number
        return False
