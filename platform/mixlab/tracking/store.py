"""Finds an MLflow store and reads what it holds of a study."""

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.uris import shown

ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Recorded:
    """What MLflow knows of a trial."""

    run_id: str
    status: str  # MLflow's: RUNNING, FINISHED, FAILED, KILLED
    error: str
    test_top1: float | None  # percent, of the last epoch that was logged


def connect(tracking_uri: str) -> MlflowClient:
    """A client that has been answered; ``BadInput`` where nobody answers.

    A new SQLite file is created here, once: several writers would crash in its migration.
    """
    if tracking_uri.startswith("sqlite:///"):
        with contextlib.suppress(OSError):  # reported below, by the attempt to open the file
            Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    failure: list[str] = ["it did not answer"]
    client: list[MlflowClient] = []

    def ask() -> None:
        try:
            asked = MlflowClient(tracking_uri)
            asked.search_experiments(max_results=1)
            client.append(asked)
        except Exception as error:  # any of the stores' own exceptions
            failure[0] = _root_cause(error)

    # In a thread: a host that swallows packets would hold the main thread for minutes.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    if not client:
        raise BadInput(
            f"no MLflow store answers at --tracking-uri {shown(tracking_uri)!r} within {ANSWER_SECONDS:.0f} s "
            f"({shown(failure[0])}); give sqlite:///FILE or the http:// address of a running server"
        )
    return client[0]


def recorded(client: MlflowClient, study: str, level: str = "seed") -> dict[str, Recorded]:
    """By key, the run of each trial that the study's experiment has; a finished one wins over its like."""
    experiment = client.get_experiment_by_name(study)
    found: dict[str, Recorded] = {}
    condition = f"tags.`mixlab.level` = '{level}'"
    for run in search_runs(client, experiment.experiment_id, condition) if experiment else ():
        tags, metrics = run.data.tags, run.data.metrics
        if tags["mixlab.key"] not in found or run.info.status == "FINISHED":
            found[tags["mixlab.key"]] = Recorded(
                run.info.run_id, run.info.status, tags.get("mixlab.error", ""), metrics.get("test_top1")
            )
    return found


def search_runs(client: MlflowClient, experiment_id: str, condition: str) -> list[Run]:
    """Every run of an experiment that meets ``condition``, in MLflow's filter language."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _root_cause(error: BaseException) -> str:
    """The first line of the error that started a chain, such as ``Connection refused``."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text.strip() or type(error).__name__).splitlines()[0]
