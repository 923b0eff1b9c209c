"""The words that tell the machine of a run from another, and the precision in which it computes."""

import pytest
import torch

from trainables import hardware
from trainables.hardware import environment, precision_of


def test_the_hardware_tells_of_the_threads_that_add_up():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = environment(torch.device("cpu"))
        torch.set_num_threads(2)
        assert alone["libraries"].startswith("torchvision ")
        assert environment(torch.device("cpu")) == {**alone, "hardware": f"{alone['hardware']} and 2 threads"}
    finally:
        torch.set_num_threads(threads)


def test_the_hardware_of_a_gpu_is_its_name_with_the_versions_that_it_computes_by(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA H200 of {device}")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(hardware, "DRIVER", tmp_path / "version")
    without = environment(torch.device("cuda"))
    assert without["hardware"] == "NVIDIA H200 of cuda"
    assert without["cudnn"] == "91002"
    assert without.keys() - environment(torch.device("cpu")).keys() == {"cuda", "cudnn"}
    (tmp_path / "version").write_text("570.1\n")
    assert environment(torch.device("cuda")) == {**without, "driver": "570.1"}


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_the_half_precision_that_a_gpu_computes_in_itself(native, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    assert precision_of("auto", torch.device("cpu")) == torch.float32
    assert precision_of("auto", torch.device("cuda")) == (torch.bfloat16 if native else torch.float16)
    assert precision_of("float32", torch.device("cuda")) == torch.float32
