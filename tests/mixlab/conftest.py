"""What the tests of the platform share: figures, which the analysis tests, are made but not painted."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from matplotlib.figure import Figure


@pytest.fixture(autouse=True, scope="module")
def _unpainted_figures() -> Iterator[None]:
    def savefig(figure: Figure, file: str | Path | IO[bytes], **options: Any) -> None:
        if isinstance(file, str | Path):
            Path(file).touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield
