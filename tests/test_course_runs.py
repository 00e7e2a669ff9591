"""Runs that claims share."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from jemlib.course.machinery import runs
from jemlib.experiments import removals
from jemlib.experiments import runs as experiment_runs
from jemlib.methods import METHODS, SELF_SUPERVISED, build
from jemlib.nets.backbones import BACKBONES, conv_small
from jemlib.scales import SCALES, adjusted_scale, current_scale

pytestmark = pytest.mark.slow  # small runs of every claim


@pytest.fixture(scope="module")
def scale():
    return adjusted_scale(current_scale("smoke"), limit=300, steps=6, batch_size=32)


def weights(method):
    return torch.cat([p.detach().flatten() for p in method.parameters()])


def test_a_run_is_trained_once_and_then_shared(scale):
    first = runs.trained("simclr", 0, scale, 1 / 3, temperature=0.5)
    assert runs.trained("simclr", 0, scale, 1 / 3, temperature=0.5) is first
    assert runs.trained("simclr", 1, scale, 1 / 3, temperature=0.5) is not first


def test_without_a_fraction_the_method_is_the_untrained_one_of_that_seed(scale):
    untrained = runs.trained("vicreg", 0, scale, None)
    assert torch.equal(weights(untrained), weights(runs.build("vicreg", scale=scale, seed=0)))
    assert not torch.equal(weights(untrained), weights(runs.trained("vicreg", 0, scale, 1 / 3)))


def test_a_fraction_is_that_part_of_the_steps_and_at_least_one(scale):
    assert [runs.steps(scale, fraction) for fraction in (1, 1 / 3, 1 / 100)] == [6, 2, 1]


def test_the_images_to_score_on_are_few_at_smoke_only(scale):
    train, test = runs.splits(scale)
    assert (len(train), len(test)) == (300, 200)


@pytest.mark.parametrize("size", list(SCALES))
@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_a_claim_a_removal_and_jem_train_build_one_method(name, size, monkeypatch, tmp_path):
    """Widths, narrow output and momentum come from the scale, whoever asks; the backbone is small here for speed."""
    monkeypatch.setitem(BACKBONES, "resnet18", lambda: conv_small(2))
    monkeypatch.setitem(SCALES, size, dataclasses.replace(SCALES[size], data="motifs", limit=300, batch_size=32))
    built = {}

    def caught(where):
        def fit(method, *_, **__):
            built[where] = method.settings
            raise KeyboardInterrupt

        return fit

    for where, module in (("train", experiment_runs), ("removal", removals), ("claim", runs)):
        monkeypatch.setattr(module, "fit", caught(where))
    nothing = removals.Removal("none", name, {}, "complete", "rankme", 1.0, "loss", None, "")
    for start in (
        lambda: experiment_runs.run(name, scale=size, out=tmp_path),
        lambda: removals.measure(nothing, scale=size),
        lambda: runs.trained(name, 0, SCALES[size], 1 / 7),
    ):
        with pytest.raises(KeyboardInterrupt):
            start()
    assert built["train"] == built["removal"] == built["claim"] == build(name, scale=size).settings
    assert built["train"].get("momentum", SCALES[size].momentum) == SCALES[size].momentum
    assert built["train"]["widths"][-1] == min(SCALES[size].widths[-1], METHODS[name].largest_output or 10**9)
