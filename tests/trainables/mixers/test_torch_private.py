"""The private part of torch that the mixers depend on."""

import torch

PIN = "constraints.txt pins torch 2.15, whose torch._standard_gamma takes a generator: see trainables/mixers/mixed.py"


def test_gamma_is_drawn_from_a_generator() -> None:
    shape = torch.full((4000,), 2.0)
    try:
        first, again = (torch._standard_gamma(shape, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    except (AttributeError, TypeError) as error:
        raise AssertionError(PIN) from error
    assert torch.equal(first, again), PIN
    # The mean of Gamma(2, 1) is 2 with a standard error of sqrt(2 / 4000); five of those.
    assert abs(first.mean().item() - 2) < 5 * (2 / 4000) ** 0.5, PIN
