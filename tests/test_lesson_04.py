"""Lesson 04: its pictures, the cloud one drags, and the functions behind both."""

from __future__ import annotations

import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch
from pictures import assert_nothing_is_cut_off

from jemlib.course import examine
from jemlib.course.lessons.lesson04_vicreg import figures
from jemlib.losses import vicreg
from jemlib.theory import scale_coefficient

pytestmark = pytest.mark.slow  # its pictures and its small networks


@pytest.fixture(autouse=True)
def _no_window() -> None:
    plt.switch_backend("agg")


@pytest.mark.parametrize(
    "draw",
    [
        figures.pull,
        lambda: figures.pull(1e-2),
        figures.valleys,
        lambda: figures.valleys((0.0, 1.0, 10.0)),
        figures.forces_picture,
        lambda: figures.forces_picture(("exactly one point (type 1)", "views far apart")),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    assert_nothing_is_cut_off(draw())


@pytest.mark.parametrize("name", figures.CLOUDS)
def test_the_forces_are_minus_the_gradient_of_the_loss(name) -> None:
    points = figures.CLOUDS[name]()
    z = points.clone().requires_grad_()
    vicreg(z[0], z[1], **figures.WEIGHTS).total.backward()
    found = figures.forces(points)
    torch.testing.assert_close(sum(found.force.values()), -z.grad)
    assert set(found.force) == set(figures.TERMS)
    assert float(points.abs().max()) <= figures.EDGE


def test_each_force_does_what_the_lesson_says() -> None:
    far = figures.forces(figures._apart()).force["invariance"]
    assert (far[0, :, 0] > 0).all()  # view A stands at the left, and is drawn to the right
    torch.testing.assert_close(far[0], -far[1])
    line = figures.forces(figures._line())
    assert float(line.loss.variance) == 0
    assert float(line.force["covariance"].abs().max()) > 1
    point, wide = figures._point(0.06), figures._point(0.6)
    pushes = [float(figures.forces(z).force["variance"].norm()) for z in (point, wide)]
    assert pushes[0] == pytest.approx(pushes[1], rel=0.05)
    assert not any(f.any() for f in figures.forces(figures._point(0.0)).force.values())


def test_following_the_forces_lowers_the_loss_and_stays_in_the_field() -> None:
    for make in figures.CLOUDS.values():
        points = make()
        after = figures.follow(points, steps=40)
        assert float(figures.forces(after).loss.total) <= float(figures.forces(points).loss.total)
        assert float(after.abs().max()) <= figures.EDGE
    exact = figures._point(0.0)
    assert torch.equal(figures.follow(exact), exact)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3,0.5,-1.25", (3, 0.5, -1.25)),
        ("0,9,-9", (0, figures.EDGE, -figures.EDGE)),
        ("12,0,0", None),
        ("-1,0,0", None),
        ("1,nan,0", None),
        ("1,inf,0", None),
        ("1,2", None),
        ("1,2,3,4", None),
        ("", None),
        ("a,b,c", None),
        ("1.5,0,0", None),
    ],
)
def test_what_the_page_writes_is_read_and_nonsense_is_ignored(text, found) -> None:
    assert figures.parse(text, 12) == found


def test_a_moved_point_is_the_only_one_that_moves() -> None:
    points = figures._cloud()
    new = figures.moved(points, 8, 0.25, -0.5)
    changed = (new != points).any(dim=2).nonzero().tolist()
    assert changed == [[1, 2]]
    assert figures.label(8) == "B3"
    assert new[1, 2].tolist() == [0.25, -0.5]


def test_the_svg_holds_every_point_and_an_arrow_for_each_force_that_is_not_zero() -> None:
    points = figures._cloud()
    text = figures.svg(points, figures.forces(points), "1,0,0")
    assert text.count("data-point=") == 12
    assert 'data-event="1,0,0"' in text
    assert text.count("<polygon") >= 20
    exact = figures._point(0.0)
    assert "<polygon" not in figures.svg(exact, figures.forces(exact))
    only = figures.svg(points, figures.forces(points, {"invariance": 25.0}))
    assert figures.LOOKS["variance"][0] not in only


def parts(box):
    """All widgets in a box, by description where they have one."""
    found = {}

    def walk(widget):
        for child in getattr(widget, "children", ()):
            found.setdefault(getattr(child, "description", "") or type(child).__name__, child)
            walk(child)

    walk(box)
    return found


def test_a_drag_a_slider_a_checkbox_and_a_button_redraw_the_cloud() -> None:
    widget = parts(figures.forces_widget())
    picture, event = widget["HTML"], widget["Text"]
    seen = [picture.value]
    event.value = "4,1.000,-1.000"
    assert picture.value != seen[-1]
    assert 'data-event="4,1.000,-1.000"' in picture.value
    assert (widget["point"].value, widget["dimension 1"].value, widget["dimension 2"].value) == (4, 1.0, -1.0)
    seen.append(picture.value)
    event.value = "nonsense"
    assert picture.value == seen[-1]
    widget["dimension 1"].value = -2.0
    assert picture.value != seen[-1]
    seen.append(picture.value)
    widget["variance"].value = False
    assert figures.LOOKS["variance"][0] in seen[-1]
    assert figures.LOOKS["variance"][0] not in picture.value
    seen.append(picture.value)
    widget["follow the forces"].click()
    assert picture.value != seen[-1]
    widget["variance"].value = True
    widget["reset"].click()
    assert picture.value == seen[0]


def test_the_widget_brings_its_script_along_and_its_text_field_is_hidden() -> None:
    box = figures.forces_widget("a line (type 2)")
    event, output = box.children[1:]
    assert isinstance(output, ipywidgets.Output)
    assert "pointerdown" in output.outputs[0]["data"]["text/html"]
    assert event.layout.display == "none"
    with pytest.raises(ValueError, match="cloud must be one of"):
        figures.forces_widget("a square")


@pytest.mark.parametrize("hinge", ["std", "variance"])
def test_the_valley_has_the_curvature_that_the_theory_says(hinge) -> None:
    n, s = 4096, 1e-4
    z_a, z_b = figures.signal_and_noise(n, 1, 2.0)
    torch.testing.assert_close(z_a.var(dim=0), torch.full((1,), 3.0, dtype=torch.float64))
    torch.testing.assert_close((z_a - z_b).var(dim=0), torch.full((1,), 4.0, dtype=torch.float64))
    at_zero, near = figures.scaled_loss((0.0, s), 2.0, hinge, n=n)
    assert (near - at_zero) / s**2 == pytest.approx(scale_coefficient(2.0, 1, hinge=hinge), rel=0.05)


def test_a_minus_before_a_comparison_is_a_mistake_and_not_an_open_exercise() -> None:
    def variance_gradient(z, gamma=1.0, eps=1e-4):
        return -(z.var(dim=0) < gamma) * z

    verdict = examine(variance_gradient)
    assert verdict.state == "incorrect"
    assert "a comparison gives truth values" in verdict.message
