"""Probes of factors, layers and few labels: what is planted is found, noise is not, and bad input is named."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from planted import generator, planted_clusters, randn

from jemlib import methods
from jemlib.data import Images, load
from jemlib.evaluate import factors as probes
from jemlib.nets import evaluating
from jemlib.views import normalize

N, M, D = 300, 200, 12


def probe(z: torch.Tensor, factors: dict[str, torch.Tensor], **options) -> dict[str, float]:
    """Fit on the first N rows, score on the rest."""
    train, test = ({k: v[part] for k, v in factors.items()} for part in (slice(N), slice(N, None)))
    return probes.factor_probe(z[:N], train, z[N:], test, **options)


# --- factors ----------------------------------------------------------------------------------------------------


def test_factors_written_into_the_features_score_1_and_absent_ones_about_0() -> None:
    z = randn(N + M, D)
    factors = {"there": z[:, 0] * 3 - 7 + z[:, 1], "absent": randn(N + M, seed=1)}
    scores = probe(z @ randn(D, D, seed=2), factors)
    assert scores["there"] == pytest.approx(1, abs=1e-3)
    assert scores["absent"] == pytest.approx(0, abs=0.1)


def test_a_factor_under_as_much_noise_scores_one_half() -> None:
    z = randn(N + M, 1)
    assert probe(z, {"half": z[:, 0] + randn(N + M, seed=3)})["half"] == pytest.approx(0.5, abs=0.12)


def test_ridge_scores_are_those_of_least_squares_in_closed_form() -> None:
    """With far more samples than dimensions and little noise the smallest penalty is chosen, and hardly matters."""
    z = randn(N + M, 4).double()
    y = z @ randn(4, 1, seed=4).double()[:, 0] + 0.1 * randn(N + M, seed=5).double()
    x = torch.cat([z, torch.ones(N + M, 1)], dim=1)
    weights = torch.linalg.lstsq(x[:N], y[:N, None]).solution[:, 0]
    residual = y[N:] - x[N:] @ weights
    expected = 1 - residual.square().sum() / (y[N:] - y[N:].mean()).square().sum()
    assert probe(z, {"y": y})["y"] == pytest.approx(float(expected), abs=1e-4)


def test_a_circular_factor_is_read_off_across_the_wrap_around() -> None:
    """Hues near 0 and near 1 are the same red: fine as (cos, sin), hopeless as a plain number."""
    hue = (torch.rand(N + M, generator=generator()) * 0.2 - 0.1) % 1
    z = torch.stack([(math.tau * hue).cos(), (math.tau * hue).sin()], dim=1)
    z = torch.cat([z, randn(N + M, 3)], dim=1)
    assert probe(z, {"foreground_hue": hue})["foreground_hue"] > 0.999
    shifted = probe(z, {"foreground_hue": (hue + 0.1) % 1})["foreground_hue"]  # the same, away from the wrap
    assert shifted > 0.999
    # a pattern that separates the two sides of the wrap is not in (cos, |sin|)
    folded = torch.stack([z[:, 0], z[:, 1].abs()], dim=1)
    assert probe(folded, {"foreground_hue": hue})["foreground_hue"] < 0.6
    assert probe(folded, {"plain": hue})["plain"] < 0.2


def test_the_circular_score_is_the_mean_of_cosine_and_sine() -> None:
    angle = torch.rand(N + M, generator=generator()) * math.tau
    scores = probe(angle.cos()[:, None], {"light_angle": angle, "mine": angle / 2}, circular={"mine": math.pi})
    assert scores["mine"] == pytest.approx(0.5, abs=0.05)  # the cosine is known, the sine is not
    assert scores["light_angle"] < 0.1  # not circular here: only the names given are


def test_a_factor_of_two_columns_scores_their_mean() -> None:
    z = randn(N + M, 1)
    scores = probe(z, {"position": torch.cat([z, randn(N + M, 1, seed=6)], dim=1)})
    assert scores["position"] == pytest.approx(0.5, abs=0.05)


def test_classes_score_1_when_separable_and_0_at_chance() -> None:
    label = torch.arange(N + M) % 3
    scores = probe(F.one_hot(label).float() + 0.01 * randn(N + M, 3), {"pattern": label})
    assert scores["pattern"] == 1
    rare = (torch.arange(N + M) % 10 == 0).long()  # naming the commonest class is right in 9 of 10 and worth nothing
    assert probe(torch.ones(N + M, 2), {"rare": rare})["rare"] == pytest.approx(0, abs=1e-9)


def test_constant_factors_and_the_noise_seed_are_left_out() -> None:
    z = randn(N + M, D)
    factors = {
        "occlusion": torch.zeros(N + M),
        "noise_seed": torch.arange(N + M),
        "left.noise_seed": torch.arange(N + M),
        "one_class": torch.ones(N + M, dtype=torch.int64),
        "foreground_hue": torch.full((N + M,), 0.5),
        "kept": torch.stack([torch.full((N + M,), 3.0), z[:, 0]], dim=1),
    }
    scores = probe(z, factors)
    assert list(scores) == ["kept"]
    assert scores["kept"] == pytest.approx(1, abs=1e-3)  # the constant column is not averaged in


def test_scores_ignore_the_scale_and_offset_of_single_feature_dimensions() -> None:
    z = randn(N + M, D)
    factors = {"f": z[:, 0] + randn(N + M, seed=1)}
    moved = z.double() * torch.logspace(-3, 3, D, dtype=torch.float64) + 5
    assert probe(moved, factors)["f"] == pytest.approx(probe(z.double(), factors)["f"], abs=1e-6)


def test_constant_features_hold_no_factor() -> None:
    scores = probe(torch.ones(N + M, D), {"f": randn(N + M), "c": torch.arange(N + M) % 5})
    assert scores["f"] == pytest.approx(0, abs=0.05)
    assert scores["c"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"factors_train": [1]}, TypeError, "factors_train must be a dict"),
        ({"factors_train": {"f": [1.0] * 8}}, TypeError, r"factors_train\['f'\] must be a torch.Tensor"),
        ({"factors_train": {"f": torch.zeros(7)}}, ValueError, r"\(8,\) or \(8, columns\); got shape \(7,\)"),
        ({"factors_train": {"f": torch.zeros(8, 2, dtype=torch.int64)}}, ValueError, "whole numbers being classes"),
        ({"factors_train": {"f": torch.full((8,), torch.nan)}}, ValueError, r"factors_train\['f'\] must be finite"),
        ({"factors_train": {"g": torch.zeros(8)}}, ValueError, r"same names; only one of them holds \['f', 'g'\]"),
        ({"features_train": torch.full((8, 3), torch.inf)}, ValueError, "training features must be finite"),
        ({"features_test": torch.zeros(6, 4)}, ValueError, "same D; got 3 and 4"),
        ({"features_test": [0.0]}, TypeError, "test features must be a torch.Tensor"),
    ],
)
def test_bad_input_to_the_factor_probe_is_named(change, error, message) -> None:
    arguments = {
        "features_train": randn(8, 3), "factors_train": {"f": randn(8)},
        "features_test": randn(6, 3), "factors_test": {"f": randn(6)},
    }  # fmt: skip
    with pytest.raises(error, match=message):
        probes.factor_probe(**(arguments | change))


# --- layers -----------------------------------------------------------------------------------------------------


def test_layers_of_simclr_are_named_and_shaped_from_the_bottom_up() -> None:
    method, images = methods.build("simclr", widths=(256, 256)), load("motifs", "test", limit=12)
    found = probes.layers(method, images, batch_size=5)
    assert {name: tuple(z.shape) for name, z in found.items()} == {
        "backbone": (12, 128), "projector 1": (12, 256), "output": (12, 256),
    }  # fmt: skip
    assert list(found) == ["backbone", "projector 1", "output"]
    with evaluating(method):
        expected = method.embed(normalize(images.pixels))
    torch.testing.assert_close(found["output"], expected)
    assert float(found["projector 1"].min()) >= 0  # after the ReLU
    assert method.training


@pytest.mark.parametrize(
    ("widths", "names"),
    [
        ((), ["backbone"]),
        ((8,), ["backbone", "output"]),
        ((8, 9, 10), ["backbone", "projector 1", "projector 2", "output"]),
    ],
)
def test_layers_follow_the_depth_of_the_projector(widths, names) -> None:
    found = probes.layers(methods.build("vicreg", widths=widths), load("motifs", "test", limit=4))
    assert list(found) == names
    assert [z.shape[1] for z in found.values()] == [128, *widths]


def test_a_method_without_a_sequential_projector_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"nn\.Sequential; got NoneType"):
        probes.layers(torch.nn.Linear(2, 2), load("motifs", "test", limit=4))


def test_the_factor_table_is_the_probe_of_each_layer() -> None:
    method = methods.build("simclr", widths=(16, 16))
    train, test = load("motifs", "train", limit=120), load("motifs", "test", limit=60)
    table = probes.factor_table(method, train, test)
    assert list(table) == ["backbone", "projector 1", "output"]
    assert "occlusion" not in table["output"]
    assert {"pattern", "foreground_hue", "position"} <= set(table["output"])
    z_train, z_test = probes.layers(method, train)["output"], probes.layers(method, test)["output"]
    assert table["output"] == probes.factor_probe(z_train, train.factors, z_test, test.factors)


def test_the_factor_table_of_photographs_is_an_error() -> None:
    images = load("motifs", "test", limit=4)
    plain = Images(images.pixels, images.labels, images.class_names)
    with pytest.raises(ValueError, match="test_images must have known factors"):
        probes.factor_table(methods.build("simclr"), images, plain)


# --- few labels -------------------------------------------------------------------------------------------------


def test_accuracy_rises_with_the_number_of_labels() -> None:
    z, y = planted_clusters(5, 60, spread=2.5)
    found = probes.few_label_accuracy(z[:200], y[:200], z[200:], y[200:], (1, 5, 25))
    assert list(found) == [1, 5, 25]
    means = [mean for mean, _ in found.values()]
    assert means[0] + 0.1 < means[1] < means[2] <= 1
    assert all(0 < spread < 0.3 for _, spread in found.values())


def test_separate_clusters_need_one_label_each_and_collapse_stays_at_chance() -> None:
    z, y = planted_clusters(4, 30, spread=0.01)
    assert probes.few_label_accuracy(z, y, z, y, (1,)) == {1: (1.0, 0.0)}
    mean, _ = probes.few_label_accuracy(torch.ones_like(z), y, torch.ones_like(z), y, (5,))[5]
    assert mean == pytest.approx(0.25)


def test_draws_follow_the_seed_and_the_spread_is_that_of_a_sample() -> None:
    z, y = planted_clusters(3, 40, spread=4.0)
    found = [probes.few_label_accuracy(z, y, z, y, (2,), draws=2, seed=s)[2] for s in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    first = probes.few_label_accuracy(z, y, z, y, (2,), draws=1, seed=0)[2]
    assert first[1] == 0
    # of two values a and b: mean (a + b) / 2, sample standard deviation |a - b| / sqrt(2)
    second = 2 * found[0][0] - first[0]
    assert found[0][1] == pytest.approx(abs(first[0] - second) / math.sqrt(2))


def test_all_labels_of_a_balanced_set_leave_nothing_to_draw() -> None:
    z, y = planted_clusters(3, 10, spread=4.0)
    _, spread = probes.few_label_accuracy(z, y, z, y, (10,), draws=3)[10]
    assert spread == pytest.approx(0, abs=1e-9)


def test_a_class_that_is_too_small_is_named() -> None:
    y = torch.tensor([0, 0, 0, 1, 1, 0])
    with pytest.raises(ValueError, match="got 3, but class 1 has 2 samples"):
        probes.few_label_accuracy(randn(6, 2), y, randn(6, 2), y, (1, 3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train_labels": torch.zeros(8)}, TypeError, "train_labels must be whole numbers"),
        (
            {"train_labels": torch.zeros(7, dtype=torch.int64)},
            ValueError,
            r"train_labels must have shape \(N,\), N = 8",
        ),
        ({"train_labels": torch.zeros(8, dtype=torch.int64)}, ValueError, "two classes"),
        ({"test_labels": [0] * 6}, TypeError, "test_labels must be a torch.Tensor"),
        ({"labels_per_class": ()}, ValueError, "number of labels_per_class must be >= 1"),
        ({"labels_per_class": (0,)}, ValueError, "labels_per_class must be >= 1; got 0"),
        ({"draws": 0}, ValueError, "draws must be >= 1"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
    ],
)
def test_bad_input_to_few_labels_is_named(change, error, message) -> None:
    arguments = {
        "train_features": randn(8, 3), "train_labels": torch.arange(8) % 2,
        "test_features": randn(6, 3), "test_labels": torch.arange(6) % 2, "labels_per_class": (1,),
    }  # fmt: skip
    with pytest.raises(error, match=message):
        probes.few_label_accuracy(**(arguments | change))
