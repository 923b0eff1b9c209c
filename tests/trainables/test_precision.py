"""What a run computes in half precision, and what it leaves in float32."""

import pytest
import torch

from tests.trainables.runs import short_run


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_network_is_trained_and_tested_in_the_precision_that_is_asked_for(precision):
    run, seen = short_run(4, precision=precision, recalibrate=True), []
    run.method.network.backbone.stages[0].register_forward_hook(lambda _module, _images, maps: seen.append(maps.dtype))
    run.next_epoch()
    assert seen == 3 * [getattr(torch, precision)]  # a step, a recalibration and a test
    assert not run.scaler.is_enabled()  # only float16 needs one


def test_half_precision_leaves_the_images_of_a_test_and_of_a_recalibration_as_they_are():
    """They are resized and lit on the device, by products of matrices."""
    seen = {"float32": [], "bfloat16": []}
    for precision, images in seen.items():
        run = short_run(precision=precision, recalibrate=True, **{"augment": "rrc_flip", "augment.lighting": 0.5})
        run.method.network.register_forward_pre_hook(lambda _, inputs, images=images: images.append(inputs[0]))
        run.evaluation()
    assert len(seen["float32"]) == 4  # batches of 4, 4 and 2, and a test
    assert all(map(torch.equal, *seen.values()))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_gradient_is_cut_to_its_length_whatever_scales_the_loss(precision):
    few = {"batch_size": 2, "image_size": 8}  # a processor convolves slowly in float16
    run = short_run(6, grad_clip=1e-3, precision=precision, **few, **{"sumix.regulariser": "u"})  # which has weights
    lengths = []

    def see(*_):
        found = [p.grad.flatten() for p in run.method.parameters() if p.grad is not None]
        lengths.append(float(torch.cat(found).norm()))

    run.optimiser.register_step_pre_hook(see)
    run.next_epoch()
    assert lengths == pytest.approx([1e-3] * 3, rel=1e-3)
