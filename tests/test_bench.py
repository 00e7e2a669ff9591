"""The benchmark measures what it says; how fast is for `jem bench`, not for a test."""

from __future__ import annotations

import pytest

from jemlib.experiments import bench


def test_every_part_counts_two_views_an_image() -> None:
    for step, views in (bench.bare_step(8), bench.complete_step("vicreg", 8), bench.augmentation_step(8)):
        step()
        assert views == 16


@pytest.mark.slow
def test_the_ratios_are_those_of_the_rates() -> None:
    found = bench.bench(seconds=0.4, rounds=2)
    rates = found["views_per_second"]
    expected = rates["complete step, vicreg"] / rates["backbone, bare"]
    assert found["ratios"]["vicreg, complete / bare"] == pytest.approx(expected)
    assert len(rates) == 4


def test_all_take_turns() -> None:
    order: list[str] = []
    steps = {name: (lambda name=name: order.append(name), 1) for name in "ab"}
    bench.rates(steps, seconds=0.002, rounds=2)
    changes = [a for a, b in zip(order, [*order[1:], ""]) if a != b]
    assert changes == ["a", "b"] * 3  # the warm-up, then two rounds


def test_a_record_of_several_runs_has_the_median_of_each_figure_and_every_ratio() -> None:
    runs = [{"batch": 8, "views_per_second": {"a": float(x)}, "ratios": {"r": x / 10}} for x in (3, 1, 2)]
    found = bench.median_of(runs)
    assert (found["runs"], found["views_per_second"], found["ratios"]) == (3, {"a": 2.0}, {"r": 0.2})
    assert [ratio["r"] for ratio in found["ratios_of_each_run"]] == [0.3, 0.1, 0.2]
