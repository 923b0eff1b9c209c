"""Distinguishes an outage of MLflow, which is waited out, from everything that no repetition will fix.

A disk that is full is an outage: somebody may free some of it.
"""

from mlflow.exceptions import MlflowException
from requests.exceptions import HTTPError, RequestException
from sqlalchemy.exc import InterfaceError, OperationalError

from mixlab.errors import no_room

AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")  # MLflow's words
AWAY_STATUS = (408, 429, 502, 503, 504)  # a server's, for an artifact


def is_outage(error: Exception) -> bool:
    """Return whether ``error`` says that MLflow is away for a while."""
    if no_room(error):
        return True
    if isinstance(error, MlflowException):
        return error.error_code in AWAY
    if isinstance(error, HTTPError) and error.response is not None:
        return error.response.status_code in AWAY_STATUS
    if type(error).__module__.startswith("botocore"):  # the client of S3 artifacts, which need not be installed
        return not hasattr(error, "response")
    return isinstance(error, RequestException | ConnectionError | TimeoutError | OperationalError | InterfaceError)
