"""A split that stays on disk: worker processes decode and crop, and the device does the rest, one batch ahead.

The images do not depend on how many workers there are: an image's crop is drawn from (seed, epoch, index).
Workers hand over a few images at a time, so memory is bounded whatever the size of a batch or of the split.

Shape letters: N images of the split, B batch, S side of the images.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import Chunk, Decoder, View
from trainables.datasets.file_list import FileList
from trainables.datasets.resident import Augment, in_unit_range
from trainables.datasets.verified_files import say
from trainables.device.memory import workers_mib

CHUNK = 64  # images that a worker hands over at once
AHEAD = 2  # chunks that each worker may be ahead
NOTED = 50  # the number of batches between two readings of the workers' memory


@dataclass(eq=False)
class Streamed:
    """A split of image files, decoded anew each epoch; the same batches whatever the number of workers.

    Images come out as from ``Resident``: (B, 3, S, S) float32 in [0, 1], channels_last.
    """

    files: FileList
    device: torch.device | str
    _: KW_ONLY
    train_view: View  # the part of an image that ``train_batches`` shows
    test_view: View
    augment: Augment | None  # changes batches of bytes on the device, in training
    skip_bad: bool = False  # leave out images that cannot be decoded, and say so, instead of stopping at the first
    # The number of processes that decode; 0: this one does; None: as many as torch has threads here, a number that
    # Ray sets to the processors of a trial.
    workers: int | None = None
    skipped: set[str] = field(default_factory=set, init=False)
    workers_mib: float = field(default=0.0, init=False)

    def __len__(self) -> int:
        return len(self.files)

    def train_batches(self, batch_size: int, order: Generator, augment: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """See ``BatchSource.train_batches``; crops depend on the initial seed of ``augment``, all else on its state."""
        indices = torch.randperm(len(self), generator=order)
        for images, labels in self._batches(indices, batch_size, self.train_view, augment.initial_seed()):
            yield in_unit_range(images if self.augment is None else self.augment(images, augment)), labels

    def test_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self._batches(torch.arange(len(self)), batch_size, self.test_view, 0):
            yield in_unit_range(images), labels

    def _batches(self, indices: Tensor, batch_size: int, view: View, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches (B, 3, S, S) uint8 on the device, in the order of ``indices``; ``DataError`` if all are bad."""
        decoded = self._decoded(indices, batch_size, view, seed)
        number = 0
        for number, batch in enumerate(_uploaded(decoded, torch.device(self.device)), start=1):
            if number % NOTED == 1:
                self.workers_mib = max(self.workers_mib, workers_mib())
            yield batch
        if number == 0 and len(indices):
            raise DataError(f"no image in {self.files.root} can be decoded")

    def _decoded(self, indices: Tensor, batch_size: int, view: View, seed: int) -> Iterator[list[Chunk]]:
        """Yield the chunks of each batch, as worker processes decode them, without those whose images are all bad."""
        batches = [batch.tolist() for batch in indices.split(batch_size)] if len(indices) else []
        chunks = [[batch[i : i + CHUNK] for i in range(0, len(batch), CHUNK)] for batch in batches]
        wanted = min(torch.get_num_threads(), os.cpu_count() or 1) if self.workers is None else self.workers
        workers = min(wanted, sum(map(len, chunks)))
        loader: DataLoader[Chunk] = DataLoader(
            Decoder(self.files, view, seed),
            batch_size=None,  # the decoder takes a chunk at a time
            sampler=[chunk for batch in chunks for chunk in batch],
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            pin_memory=torch.device(self.device).type == "cuda",
            generator=Generator(),  # otherwise it draws from torch's global generator
            worker_init_fn=_leave_group,
        )
        arriving = iter(loader)
        for batch in chunks:
            if usable := self._usable([next(arriving) for _ in batch]):
                yield usable

    def _usable(self, chunks: list[Chunk]) -> list[Chunk]:
        for failure in (failure for chunk in chunks for failure in chunk.failures):
            if not self.skip_bad:
                raise DataError(f"{failure}: replace it, or set bad_images 'skip', which leaves out such files")
            if failure not in self.skipped:
                self.skipped.add(failure)
                say(f"skipped: {failure}")
        return [chunk for chunk in chunks if len(chunk.labels)]


def _leave_group(worker: int) -> None:
    """Leave the process group, whose signals, such as those of ``timeout`` and SLURM, are for the process that reads.

    It ends its workers. If they ended first, it would take that for a fault, or torch would print a traceback.
    """
    os.setpgrp()


def _uploaded(batches: Iterable[list[Chunk]], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch as one tensor (B, 3, S, S) uint8 on the device; a GPU copies it while the last one is in use."""
    if device.type != "cuda":
        yield from (_joined(chunks, device) for chunks in batches)
        return
    side = torch.cuda.Stream(device)
    ahead: Callable[[], tuple[Tensor, Tensor]] | None = None
    for chunks in batches:
        copying = _copied(chunks, device, side)
        if ahead is not None:
            yield ahead()
        ahead = copying
    if ahead is not None:
        yield ahead()


def _copied(chunks: list[Chunk], device: torch.device, side: torch.cuda.Stream) -> Callable[[], tuple[Tensor, Tensor]]:
    """Start the copy on the stream ``side``; return a function that makes the current stream wait for it."""
    with torch.cuda.stream(side):
        batch = _joined(chunks, device)
        copied = side.record_event()

    def arrive() -> tuple[Tensor, Tensor]:
        stream = torch.cuda.current_stream(device)
        stream.wait_event(copied)
        for tensor in batch:
            tensor.record_stream(stream)  # its memory must not be reused by the side stream before this one is done
        return batch

    return arrive


def _joined(chunks: list[Chunk], device: torch.device) -> tuple[Tensor, Tensor]:
    images = [chunk.images.to(device, non_blocking=True) for chunk in chunks]  # (n, S, S, 3) each
    labels = [chunk.labels.to(device, non_blocking=True) for chunk in chunks]
    whole = images[0] if len(chunks) == 1 else torch.cat(images)
    return whole.permute(0, 3, 1, 2), torch.cat(labels)
