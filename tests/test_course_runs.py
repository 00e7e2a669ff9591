"""Runs that claims share."""

from __future__ import annotations

import pytest
import torch

from jemlib.course.machinery import runs
from jemlib.scales import adjusted_scale, current_scale


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
