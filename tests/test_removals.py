"""Collapse on purpose: the switches exist, the record says what crossed, and the trivial start is trivial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from jemlib.data import load
from jemlib.diagnose import COMPLETE_BELOW
from jemlib.experiments.removals import (
    REMOVALS,
    beside,
    crosses,
    diagnostics,
    measure,
    run_removals,
    short_scale,
    start_collapsed,
    table,
)
from jemlib.methods import SELF_SUPERVISED, Batch, build, known_settings

DIAGNOSTICS = ("normalized_std", "directional_spread", "rankme", "participation_ratio", "correlation", "raw_std", "knn")


@pytest.mark.parametrize("name", REMOVALS)
def test_every_removal_names_a_method_its_settings_and_two_different_diagnostics(name: str) -> None:
    removal = REMOVALS[name]
    assert name.split(".")[0] == removal.method
    assert set(removal.settings) | set(removal.common) <= known_settings(removal.method).keys()
    assert removal.kind in ("complete", "dimensional")
    assert removal.sees in (*DIAGNOSTICS, "std_ratio")
    assert removal.blind in (*DIAGNOSTICS, "loss")
    assert (removal.above is None) == (removal.blind == "loss")
    assert removal.sees != removal.blind


@pytest.mark.parametrize("name", REMOVALS)
def test_every_removal_changes_the_loss_or_the_gradient(name: str) -> None:
    """The switch does something: one step of the same weights on the same views ends elsewhere."""
    removal = REMOVALS[name]
    views = torch.randn(2, 16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    grads = []
    for settings in ({}, removal.settings):
        method = build(removal.method, **{**removal.common, **settings})
        method.step(Batch(views, generator=torch.Generator().manual_seed(1))).total.backward()
        grads.append(next(method.backbone.parameters()).grad)
    assert not torch.allclose(grads[0], grads[1], rtol=1e-3, atol=0)


def test_every_method_has_a_removal() -> None:
    assert {removal.method for removal in REMOVALS.values()} >= set(SELF_SUPERVISED) - {"pcl"}


def test_a_removal_crosses_only_if_one_sees_and_the_other_does_not() -> None:
    removal = REMOVALS["vicreg.covariance"]
    seen = {removal.sees: removal.below / 2, removal.blind: removal.above}
    assert crosses(removal, seen, {})
    assert not crosses(removal, {**seen, removal.sees: removal.below}, {})
    assert not crosses(removal, {**seen, removal.blind: removal.above - 1e-6}, {})


@pytest.mark.parametrize("name", [name for name, one in REMOVALS.items() if one.kind == "complete"])
def test_what_is_called_complete_is_held_to_the_rule_of_the_course(name: str) -> None:
    removal = REMOVALS[name]
    assert removal.sees in ("directional_spread", "std_ratio")
    assert removal.below == COMPLETE_BELOW


def test_the_raw_std_sees_a_cloud_that_shrinks_as_a_whole_and_the_directions_do_not() -> None:
    """All weights of the last layer times 0.05: the same directions, a twentieth of the size."""
    images = load("motifs", "validation", limit=40)
    method = build("vicreg", widths=(16, 8), seed=0).eval()
    before = diagnostics(method, images, images)
    with torch.no_grad():
        for weight in method.projector[-1].parameters():
            weight *= 0.05
    after = beside(diagnostics(method, images, images), before)
    assert after["std_ratio"] == pytest.approx(0.05, rel=1e-4)
    assert after["directional_spread"] == pytest.approx(before["directional_spread"], rel=1e-3)
    assert after["rankme"] == pytest.approx(before["rankme"], rel=1e-3)
    removal = REMOVALS["vicreg.variance"]
    assert crosses(removal, {**after, "rankme": removal.above}, before)
    assert not crosses(removal, {**beside(before, before), "rankme": removal.above}, before)


def test_the_loss_is_blind_if_it_ends_no_higher_than_that_of_the_intact_method() -> None:
    removal = REMOVALS["simsiam.predictor"]
    seen = {removal.sees: removal.below / 2, "loss": -1.0}
    assert crosses(removal, seen, {"loss": -0.9})
    assert not crosses(removal, seen, {"loss": -1.1})


def test_a_run_reports_every_diagnostic() -> None:
    found = measure(REMOVALS["simclr.negatives"], scale="smoke")
    assert set(DIAGNOSTICS) | {"loss", "seconds"} == found.keys()


@pytest.mark.slow
def test_the_record_holds_settings_thresholds_and_all_seeds(tmp_path: Path) -> None:
    record = run_removals(["vicreg.covariance"], seeds=2, scale="smoke", out=tmp_path / "record.json")
    written = json.loads((tmp_path / "record.json").read_text())
    (row,) = written["rows"]
    assert len(row["runs"]) == len(row["crossed"]) == 2
    assert row["settings"] == {"covariance": 0.0}
    assert row["intact"]["std_ratio"] == 1
    assert [run["std_ratio"] for run in row["runs"]] == [
        run["raw_std"] / row["intact"]["raw_std"] for run in row["runs"]
    ]
    assert {"scale", "versions", "threads"} <= written.keys()
    assert table(record).count("\n") == 2
    assert "| vicreg.covariance |" in table(record)


def test_an_unknown_removal_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'simclr.negatives'.*Did you mean 'vicreg.variance'"):
        run_removals(["vicreg.varianc"], scale="smoke")


def test_on_a_processor_a_removal_trains_for_less_than_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEMLIB_SCALE", "cpu")
    assert short_scale().steps == 300
    monkeypatch.setenv("JEMLIB_SCALE", "smoke")
    assert short_scale().name == "smoke"


def test_the_trivial_start_gives_every_image_the_same_embedding() -> None:
    method = start_collapsed(build("vicreg", widths=(16, 8)), constant=2.0)
    z = method.embed(torch.randn(6, 3, 32, 32))
    assert torch.equal(z, torch.full((6, 8), 2.0))


def test_with_noise_the_embeddings_differ_in_proportion_to_it() -> None:
    spreads = []
    for noise in (1e-3, 1e-2):
        method = start_collapsed(build("vicreg", widths=(16, 8)), noise=noise)
        spreads.append(method.embed(torch.randn(6, 3, 32, 32, generator=torch.Generator())).std(dim=0).mean().item())
    assert spreads[1] == pytest.approx(10 * spreads[0], rel=1e-2)


def gradients(name: str, **settings: object) -> dict[str, torch.Tensor]:
    method = start_collapsed(build(name, widths=(16, 8), normalize_output=False, **settings)).double()
    views = torch.randn(2, 6, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    method.step(Batch(views)).total.backward()
    return {n: p.grad for n, p in method.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("simclr", {}),
        ("barlow_twins", {}),
        ("vicreg", {}),
        ("simsiam", {"predictor": "none"}),
        ("byol", {"predictor": "none"}),
    ],
)
def test_at_the_exact_constant_no_parameter_of_the_network_has_a_gradient(name: str, settings: dict) -> None:
    assert max(float(g.abs().max()) for g in gradients(name, **settings).values()) < 1e-12


@pytest.mark.parametrize("name", ["swav", "sigreg"])
def test_swav_and_sigreg_move_the_constant_and_leave_all_images_together(name: str) -> None:
    """Their gradient is the same for every image: the bias of the last layer has one, the layers below it have none."""
    found = gradients(name)
    assert found["projector.3.bias"].abs().max() > 1e-6
    assert max(float(g.abs().max()) for n, g in found.items() if n.startswith(("backbone", "projector.0"))) < 1e-12


def test_a_projector_without_a_last_linear_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="normalize_output=False; its last layer is BatchNorm1d"):
        start_collapsed(build("simsiam"))
