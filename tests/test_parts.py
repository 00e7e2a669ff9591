"""The parts of BYOL: what removing each leaves, and that a gradient flows where the stop-gradient is gone."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from jemlib.data import load
from jemlib.experiments.parts import (
    CELLS,
    PARTS,
    ThroughTheAverage,
    TrainedTarget,
    brief,
    misplaced,
    remade,
    with_parts,
)
from jemlib.losses import byol
from jemlib.methods import BYOL, Batch
from jemlib.scales import SCALES
from jemlib.train import fit

ALL = frozenset(PARTS)


def batch(method, progress: float = 0.0) -> Batch:
    pixels = load("motifs", "train", limit=12).pixels
    return Batch(method.make_views(pixels, torch.Generator().manual_seed(0)), progress=progress)


def slopes(method, progress: float = 0.0) -> list[torch.Tensor]:
    """Gradients of backbone and projector after one step's loss."""
    method.step(batch(method, progress)).total.backward()
    return [p.grad for p in method.student().parameters()]


def test_there_are_eight_cells_and_the_whole_method_comes_first() -> None:
    assert len(set(CELLS)) == 8
    assert CELLS[0] == ALL
    assert CELLS[-1] == frozenset()


@pytest.mark.parametrize("parts", CELLS, ids=lambda parts: "+".join(sorted(parts)) or "none")
def test_every_cell_trains_and_starts_from_the_weights_of_its_seed(parts: frozenset[str]) -> None:
    method, whole = (with_parts(chosen, scale="smoke", seed=3) for chosen in (parts, ALL))
    for mine, theirs in zip(method.student().parameters(), whole.student().parameters()):
        assert torch.equal(mine, theirs)
    before = [p.detach().clone() for p in method.student().parameters()]
    fit(method, load("motifs", "train", limit=128), scale="smoke", seed=0, steps=1)
    assert any(not torch.equal(old, new) for old, new in zip(before, method.student().parameters()))


def test_through_the_average_at_momentum_0_is_the_student_as_its_own_target_without_stop_gradient() -> None:
    through = with_parts({"predictor", "momentum"}, scale="smoke", momentum=0.0)
    assert isinstance(through, ThroughTheAverage)
    own = with_parts({"predictor"}, scale="smoke")
    for mine, theirs in zip(slopes(through), slopes(own)):
        assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_through_the_average_at_momentum_1_has_the_gradient_of_byol() -> None:
    through = with_parts({"predictor", "momentum"}, scale="smoke", momentum=1.0)
    whole = with_parts(ALL, scale="smoke", momentum=1.0)
    for mine, theirs in zip(slopes(through), slopes(whole)):
        assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_the_gradient_through_the_average_differs_from_byols_and_the_target_moves_before_the_step() -> None:
    through = with_parts({"predictor", "momentum"}, scale="smoke", momentum=0.5)
    whole = with_parts(ALL, scale="smoke", momentum=0.5)
    with torch.no_grad():  # away from the copy that it starts as
        for method in (through, whole):
            for p in method.target.network.parameters():
                p.mul_(1.1)
    old = [p.clone() for p in through.target.network.parameters()]
    differ = [not torch.allclose(a, b, rtol=0.01) for a, b in zip(slopes(through), slopes(whole))]
    assert any(differ)
    for before, now, theta in zip(old, through.target.network.parameters(), through.student().parameters()):
        assert_close(now, 0.5 * before + 0.5 * theta.detach())


def test_a_trained_target_gets_a_gradient_and_gives_the_student_none_of_its_own() -> None:
    whole = with_parts(ALL, scale="smoke")
    trained = remade(TrainedTarget, whole)
    for mine, theirs in zip(slopes(trained), slopes(whole)):
        assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    assert all(p.grad is not None for p in trained.target.network.parameters())
    assert all(p.grad is None for p in whole.target.network.parameters())


def test_a_misplaced_stop_gradient_trains_the_projections_and_not_the_predictions() -> None:
    generator = torch.Generator().manual_seed(0)
    p_a, p_b, z_a, z_b = (
        torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(4)
    )
    wrong, right = misplaced()(p_a, p_b, z_a, z_b), byol(p_a, p_b, z_a, z_b)
    for mine, theirs in zip(wrong, right):
        assert_close(mine, theirs)  # the values are the same: the loss alone does not tell
    wrong.total.backward()
    assert p_a.grad is None
    assert p_b.grad is None
    assert float(z_a.grad.norm()) > 0.01
    assert float(z_b.grad.norm()) > 0.01


def test_brief_runs_are_two_small_steps_at_scale_smoke_and_forty_else() -> None:
    assert (brief(SCALES["smoke"]).steps, brief(SCALES["smoke"]).batch_size) == (2, 16)
    assert (brief(SCALES["cpu"]).steps, brief(SCALES["cpu"]).warmup) == (40, 8)


def test_bad_input_names_the_argument() -> None:
    with pytest.raises(ValueError, match="part must be one of"):
        with_parts({"predictr"}, scale="smoke")
    with pytest.raises(TypeError, match="parts must be a list of names"):
        with_parts("predictor", scale="smoke")
    with pytest.raises(ValueError, match="momentum_encoder must be True"):
        TrainedTarget(momentum_encoder=False)
    assert isinstance(with_parts(ALL, scale="smoke"), BYOL)
