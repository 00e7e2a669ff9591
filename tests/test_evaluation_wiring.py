"""What is fitted on what, and scored on what: probes, baselines, runs, comparisons, removals and claims."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from wiring import (
    TURNED,
    apart,
    features_by_hand,
    knn_by_hand,
    normalized_by_hand,
    probe_by_hand,
    recorded_starts,
    shade_images,
    write_shades,
)

from jemlib.course.machinery import runs
from jemlib.course.machinery.claims import known, run_claims
from jemlib.data import Images, load
from jemlib.diagnose import directional_spread, normalized_std, rankme
from jemlib.evaluate import backbone_knn, evaluate, factor_probe, few_label_accuracy, knn, linear_probe
from jemlib.experiments import baselines, compare, markdown_table, run
from jemlib.experiments.comparison import COLUMNS, summary
from jemlib.experiments.removals import REMOVALS, measure, run_removals, table
from jemlib.experiments.runs import restore
from jemlib.methods import Batch, Method, build
from jemlib.methods.method import images_of
from jemlib.nets import BACKBONES
from jemlib.nets.backbones import conv_small
from jemlib.scales import SCALES, Scale, adjusted_scale
from jemlib.train import fit

pytestmark = pytest.mark.slow  # small experiments from end to end

TINY = {"limit": 64, "batch_size": 16, "steps": 2, "warmup": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{write_shades(tmp_path_factory.mktemp('data') / 'shades')}"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEMLIB_CACHE", str(tmp_path_factory.getbasetemp() / "wiring-cache"))
    monkeypatch.setenv("CI", "true")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Method, Images]]:
    """The method and the training images of every step that `fit` makes."""
    found: list[tuple[Method, Images]] = []
    before_step = Method.before_step

    def record(self: Method, batch: Batch) -> None:
        found.append((self, images_of(batch)[0]))
        before_step(self, batch)

    monkeypatch.setattr(Method, "before_step", record)
    return found


# --- kNN and the linear probe -----------------------------------------------------------------------------------------


def at(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


@pytest.mark.parametrize("length", [0.01, 1.0, 20.0])
@pytest.mark.parametrize(
    ("angles", "temperature", "winner"),
    [
        # exp(1 / 0.1) against 2 exp(0.5 / 0.1): the near one wins. A short query, not normalised, would count heads.
        ([0, 60, -60], 0.1, 0),
        # exp(1) against 3 exp(0.9): the three win. A long query, not normalised, would let the near one win.
        ([0, 25.8, -25.8, 25.9], 1.0, 1),
    ],
)
def test_knn_normalises_the_queries(length: float, angles: list[float], temperature: float, winner: int) -> None:
    bank = torch.tensor([at(angle) for angle in angles])
    labels = torch.tensor([0] + [1] * (len(angles) - 1))
    query = length * torch.tensor([at(0)])
    assert knn(bank, labels, query, torch.tensor([winner]), k=len(angles), temperature=temperature) == 1.0


def test_knn_normalises_the_bank() -> None:
    """By the dot product the long row of class 1 would be the nearest."""
    bank, labels = torch.tensor([at(10), at(80)]) * torch.tensor([[1.0], [100.0]]), torch.tensor([0, 1])
    assert knn(bank, labels, torch.tensor([at(0)]), torch.tensor([0]), k=1) == 1.0


def noisy(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (n,), generator=generator)
    return torch.eye(4, 6)[labels] + 0.6 * torch.randn(n, 6, generator=generator), labels


def test_knn_without_settings_has_twenty_neighbours_and_temperature_one_tenth() -> None:
    (bank, labels), (queries, truth) = noisy(400, 0), noisy(700, 1)
    given = (bank.double().numpy(), labels, queries.double().numpy(), truth)
    expected = knn_by_hand(*given, k=20, t=0.1)
    assert knn(bank, labels, queries, truth) == pytest.approx(expected)
    others = [knn_by_hand(*given, k=k, t=t) for k, t in ((19, 0.1), (21, 0.1), (20, 0.05), (20, 0.2))]
    assert expected not in others  # the data tell the settings apart


def test_the_linear_probe_standardises_by_the_training_features() -> None:
    """The boundary is at 0 and every query lies above it. By the queries' own mean half of them would lie below."""
    train = torch.linspace(-1, 1, 40)[:, None]
    queries = torch.linspace(0.2, 2, 40)[:, None]
    ones = torch.ones(40, dtype=torch.long)
    assert linear_probe(train, (train[:, 0] > 0).long(), queries, ones) == 1.0


def test_a_query_is_classified_the_same_whatever_else_is_asked() -> None:
    """A far outlier among the queries would squash the others, if they had a part in the standardisation."""
    train = torch.cat([torch.linspace(-2, -1, 30), torch.linspace(1, 2, 10)])[:, None]
    labels = torch.tensor([0] * 30 + [1] * 10)
    queries, truth = torch.tensor([[1.5], [1.2], [-1.5], [1e7]]), torch.tensor([1, 1, 0, 1])
    assert linear_probe(train, labels, queries, truth) == 1.0
    assert few_label_accuracy(train, labels, queries, truth, [10], draws=1)[10][0] == 1.0


def test_few_labels_are_standardised_by_all_training_features_and_no_test_feature() -> None:
    """Dimension 0 tells the class. The others hardly vary but for one image, which makes them count for nothing."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    train = torch.cat([2.0 * labels[:, None] - 1, 1e-3 * torch.randn(200, 50, generator=generator)], dim=1)
    train[7, 1:] = 100.0
    queries = torch.cat([torch.linspace(0.3, 1.5, 60)[:, None], 1e-3 * torch.randn(60, 50, generator=generator)], dim=1)
    ones = torch.ones(60, dtype=torch.long)
    # By two drawn images each idle dimension would be +-1; by the queries the half near 0 would lie below it.
    mean, deviation = few_label_accuracy(train, labels, queries, ones, [1, 5], draws=3)[1]
    assert (mean, deviation) == (1.0, 0.0)


def test_the_factor_probe_standardises_by_the_training_features() -> None:
    """y = x, learned on [-1, 1], asked on [2, 3] and once at a million.

    Queries standardised by themselves would be guessed around 0; training features standardised by the queries would be
    so small that the penalty leaves nothing of the slope.
    """
    x, far = torch.linspace(-1, 1, 50), torch.cat([torch.linspace(2, 3, 40), torch.tensor([1e6])])
    score = factor_probe(x[:, None], {"number": x}, far[:, None], {"number": far})["number"]
    assert score == pytest.approx(1.0, abs=1e-3)


def test_chance_is_the_share_of_the_commonest_class_among_the_test_samples() -> None:
    """Features that say nothing: every query gets the commonest training class, right for half of the queries."""
    train, test = torch.tensor([0] * 30 + [1] * 10), torch.tensor([0, 1] * 10)
    nothing = torch.zeros(40, 2)
    found = factor_probe(nothing, {"pattern": train}, nothing[:20], {"pattern": test})
    assert found["pattern"] == pytest.approx(0.0)


# --- a backbone's scores ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def motifs() -> tuple[Images, Images]:
    return load("motifs", "train", limit=240), load("motifs", "test", limit=150)


@pytest.fixture(scope="module")
def backbone() -> torch.nn.Module:
    """Untrained, with running statistics that are not those of a new network."""
    torch.manual_seed(3)
    network = conv_small()
    network(torch.randn(64, 3, 32, 32))
    return network


def test_a_backbone_is_scored_by_its_features_of_plain_images(
    backbone: torch.nn.Module, motifs: tuple[Images, Images]
) -> None:
    train, test = motifs
    bank, queries = features_by_hand(backbone, train), features_by_hand(backbone, test)
    found = evaluate(backbone, train, test)
    assert found.knn == pytest.approx(knn_by_hand(bank, train.labels, queries, test.labels, k=20, t=0.1))
    assert found.linear == pytest.approx(probe_by_hand(bank, train.labels, queries, test.labels), abs=1.5 / 150)
    assert backbone_knn(backbone, train, test) == found.knn
    assert found.knn != found.linear


def test_with_fewer_than_twenty_images_all_are_neighbours(backbone: torch.nn.Module) -> None:
    train, test = shade_images(3, "train"), shade_images(4, "test")
    bank, queries = features_by_hand(backbone, train), features_by_hand(backbone, test)
    expected = knn_by_hand(bank, train.labels, queries, test.labels, k=12, t=0.1)
    assert evaluate(backbone, train, test).knn == backbone_knn(backbone, train, test) == expected
    assert "k=12" in evaluate(backbone, train, test).protocol


def test_scoring_changes_neither_weights_nor_running_statistics(
    backbone: torch.nn.Module, motifs: tuple[Images, Images]
) -> None:
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    evaluate(backbone.train(), *motifs)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_every_baseline_is_fitted_on_train_and_scored_on_test() -> None:
    train, test = shade_images(40, "train"), shade_images(20, "test")
    rows = baselines(train, test, scale=adjusted_scale("smoke", **TINY))
    assert {name: (row["knn"], row["linear"]) for name, row in rows.items()} == dict.fromkeys(
        ("raw pixels", "untrained", "supervised"), (TURNED, TURNED)
    )


def test_raw_pixels_are_scored_as_the_network_sees_them(motifs: tuple[Images, Images]) -> None:
    train, test = motifs
    rows = baselines(train, test, scale="smoke", supervised=False)
    bank, queries = (normalized_by_hand(images.pixels).reshape(len(images), -1) for images in motifs)
    assert rows["raw pixels"]["knn"] == pytest.approx(knn_by_hand(bank, train.labels, queries, test.labels, 20, 0.1))
    assert list(rows) == ["raw pixels", "untrained"]


def stripes(n: int, seed: int) -> Images:
    """Rows or columns, in random colours and phases: the colours say nothing about the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=generator)
    phase = torch.randint(0, 4, (n, 1), generator=generator)
    wave = (torch.arange(32) + phase) // 2 % 2
    rows, columns = wave[:, :, None].expand(n, 32, 32), wave[:, None, :].expand(n, 32, 32)
    light = torch.where(labels[:, None, None] == 0, rows, columns)[:, None]
    first, second = torch.rand(2, n, 3, 1, 1, generator=generator)
    return Images(((first + (second - first) * light) * 255).to(torch.uint8), labels, ("rows", "columns"))


def test_the_supervised_baseline_learns_from_each_images_own_label() -> None:
    """With labels of other images it would end below the untrained network. The test images do not fill a batch."""
    scale = adjusted_scale("smoke", steps=22, batch_size=64, learning_rate=1e-2)
    rows = baselines(stripes(256, 0), stripes(60, 1), scale=scale)
    assert rows["untrained"]["knn"] < 0.8
    assert rows["supervised"]["knn"] > 0.9
    assert rows["supervised"]["linear"] > 0.9


def test_a_seed_of_the_baselines_is_a_start_of_its_own() -> None:
    train, test = shade_images(10, "train"), shade_images(8, "test")
    with recorded_starts() as starts:
        for seed in (0, 1, 0):
            baselines(train, test, scale=adjusted_scale("smoke", **TINY), seed=seed)
    assert len(starts) == 3
    assert starts[0] == starts[2]
    assert apart(starts[0], starts[1])


# --- runs and comparisons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "score"), [("validation", 1.0), ("test", TURNED)])
def test_a_run_trains_on_train_and_scores_the_split_that_was_asked_for(
    split: str, score: float, folder: str, seen: list[tuple[Method, Images]]
) -> None:
    found = run("vicreg", data=folder, scale="smoke", split=split, **TINY)
    assert {(images.split, len(images)) for _, images in seen} == {("train", 64)}
    assert len(seen) == 2
    metrics = found.metrics
    assert (metrics["knn"], metrics["linear"], metrics["split"]) == (score, score, split)
    assert (
        f"fitted on 64 images of folder:shades/train, scored once on {24 if split == 'validation' else 64} "
        in (metrics["protocol"])
    )
    assert f"of folder:shades/{split};" in metrics["protocol"]
    assert (metrics["train_images"], metrics["steps"], metrics["images_seen"]) == (64, 2, 32)


def test_the_numbers_of_a_run_are_those_of_its_network_on_the_scored_images() -> None:
    longer = {**TINY, "steps": 11}  # so that the history has two rows
    found = run("vicreg", scale="smoke", split="validation", seed=7, settings={"widths": (32, 24)}, **longer)
    train, held_out = load("motifs", "train", limit=64), load("motifs", "validation", limit=64)
    backbone = found.method.backbone
    bank, queries = features_by_hand(backbone, train), features_by_hand(backbone, held_out)
    z = torch.from_numpy(features_by_hand(torch.nn.Sequential(backbone, found.method.projector), held_out))
    metrics = found.metrics
    assert metrics["knn"] == pytest.approx(knn_by_hand(bank, train.labels, queries, held_out.labels, 20, 0.1))
    assert metrics["linear"] == pytest.approx(
        probe_by_hand(bank, train.labels, queries, held_out.labels), abs=1.5 / len(held_out)
    )
    assert metrics["normalized_std"] == pytest.approx(float(normalized_std(z)), rel=1e-3)
    assert metrics["rankme"] == pytest.approx(float(rankme(z)), rel=1e-3)
    assert metrics["dimensions"] == 24
    assert metrics["knn"] != metrics["linear"]
    first, last = found.history.rows
    assert (first["step"], metrics["steps"], metrics["images_seen"]) == (10, 11, 176)
    assert metrics["loss"] == {name: last[name] for name in ("total", "invariance", "variance", "covariance")}
    assert metrics["train_seconds"] == last["seconds"]


def test_a_run_draws_weights_and_order_from_its_seed_and_writes_what_it_returns(tmp_path: Path) -> None:
    with recorded_starts() as starts:
        first = run("vicreg", scale="smoke", seed=4, out=tmp_path / "run", settings={"covariance": 2.0}, **TINY)
        fit(build("vicreg", seed=4, widths=(64, 64)), load("motifs", "train", limit=64), scale="smoke", **TINY)
        run("vicreg", scale="smoke", seed=5, **TINY)
    assert starts[0] == starts[1]
    assert apart(starts[0], starts[2])
    method, metrics = restore(tmp_path / "run")
    for name, value in first.method.state_dict().items():
        assert torch.equal(method.state_dict()[name], value), name
    assert not method.training
    assert (metrics["seed"], metrics["settings"]["covariance"], metrics["recipe"]["steps"]) == (4, 2.0, 2)
    written = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert (written["seed"], written["num_images"], written["data"]) == (4, 64, "motifs")


def test_a_comparison_gives_split_data_budget_and_seeds_to_every_run_and_to_the_baselines(
    folder: str, seen: list[tuple[Method, Images]], tmp_path: Path
) -> None:
    with recorded_starts() as starts:
        asked = {"data": folder, "split": "validation", "seeds": 2, "supervised": False, "out": tmp_path}
        found = compare(["vicreg", "simclr"], scale="smoke", **asked, **TINY)
    assert {(images.name, images.split, len(images)) for _, images in seen} == {(folder, "train", 64)}
    assert [method.name for method, _ in seen[::2]] == ["vicreg", "vicreg", "simclr", "simclr"]
    assert apart(starts[0], starts[1])
    assert apart(starts[2], starts[3])
    scores = [r["knn"] for r in found["runs"]] + [row["knn"] for row in found["baselines"].values()]
    assert scores == [1.0] * 6
    assert "folder:shades/validation" in found["protocol"]
    assert [(r["method"], r["seed"]) for r in json.loads((tmp_path / "compare.json").read_text())["runs"]] == [
        (method, seed) for method in ("vicreg", "simclr") for seed in (0, 1)
    ]
    for name, row in zip(("vicreg", "simclr"), found["rows"]):
        own = [r["normalized_std"] for r in found["runs"] if r["method"] == name]
        assert row["normalized_std"]["mean"] == pytest.approx(sum(own) / 2)
    assert set(found["baselines"]) == {"raw pixels", "untrained"}


def test_a_comparison_scores_the_test_split_unless_told_otherwise(folder: str) -> None:
    found = compare(["vicreg"], data=folder, scale="smoke", seeds=1, supervised=False, **TINY)
    assert [r["knn"] for r in (*found["runs"], *found["baselines"].values())] == [TURNED] * 3


def test_the_table_prints_mean_and_standard_deviation_of_each_column() -> None:
    columns = {"knn": 0.3, "linear": 0.4, "rankme": 20.0, "normalized_std": 0.6, "train_seconds": 50.0}
    deviations = {"knn": 0.01, "linear": 0.02, "rankme": 3.0, "normalized_std": 0.04, "train_seconds": 5.0}
    row = {"method": "vicreg", "seeds": 3, **{c: {"mean": m, "std": deviations[c]} for c, m in columns.items()}}
    once = {**row, "method": "simclr", "seeds": 1}
    floor = {"untrained": {"knn": 0.11, "linear": 0.22, "seconds": 33.0}}
    lines = markdown_table({"rows": [row, once], "baselines": floor}).splitlines()
    assert lines[0] == "| method | kNN | linear | RankMe | normalised std | seconds |"
    assert lines[2] == "| *untrained* | 0.110 | 0.220 | | | 33 |"
    assert lines[3] == "| vicreg | 0.300 (± 0.010) | 0.400 (± 0.020) | 20 (± 3) | 0.60 (± 0.04) | 50 (± 5) |"
    assert lines[4] == "| simclr | 0.300 | 0.400 | 20 | 0.60 | 50 |"


def test_the_printed_deviation_is_that_of_the_runs_behind_it() -> None:
    found = compare(["vicreg"], scale="smoke", seeds=2, supervised=False, **TINY)
    a, b = (r["normalized_std"] for r in found["runs"])
    assert abs(a - b) > 0.02  # so that the two printed decimals say something
    cell = markdown_table(found).splitlines()[-1].split(" | ")[4]
    # Of two values the unbiased standard deviation is |a - b| / sqrt(2); the biased one and half the range are less.
    assert cell == f"{(a + b) / 2:.2f} (± {abs(a - b) / 2**0.5:.2f})"


def test_the_deviation_of_three_seeds_divides_by_two_and_that_of_one_is_0() -> None:
    runs = [dict.fromkeys(COLUMNS, value) for value in (1.0, 2.0, 4.5)]
    assert summary("vicreg", runs)["knn"] == {"mean": 2.5, "std": pytest.approx(((2.25 + 0.25 + 4.0) / 2) ** 0.5)}
    assert summary("vicreg", runs[:1])["knn"] == {"mean": 1.0, "std": 0.0}


# --- removals ---------------------------------------------------------------------------------------------------------


def test_the_intact_run_keeps_its_protection_and_only_the_others_lose_it(seen: list[tuple[Method, Images]]) -> None:
    scale = adjusted_scale("smoke", **{**TINY, "steps": 1})
    names = ["vicreg.variance", "vicreg.covariance", "sigreg.sigreg"]
    with recorded_starts() as starts:
        record = run_removals(names, seeds=2, scale=scale)
    trained = [method.settings for method, _ in seen]
    assert [(s.get("variance"), s.get("covariance"), s.get("lambd"), s["normalize_output"]) for s in trained] == [
        (25.0, 1.0, None, False),  # intact, and shared by both removals of VICReg
        (0.0, 1.0, None, False), (0.0, 1.0, None, False),
        (25.0, 0.0, None, False), (25.0, 0.0, None, False),
        (None, None, build("sigreg").settings["lambd"], False),  # intact, without the batch norm, as the others
        (None, None, 0.0, False), (None, None, 0.0, False),
    ]  # fmt: skip
    assert all((s["backbone"], tuple(s["widths"])) == ("conv_small", (64, 64)) for s in trained)
    assert {(images.split, len(images)) for _, images in seen} == {("train", 64)}
    # Seed 0 of a removal starts where the intact method started, seed 1 elsewhere.
    assert starts[0] == starts[1] == starts[3]
    assert starts[2] == starts[4]
    assert starts[5] == starts[6]
    assert apart(starts[0], starts[2])
    assert apart(starts[5], starts[7])
    for row in record["rows"]:
        assert row["intact"]["loss"] != row["runs"][0]["loss"] != row["runs"][1]["loss"]
    assert record["rows"][0]["intact"] == record["rows"][1]["intact"] != record["rows"][2]["intact"]


def test_a_removal_is_diagnosed_on_validation_images() -> None:
    removal, scale = REMOVALS["vicreg.covariance"], adjusted_scale("smoke", **TINY)
    found = measure(removal, seed=1, scale=scale)
    method = build("vicreg", seed=1, widths=(64, 64), **removal.settings)
    train, held_out = load("motifs", "train", limit=64), load("motifs", "validation", limit=64)
    history = fit(method, train, scale=scale, seed=1)
    backbone = method.backbone
    z = torch.from_numpy(features_by_hand(torch.nn.Sequential(backbone, method.projector), held_out))
    bank, queries = features_by_hand(backbone, train), features_by_hand(backbone, held_out)
    assert found["loss"] == history.rows[-1]["total"]
    assert found["rankme"] == pytest.approx(float(rankme(z)), rel=1e-3)
    assert found["directional_spread"] == pytest.approx(float(directional_spread(z)), rel=1e-3)
    assert found["knn"] == pytest.approx(knn_by_hand(bank, train.labels, queries, held_out.labels, 20, 0.1))


def test_the_table_of_removals_shows_the_worst_seed_of_each_diagnostic() -> None:
    runs_ = [{"rankme": 2.5, "normalized_std": 0.97, "knn": 0.2}, {"rankme": 4.5, "normalized_std": 0.85, "knn": 0.4}]
    intact = {"rankme": 50.0, "normalized_std": 0.99, "knn": 0.8}
    row = {**dataclasses.asdict(REMOVALS["vicreg.covariance"]), "intact": intact, "runs": runs_}
    line = table({"rows": [row]}).splitlines()[-1]
    assert line == (
        "| vicreg.covariance | dimensional | rankme | 50.00 | 4.500 | < 10 | normalized_std | 0.85 | 0.80 | 0.30 |"
    )


# --- claims -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_scale() -> Scale:
    return adjusted_scale("smoke", limit=32, batch_size=8, steps=1, warmup=0)


def test_seeds_of_every_claim_start_from_different_weights(tiny_scale: Scale, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "conv_small", lambda: conv_small(width=2))  # only so that it takes seconds
    scale = dataclasses.replace(tiny_scale, limit=40)  # runs are kept by their scale: nobody else gets these
    starts: dict[int, dict[str, str]] = {0: {}, 1: {}}
    training: set[str] = set()
    claims = [one for one in known().values() if not one.id.startswith("collapse.augmentation")]  # that trains nothing
    for seed, found in starts.items():
        for one in claims:
            with recorded_starts() as here:
                one.measure(seed, scale)
            training |= {one.id} if here else set()
            found |= {weight: one.id for start in here for weight in start}
    assert {one.lesson for one in claims} == {one.lesson for one in known().values()}
    shared = {starts[0][weight] for weight in starts[0].keys() & starts[1].keys()}
    assert not shared, f"seeds 0 and 1 start from the same weights in {shared}"
    assert len(training) >= 10  # the others share their runs


def test_a_seed_of_a_shared_run_decides_weights_and_order(tiny_scale: Scale) -> None:
    untrained = {seed: runs.trained("vicreg", seed, tiny_scale, None) for seed in (0, 1)}
    for seed, method in untrained.items():
        expected = build("vicreg", seed=seed, widths=(64, 64)).state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in method.state_dict().items())
    by_hand = build("vicreg", seed=1, widths=(64, 64), covariance=2.0)
    fit(by_hand, load("motifs", "train", limit=32), scale=tiny_scale, seed=1)
    expected = by_hand.state_dict()
    shared = runs.trained("vicreg", 1, tiny_scale, 1, covariance=2.0).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in shared.items())


def test_claims_are_measured_on_train_and_scored_on_validation(tiny_scale: Scale) -> None:
    train, held_out = runs.splits(tiny_scale)
    assert (train.split, held_out.split) == ("train", "validation")


def test_the_columns_of_a_claim_come_from_the_variant_and_the_seed_that_they_name(tiny_scale: Scale) -> None:
    def measured(seed: int, scale: Scale, variant: str) -> dict[str, str]:
        return {"knn": f"knn of {variant} {seed} {scale.name}", "rank": f"rank of {variant} {seed} {scale.name}"}

    measure_all = runs.columns(measured, all=("knn", "intact"), removed=("rank", "without"))
    assert measure_all(3, tiny_scale) == {"all": "knn of intact 3 smoke", "removed": "rank of without 3 smoke"}


def test_the_record_of_a_claim_has_the_numbers_of_seed_0_and_1_in_this_order(
    tiny_scale: Scale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = "vicreg.learns"
    monkeypatch.setitem(SCALES, "smoke", tiny_scale)
    record = run_claims([id], seeds=2, scale="smoke", out=tmp_path / "claims.json", progress=False)[0]
    assert record["numbers"] == [dict(known()[id].measure(seed, tiny_scale)) for seed in (0, 1)]
    assert record["numbers"][0] != record["numbers"][1]
