"""SUMix by the paper's equations: worked by hand, its bounds, and where gradients flow."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from tests.trainables.seeded import seeded
from trainables.losses.sumix import SUMixLoss, displacement, relearn
from trainables.losses.sumix_release import ReleasedSUMixLoss
from trainables.losses.sumix_terms import SUMixTerms
from trainables.mixers import MIXERS
from trainables.mixers.mixed import Mixed, mixed_cross_entropy

B, D, L = 6, 5, 4
both_presets = pytest.mark.parametrize("kind", [SUMixLoss, ReleasedSUMixLoss])


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def norm(values: list[float]) -> float:
    return math.sqrt(sum(v * v for v in values))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Mixed]:
    """Return features and logits before and after mixing, labels, and the mixture."""
    mixed = MIXERS["cutmix"](torch.rand(B, 3, 16, 12, generator=seeded(1)), seeded(2))
    labels = torch.tensor([0, 1, 2, 3, 1, 0])
    tensors = (random(B, D, seed=3), random(B, L, seed=4), random(B, D, seed=5), random(B, L, seed=6))
    return (*(t.to(dtype).requires_grad_() for t in tensors), labels, mixed)


def loss_of(terms: SUMixTerms, dtype: torch.dtype = torch.float64, kind: type[SUMixLoss] = SUMixLoss) -> SUMixLoss:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(D, L, terms).to(dtype)


def test_equation_4_by_hand():
    mixture, sources = [1.5, 0.2, -0.5], [[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [0.3, -2.0, 0.1]]
    for weights in ([0.6, 0.4], [0.5, 0.3, 0.2]):  # a third source is scaled by its own distance
        count = len(weights)
        distances = [norm(softmax([m - s for m, s in zip(mixture, source, strict=True)])) for source in sources[:count]]
        scaled = [w * math.exp(-d) for w, d in zip(weights, distances, strict=True)]
        expected = [s / sum(scaled) for s in scaled]
        before = torch.tensor([sources[:count]], dtype=torch.float64)
        shift = displacement(torch.tensor([mixture], dtype=torch.float64, requires_grad=True), before)
        learned = relearn(torch.tensor([weights], dtype=torch.float64), shift)
        assert learned[0].tolist() == pytest.approx(expected, abs=1e-12)
        assert not learned.requires_grad  # unless it is asked for
        assert expected[0] > weights[0]  # the mixture is nearest to the first


def test_equation_5_by_hand():
    """The uncertainty vector has unit length; before that, its norm is the paper's scalar u."""
    sumix = loss_of(SUMixTerms(regulariser="u"))
    features = random(1, D, seed=8)
    p = softmax((sumix.uncertainty.weight @ features[0] + sumix.uncertainty.bias).tolist())
    assert sumix.doubt(features)[0].tolist() == pytest.approx([value / norm(p) for value in p], abs=1e-12)


def test_the_mean_of_lambda_over_the_batch_weighs_every_row_by_hand():
    *_, mixed_logits, labels, mixed = arguments = batch()
    of_rows = loss_of(SUMixTerms(regulariser="none"))(*arguments)
    found = loss_of(SUMixTerms(regulariser="none", lam_of="batch"))(*arguments)
    assert of_rows.weights[:, 0].std() > 0.01
    mean = [sum(column) / B for column in zip(*of_rows.weights.tolist(), strict=True)]
    assert found.weights.tolist() == [pytest.approx(mean)] * B
    assert found.regulariser == found.z_su == 0  # there is none
    log_p, classes = mixed_logits.log_softmax(dim=1), labels[mixed.sources]
    loss = -sum(mean[k] * log_p[b, classes[b, k]].item() for b in range(B) for k in range(len(mean))) / B
    assert found.loss.item() == pytest.approx(loss, rel=1e-6)


def test_lambda_stays_within_its_bounds_and_reaches_towards_them():
    """A distance lies in [1 / sqrt(L), 1], so the odds change by a factor of exp(1 - 1 / sqrt(L)) at most."""
    classes = 100
    weights = torch.rand(4000, 2, generator=seeded()).double() + 1e-3
    weights /= weights.sum(dim=1, keepdim=True)
    shift = displacement(20 * random(4000, classes), 20 * random(4000, 2, classes, seed=1))
    learned = relearn(weights, shift)
    odds = (learned[:, 0] / learned[:, 1]) / (weights[:, 0] / weights[:, 1])
    bound = math.exp(1 - 1 / math.sqrt(classes))
    assert 1 / bound <= odds.min() < 1 < odds.max() <= bound
    extreme = torch.tensor([[[0.0] * classes, [50.0] + [0.0] * (classes - 1)]], dtype=torch.float64)
    half = relearn(torch.tensor([[0.5, 0.5]], dtype=torch.float64), extreme.softmax(dim=-1))
    assert half[0, 0].item() == pytest.approx(bound / (1 + bound), abs=1e-9)  # 0.711 of the paper's 0.5
    torch.testing.assert_close(learned.sum(dim=1), torch.ones(4000).double())


@pytest.mark.parametrize(
    ("z", "digits", "wanted"),
    [("logits", 2, (0.97, 0.92, 0.72, 0.5, 0.28)), ("probabilities", 3, (0.950, 0.900, 0.700, 0.500, 0.300))],
)
def test_lambda_of_a_calibrated_network_moves_by_logits_alone(z, digits, wanted):
    """It is 95 % sure of either image, and of a mixture exactly in its proportion."""
    classes, drawn = 100, torch.tensor([0.95, 0.9, 0.7, 0.5, 0.3], dtype=torch.float64)
    confident = torch.full((2, classes), 0.05 / (classes - 1), dtype=torch.float64)
    confident[0, 0] = confident[1, 1] = 0.95
    weights = torch.stack((drawn, 1 - drawn), dim=1)
    loss = SUMixLoss(D, classes, SUMixTerms(z=z))
    before, after = (loss.z(random(1, D), p.log()) for p in (confident, weights @ confident))
    learned = relearn(weights, displacement(after, before.expand(5, 2, classes)))
    assert learned[:, 0].tolist() == pytest.approx(wanted, abs=0.51 * 10**-digits)


def test_equal_distances_leave_lambda_as_it_was_and_a_large_scale_loses_no_row():
    weights = torch.tensor([[0.3, 0.7], [1.0, 0.0], [0.5, 0.5]])
    same = displacement(random(3, L).float(), random(3, 1, L, seed=1).float().expand(3, 2, L))
    torch.testing.assert_close(relearn(weights, same), weights, rtol=0, atol=1e-7)
    learned = relearn(weights.double(), 5000 * displacement(random(3, L), random(3, 2, L, seed=1)))
    torch.testing.assert_close(learned.sum(dim=1), torch.ones(3).double())


def test_a_source_without_weight_gets_none_however_near_it_is():
    confident = torch.tensor([[20.0, 0.0, 0.0], [0.0, 0.0, 0.0], [20.0, 0.0, 0.0]])  # only the second moved little
    shift, weights = 300 * confident.softmax(dim=-1)[None], torch.tensor([[0.25, 0.0, 0.75], [0.0, 0.0, 1.0]])
    assert torch.equal(relearn(weights, shift.expand(2, 3, 3)), weights)


@both_presets
def test_half_precision_gives_finite_losses_and_gradients(kind):
    for dtype, scale in itertools.product((torch.float16, torch.bfloat16), (1.0, 1000.0)):
        features, logits, mixed_features, mixed_logits, labels, mixed = batch(dtype)
        scaled = (features, logits * scale, mixed_features, mixed_logits * scale)
        loss = loss_of(SUMixTerms(), dtype, kind)(*scaled, labels, mixed).loss
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        loss.backward()
        assert mixed_logits.grad.isfinite().all()


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"regulariser": "s"}, {"regulariser": "u"}, {"z": "probabilities"}, {"z": "features"}),
        *({"distance_gradient": "detach"}, {"lam_gradient": "flow"}, {"sem_scale": 3.0}),
    ],
)
def test_equations_3_and_6_and_each_reading_of_them_by_hand(options):
    """The loss agrees with loops over rows and sources, and so do its gradients, where it has any.

    The semantic term reaches the mixture alone; uncertainty reaches the features of both batches, and its layer.
    """
    sumix, regulariser = loss_of(SUMixTerms(zeta=0.7, **options)), options.get("regulariser", "su")
    features, logits, mixed_features, mixed_logits, labels, mixed = batch()
    z = {"logits": (logits, mixed_logits), "features": (features, mixed_features)}.get(options.get("z", "logits"))
    before, after = z or (logits.softmax(dim=1), mixed_logits.softmax(dim=1))
    doubt, mixed_doubt = sumix.doubt(features), sumix.doubt(mixed_features)
    total, mean_z_su = torch.zeros((), dtype=torch.float64), 0.0
    for b in range(B):
        sources = mixed.sources[b].tolist()
        shifts = [(after[b] - before[source].detach()).softmax(dim=0) for source in sources]
        scale = options.get("sem_scale", 1.0)
        scaled = [mixed.weights[b, k] * torch.exp(-scale * shift.norm()) for k, shift in enumerate(shifts)]
        learned = [s / sum(scaled) for s in scaled]
        if options.get("lam_gradient") != "flow":
            learned = [lam.detach() for lam in learned]
        for k, source in enumerate(sources):
            total = total - learned[k] * mixed_logits[b].log_softmax(dim=0)[labels[source]]
            moved = shifts[k].detach() if options.get("distance_gradient") == "detach" else shifts[k]
            distance = moved.norm() if options.get("z") == "features" else moved / moved.norm()
            energy = {"s": distance, "u": 0.0}.get(regulariser, distance)
            energy = energy + (0.0 if regulariser == "s" else doubt[source] + mixed_doubt[b])
            z_su = torch.exp(-energy)
            mean_z_su += z_su.mean().item() / (B * len(sources))
            total = total - 0.7 * mixed.weights[b, k] * z_su.log_softmax(dim=0)[labels[source]]
    weight = sumix.uncertainty.weight
    reached = (mixed_logits,) if regulariser == "s" else (mixed_logits, mixed_features, features, weight)
    by_hand = torch.autograd.grad(total / B, reached)
    parts = sumix(features, logits, mixed_features, mixed_logits, labels, mixed)
    torch.testing.assert_close(parts.loss, total / B, rtol=1e-6, atol=0)  # the mixer's weights are float32
    assert parts.z_su.item() == pytest.approx(mean_z_su)
    ours = torch.autograd.grad(parts.loss, reached, retain_graph=True)
    for one, other in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    others = (logits, features, mixed_features, weight) if regulariser == "s" else (logits,)
    assert not any(grad is not None for grad in torch.autograd.grad(parts.loss, others, allow_unused=True))
    usual = loss_of(SUMixTerms(zeta=0.7))(features, logits, mixed_features, mixed_logits, labels, mixed).loss
    change = (torch.autograd.grad(usual, mixed_logits)[0] - ours[0]).abs().max()
    assert change > 1e-4 if options else change == 0  # the option does something


def test_the_semantic_term_pushes_against_the_class_and_with_detached_distances_not_at_all():
    """In 2,000 random pairs l_s rises with the logit of the source's own class: it penalises confidence."""
    rows, classes = 2000, 10
    after, before = random(rows, classes, seed=1).requires_grad_(), random(rows, classes, seed=2)
    label = torch.randint(classes, (rows,), generator=seeded(3))
    shift = displacement(after, before[:, None])
    own = torch.exp(-torch.nn.functional.normalize(shift, dim=-1)).log_softmax(dim=-1)[:, 0].gather(1, label[:, None])
    (gradient,) = torch.autograd.grad(-own.sum(), after)
    assert (gradient.gather(1, label[:, None]) > 0).all()

    *_, mixed_logits, labels, mixed = arguments = batch()
    terms = SUMixTerms(lam="fixed", regulariser="s", distance_gradient="detach", zeta=1.0)
    (ours,) = torch.autograd.grad(loss_of(terms)(*arguments).loss, mixed_logits)
    (plain,) = torch.autograd.grad(mixed_cross_entropy(mixed_logits, labels, mixed), mixed_logits)
    torch.testing.assert_close(ours, plain)


@both_presets
def test_smoothing_concerns_the_first_term_alone(kind):
    *_, mixed_logits, labels, mixed = arguments = batch()
    plain, smooth = (kind(D, L, SUMixTerms(), smoothing).double() for smoothing in (0.0, 0.2))
    smooth.load_state_dict(plain.state_dict())
    one, two = plain(*arguments), smooth(*arguments)
    assert torch.equal(one.regulariser, two.regulariser)
    weighted = mixed._replace(weights=one.weights)
    gap = mixed_cross_entropy(mixed_logits, labels, weighted, 0.2) - mixed_cross_entropy(mixed_logits, labels, weighted)
    torch.testing.assert_close(two.loss - one.loss, gap)
