"""Methods: what `build` promises, and that each step is its loss."""

from __future__ import annotations

import json

import pytest
import torch

from jemlib.losses import barlow_twins, nt_xent, vicreg
from jemlib.methods import METHODS, SELF_SUPERVISED, Batch, build, known_settings
from jemlib.views import Recipe

LOSSES = {
    "simclr": lambda a, b: nt_xent(a, b, 0.2),
    "barlow_twins": lambda a, b: barlow_twins(a, b, 0.01),
    "vicreg": vicreg,
}


@pytest.fixture
def views() -> torch.Tensor:
    return torch.randn(2, 6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_is_the_loss_of_the_embeddings_of_two_views(name: str, views: torch.Tensor) -> None:
    method = build(name)
    loss = method.step(Batch(views))
    expected = LOSSES[name](method.embed(views[0]), method.embed(views[1]))
    torch.testing.assert_close(tuple(loss), tuple(expected))


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_every_parameter_gets_a_gradient(name: str, views: torch.Tensor) -> None:
    method = build(name)
    method.step(Batch(views)).total.backward()
    trained = [(n, p) for n, p in method.named_parameters() if p.requires_grad]
    assert [n for n, p in trained if p.grad is None or not p.grad.abs().sum() > 0] == []
    # What is not trained belongs to a momentum encoder, and has no gradient.
    still = [(n, p) for n, p in method.named_parameters() if not p.requires_grad]
    assert all(".network." in n and p.grad is None for n, p in still)


@pytest.mark.parametrize("name", METHODS)
def test_one_seed_gives_one_set_of_weights_and_leaves_the_global_generator_alone(name: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = build(name, seed=1), build(name, seed=1), build(name, seed=2)
    assert torch.equal(torch.rand(3), expected)
    pairs = zip(first.parameters(), second.parameters())
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize("name", METHODS)
def test_the_settings_rebuild_the_method(name: str) -> None:
    method = build(name, widths=[32, 8], views="vicreg")
    again = build(name, **method.settings)
    assert again.settings == method.settings
    assert set(method.settings) == set(known_settings(name))


def test_an_unknown_setting_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError,
        match=r"'lambd', 'invariance', 'backbone', 'widths', 'views', .*; got 'lambda'. Did you mean 'lambd'",
    ):
        build("barlow_twins", **{"lambda": 0.1})


def test_an_unknown_method_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'simclr', 'barlow_twins', 'vicreg', 'swav', .*; got 'barlow'"):
        build("barlow")


def test_an_unknown_preset_of_views_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="views must be one of"):
        build("simclr", views="simclrr")


def test_the_settings_of_every_ancestor_are_known_once() -> None:
    known = known_settings("swav")
    assert list(known)[:2] == ["prototypes", "temperature"]
    assert {"local_crops", "local_size", "backbone", "widths", "mask_ratio"} <= known.keys()


def test_without_negatives_simclr_trains_on_the_alignment_alone(views: torch.Tensor) -> None:
    loss = build("simclr", negatives=False).step(Batch(views))
    assert torch.equal(loss.total, loss.alignment)
    assert loss.contrast != 0


def test_the_output_is_normalised_where_the_method_or_the_user_wants_it(views: torch.Tensor) -> None:
    for name, settings, normalised in (
        ("vicreg", {}, False),
        ("vicreg", {"normalize_output": True}, True),
        ("simsiam", {}, True),
    ):
        method = build(name, **settings)
        std = method.embed(views[0]).std(dim=0, correction=0)
        assert bool((std - 1).abs().max() < 0.05) == normalised
        assert method.settings["normalize_output"] == normalised
    plain = build("simsiam", normalize_output=False).embed(views[0]).std(dim=0, correction=0)
    assert (plain - 1).abs().max() > 0.05


def test_methods_with_few_dimensions_narrow_the_projector_that_a_scale_proposes() -> None:
    assert METHODS["vicreg"].widths_for((256, 256)) == (256, 256)
    assert METHODS["sigreg"].widths_for((256, 256)) == (256, 64)
    assert METHODS["sigreg"].widths_for((64, 32)) == (64, 32)


def test_a_method_takes_a_recipe_of_its_own_and_its_settings_build_it_again() -> None:
    recipe = Recipe(crop_scale=(0.5, 1.0), grey=0.0)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for given in (recipe, [recipe, Recipe(solarize=1.0)]):
        method = build("simclr", widths=[32, 8], views=given)
        stored = json.loads(json.dumps(method.settings))
        again = build("simclr", **stored)
        assert again.views == method.views == ((recipe,) if given is recipe else tuple(given))
        drawn, expected = (m.make_views(images, torch.Generator().manual_seed(1)) for m in (method, again))
        assert all(map(torch.equal, drawn, expected))


def test_what_is_no_recipe_of_views_is_named() -> None:
    with pytest.raises(
        TypeError, match=r"views must be a name \(simclr, .*\), a Recipe, or a sequence of recipes; got"
    ):
        build("simclr", views=3)
    with pytest.raises(ValueError, match=r"one of .*; got 'gray'\. Did you mean 'grey'"):
        build("simclr", views={"gray": 0.0})
