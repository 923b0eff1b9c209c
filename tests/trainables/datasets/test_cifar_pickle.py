import pickle

import numpy as np
import pytest

from trainables.datasets.cifar10 import read_batch
from trainables.datasets.dataset import DataError

# As Python 2 with an old NumPy wrote it: data = [[1, 2, 255]] of uint8, labels = [7]; put together by hand.
PYTHON2 = (
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x01K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x03\x01\x02\xfftbU\x06labels](K\x07eu."
)


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_reads_what_python_2_wrote():
    batch = read_batch(PYTHON2)
    assert batch["data"].dtype == np.uint8
    assert batch["data"].tolist() == [[1, 2, 255]]
    assert batch["labels"] == [7]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_what_python_3_writes(protocol):
    data = np.arange(12, dtype=np.uint8).reshape(2, 6)
    batch = read_batch(pickle.dumps({"data": data, "fine_labels": [1, 2]}, protocol=protocol))
    assert batch["data"].tolist() == data.tolist()
    assert batch["fine_labels"] == [1, 2]


def test_runs_nothing_that_a_file_names(tmp_path):
    content = pickle.dumps({"data": Attack(str(tmp_path / "made")), "labels": []})
    with pytest.raises(DataError, match=r"it names \w+\.open"):
        read_batch(content)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", PYTHON2[:-20], pickle.dumps([1, 2])])
def test_refuses_what_is_no_batch(content):
    with pytest.raises(DataError, match="not a CIFAR batch file"):
        read_batch(content)
