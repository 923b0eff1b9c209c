"""Starts the processes that train one network together, and finds out when one of them is lost.

The process that asks for them is number 0: it alone reports and writes checkpoints. The others do the same work
alongside it, and end with it.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist

HOST = "127.0.0.1"
PATIENCE = timedelta(minutes=30)  # the longest wait of the others, such as for the writing of a checkpoint
NOTICED = 60.0  # seconds in which this process should notice by itself that another is lost
PR_SET_PDEATHSIG = 1  # for Linux's prctl: sets the signal that a process gets when its parent ends


class LostProcess(Exception):
    """One of the processes that train together has ended before the others."""


def require_devices(processes: int) -> None:
    """Raise ``ValueError`` if there are GPUs, but fewer than ``processes``."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else processes
    if processes > found:
        raise ValueError(
            f"processes must be at most {found}, the number of GPUs, each of which takes one, got {processes}"
        )


@contextlib.contextmanager
def accompanied(processes: int, work: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """Run ``work(*arguments)`` in ``processes - 1`` new processes; this one, the first, does the same inside the block.

    Each has a GPU of its own where there are any. They are started afresh, so that a script needs the usual guard, ``if
    __name__ == "__main__"``. With one process, nothing is started. If one fails or is killed, ``LostProcess`` is
    raised.
    """
    if processes == 1:
        yield
        return
    require_devices(processes)
    threads = torch.get_num_threads()
    each = max(1, threads // processes)
    store = _store()
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_other, args=(number, processes, store.port, each, work, arguments))
        for number in range(1, processes)
    ]
    done = threading.Event()
    for other in others:
        other.start()
    try:
        _await(others, store)
        threading.Thread(target=_watch, args=(others, store, done), daemon=True).start()
        _join_in(0, processes, store, each)
        yield
        dist.destroy_process_group()  # in which NCCL waits for the same call of the others
        for other in others:
            other.join()
        _require_all(others, store)
    except RuntimeError:  # what torch raises when another process no longer answers
        for other in others:
            other.join(timeout=5)
        _require_all(others, store)
        raise
    finally:
        done.set()
        for other in others:
            other.kill()
            other.join()
        if (group := dist.group.WORLD) is not None:
            group.abort()  # else NCCL would wait for the others, which have ended
            dist.destroy_process_group()
        torch.set_num_threads(threads)


def _store() -> dist.TCPStore:
    """Return the store by which the processes find each other; on a port of its own, it would let any machine in."""
    server = socket.create_server((HOST, 0))
    port, descriptor = server.getsockname()[1], server.detach()
    return dist.TCPStore(
        HOST, port, is_master=True, wait_for_workers=False, timeout=PATIENCE, master_listen_fd=descriptor
    )


def _await(others: Sequence[BaseProcess], store: dist.TCPStore) -> None:
    """Wait until every other process has started; raise ``LostProcess`` if one has ended instead."""
    for number in range(1, len(others) + 1):
        while not store.check([f"started {number}"]):
            _require_all(others, store)
            others[number - 1].join(timeout=0.05)


def _require_all(others: Sequence[BaseProcess], store: dist.TCPStore) -> None:
    """Raise ``LostProcess`` if one of the processes has ended before it was done."""
    for number, other in enumerate(others, start=1):
        if other.exitcode:
            key = f"error {number}"
            error = f": {store.get(key).decode()}" if store.check([key]) else ""
            code = other.exitcode
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise LostProcess(f"process {number} of the {len(others) + 1} that train together {how}{error}") from None


def _watch(others: Sequence[BaseProcess], store: dist.TCPStore, done: threading.Event) -> None:
    """End this process if another is lost and it does not notice by itself: on a GPU it would wait for ever.

    Exit codes are not asked for before that: of two threads that ask at the same time, one may be given none.
    """
    running = {other.sentinel for other in others}
    while running:
        running -= set(wait(list(running)))
        if done.wait(NOTICED):
            return
        try:
            _require_all(others, store)
        except LostProcess as lost:
            sys.stderr.write(f"{lost}\n")
            os._exit(1)


def _join_in(number: int, processes: int, store: dist.TCPStore, threads: int) -> None:
    torch.set_num_threads(threads)
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(number)
        backend = "nccl"
    else:
        # Else gloo would look up the machine's name, which may lead nowhere.
        loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    dist.init_process_group(backend, store=store, rank=number, world_size=processes, timeout=PATIENCE)


def _other(
    number: int, processes: int, port: int, threads: int, work: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    """Do the work of a further process."""
    multiprocessing.set_start_method(None, force=True)  # else decoders would start afresh in every epoch
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # because a parent that is killed cannot end its children
    store = dist.TCPStore(HOST, port, timeout=PATIENCE)
    try:
        store.set(f"started {number}", "")
        _join_in(number, processes, store, threads)
        work(*arguments)
    except BaseException as error:
        store.set(f"error {number}", traceback.format_exception_only(error)[-1].strip())
        raise
    dist.destroy_process_group()
