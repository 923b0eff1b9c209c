"""Calls a function once for each of many values, as tasks of a Ray cluster: one of its own, or a running one."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

AHEAD = 2  # values under way for each processor or GPU


def in_ray(
    waiting: Iterable[tuple[str, Any]], address: str, function: Callable[..., Any], *arguments: Any
) -> Iterator[tuple[str, Any]]:
    """Yield each key with ``function(value, *arguments)``, as the tasks end; a task has one processor, and one GPU.

    Args:
        waiting: keys, and the values to call the function with, which are taken when their turn comes.
        address: ``local`` starts a cluster that ends with this loop; ``auto`` or ``HOST:PORT`` joins one.
        function: a function from a module of ``analysis`` or ``trainables``, which travel with it.
        arguments: the same for every call.

    Raises:
        BadInput: no cluster answers at the address.
        HeadLost: the cluster's head has died; what was yielded before is not lost.
        ValueError, OSError: as the function raised it. Any other error, such as that of a worker without a package, is
            yielded as a sentence.
    """
    import ray

    import analysis
    import trainables
    from mixlab.cluster import connect, head
    from mixlab.cluster.resources import require_address
    from mixlab.errors import first_line

    require_address(address)
    with connect.connected(address, analysis, trainables) as resources:
        gpus = float(resources.get("GPU", 0) > 0)
        task = ray.remote(num_cpus=1, num_gpus=gpus)(function)
        most = AHEAD * max(1, int(resources.get("GPU" if gpus else "CPU", 1)))
        left = iter(waiting)
        running: dict[Any, str] = {}
        while True:
            for key, value in islice(left, most - len(running)):
                running[task.remote(value, *arguments)] = key
            if not running:
                return
            (done,) = head.first_done(list(running))
            try:
                (answer,) = head.results([done])
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, ValueError | OSError):
                    raise error.cause from None
                answer = f"its task failed: {type(error.cause).__name__}: {first_line(error.cause)}"
            except ray.exceptions.RayError as error:
                answer = f"its task was lost: {first_line(error)}"
            yield running.pop(done), answer
