"""Distinguishes an outage of MLflow, which is waited out, from everything that no repetition will fix.

A disk that is full is an outage: somebody may free some of it.
"""

import re

from mlflow.exceptions import MlflowException
from requests.exceptions import HTTPError, RequestException
from sqlalchemy.exc import InterfaceError, OperationalError

from mixlab.errors import no_room

AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")  # MLflow's words
AWAY_STATUS = (408, 429, 500, 502, 503, 504)  # a server's, or a proxy's
# MLflow has the word INTERNAL_ERROR for any status that it does not know.
STATUS = re.compile(r"failed with error code (\d{3})")
LASTING = ("attempt to write a readonly database", "no such table", "no such column")  # SQLite calls it operational


def is_full(error: Exception) -> bool:
    """Return whether ``error`` says that the disk of MLflow's files or of its SQLite database is full."""
    return no_room(error) or "database or disk is full" in str(error)


def is_outage(error: Exception) -> bool:
    """Return whether ``error`` says that MLflow is away for a while."""
    if is_full(error):
        return True
    if isinstance(error, MlflowException):
        status = STATUS.search(str(error))
        if status is not None and int(status[1]) not in AWAY_STATUS:
            return False
        return error.error_code in AWAY and not any(words in str(error) for words in LASTING)
    if isinstance(error, HTTPError) and error.response is not None:
        return error.response.status_code in AWAY_STATUS
    if type(error).__module__.startswith("botocore"):  # the client of S3 artifacts, which need not be installed
        return not hasattr(error, "response")
    if isinstance(error, OperationalError):
        return not any(words in str(error) for words in LASTING)
    return isinstance(error, RequestException | ConnectionError | TimeoutError | InterfaceError)
