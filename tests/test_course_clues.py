"""What is said about a wrong answer without a name: true of it, and silent about right ones."""

from __future__ import annotations

import math

import pytest
import torch

from jemlib import losses
from jemlib.course import examine
from jemlib.course.machinery import clues, operations
from jemlib.course.machinery.comparison import departure
from jemlib.course.machinery.exercises import REGISTRY
from jemlib.course.machinery.reading import slips, unused

RIGHT = [(exercise, name) for exercise in REGISTRY.values() for name in exercise.right]


@pytest.mark.parametrize(("exercise", "name"), RIGHT, ids=[f"{e.name}: {n}" for e, n in RIGHT])
def test_a_right_way_has_no_slip_and_is_no_departure(exercise, name):
    way = exercise.right[name]
    assert list(slips(way, exercise.reference)) == []
    assert departure(way, exercise.right.values()) is None


def reference(z, eps=1e-5):
    return z


def test_an_accumulation_that_is_overwritten_is_told_with_its_lines():
    def overwritten(z, eps=1e-5):
        total = 0
        for i in range(3):
            for j in range(3):
                total = z[i, j]
        return total

    def begun_inside(z, eps=1e-5):
        for i in range(3):
            total = 0
            total = total + z[i]
        return total

    (said,) = slips(overwritten, reference)
    assert said.startswith("`total` is written anew in each round of the loop in line 4 (in line 5)")

    def filled_inside(z, eps=1e-5):
        for i in range(3):
            out = z.clone()
            out[i] = 0
        return out

    for wrong in (begun_inside, filled_inside):
        (said,) = slips(wrong, reference)
        assert "is written anew in each round of the loop in line 2 (in line 3)" in said


def test_a_return_inside_a_loop_and_a_changed_default_are_told():
    def early(z, eps=1e-3):
        for i in range(3):
            z = z + i
            return z

    default, early_return = slips(early, reference)
    assert default == "The default of eps is 0.001 in yours; in the exercise's first line it is 1e-05."
    assert early_return.startswith("The loop in line 2 ends in its first round")


def test_loops_that_add_up_search_or_return_on_a_condition_are_no_slips():
    def fine(z, eps=1e-5):
        total, best = 0, None
        for i in range(3):
            row = 0
            for j in range(3):
                if i == j:
                    continue
                row = row + z[i, j]
            total = total + row
            if best is None or row > best:
                best = row
        for i in range(3):
            if z[i, i] > total:
                return best
        return total

    assert list(slips(fine, reference)) == []


def test_a_value_that_is_never_used_is_told_but_not_the_parts_of_a_shape():
    def wasteful(z):
        n, d = z.shape  # noqa: RUF059
        centred = z - z.mean(dim=0)  # noqa: F841
        return z / n

    assert list(unused(wasteful)) == ["`centred` in line 3 is computed and never used."]


def test_what_has_no_code_is_met_with_silence():
    class Odd:
        def __call__(self, z):
            return z

    assert list(slips(Odd(), reference)) == list(unused(Odd())) == []
    assert departure(Odd(), [reference]) is None
    assert departure(reference, [Odd()]) is None


def test_a_departure_names_the_line_and_what_stands_there_whatever_the_variables_are_called():
    def right(z):
        centre = z.mean(dim=0)
        return (z - centre).square().sum()

    def wrong(z):
        m = z.mean(dim=0)
        return (z + m).square().sum()

    def other(z):
        return torch.linalg.svdvals(z @ z.T + 3).log().max()

    assert departure(wrong, [other, right]) == (
        "Next to a way that is right, yours has `+` for `-` in line 3 of wrong (`return (z + m).square().sum()`)."
    )
    assert departure(other, [right]) is None  # nothing alike: a difference would say nothing


def test_operations_are_those_of_the_formula_however_it_is_written():
    z = torch.rand(5, 4, dtype=torch.float64)
    ways = [operations.kinds_of(way) for way in (lambda: z.logsumexp(1), lambda: z.exp().sum(1).log())]
    assert list(operations.unusual(operations.kinds_of(lambda: z.softmax(1).log()), ways)) == [
        "Yours takes a softmax, which the ways known to be right do not: does the formula ask for it?"
    ]
    (median,) = operations.unusual(operations.kinds_of(lambda: z.exp().median(1).values.log()), ways)
    assert "a median" in median
    (no_log,) = operations.unusual(operations.kinds_of(lambda: z.exp().sum(1)), ways)
    assert no_log == "Yours takes no log anywhere, and the right ways do."
    assert list(operations.unusual(operations.kinds_of(lambda: 1 / 0), ways)) == []


def test_weights_of_a_total_are_found_from_enough_results_and_only_where_it_is_a_sum():
    terms = torch.rand(5, 2, dtype=torch.float64)
    results = [(3 * a - 0.5 * b, a, b) for a, b in terms]
    assert clues.weights(results) == [3.0, -0.5]
    assert clues.weights(results[:2]) is None
    assert clues.weights([(a * b, a, b) for a, b in terms]) is None


def test_a_wrong_term_is_told_rather_than_the_total_that_holds_it():
    def info_nce(z_a, z_b, temperature=0.2):
        right = losses.info_nce(z_a, z_b, temperature)
        contrast = len(z_a) * right.contrast
        return right.alignment + contrast, right.alignment, contrast

    message = examine(info_nce).message
    assert "The largest absolute difference of `contrast`" in message
    assert "Of contrast: your result is N times the right one in every case" in message


def test_a_total_of_right_terms_is_told_by_its_weights():
    def info_nce(z_a, z_b, temperature=0.2):
        _, alignment, contrast = losses.info_nce(z_a, z_b, temperature)
        return alignment + 3 * contrast, alignment, contrast

    assert "Yours is 1 alignment + 3 contrast; asked is 1 alignment + 1 contrast." in examine(info_nce).message


def test_a_mistake_that_only_looks_like_another_at_the_default_is_not_called_by_its_name():
    def uniformity(z, t=2):
        z = torch.nn.functional.normalize(z, dim=1)
        return torch.pdist(z).square().mul(-t / 2).exp().mean().log()  # at t = 2 as if t were missing

    assert "t in the exponent is missing" not in examine(uniformity).message


def test_a_log_of_another_base_is_told():
    def uniformity(z, t=2):
        return losses.uniformity_term(torch.nn.functional.normalize(z, dim=1), t) / math.log(2)

    assert "base 2" in examine(uniformity).message


def test_a_mistake_with_a_name_is_still_told_of_its_loop():
    def mirror(x, which):
        for i in range(len(x)):
            out = x.clone()
            if which[i]:
                out[i] = x[i].flip(2)
        return out

    assert "`out` is written anew in each round of the loop" in examine(mirror).message


def test_a_batch_of_pictures_is_told_which_came_out_wrong_and_how():
    def mirror(x, which):
        return x.flip(3) if which.any() else x

    assert "There 2 of the images that are not chosen came out mirrored." in examine(mirror).message


def test_a_name_of_a_collapse_is_told_the_two_numbers_it_depends_on():
    def name_collapse(z, threshold=0.1):
        return z.new_tensor(1.0 if z.std(dim=0).mean() < threshold else 0.0)

    message = examine(name_collapse).message
    assert "the limit 1 + threshold * (m - 1) is" in message
    assert "which makes it type 2" in message


def test_a_factor_that_is_cut_off_is_told_where_right_ways_differ_in_their_gradient():
    def entropy(p, base=math.e):
        return -sum(x * math.log(x) for x in p.flatten() if x > 0) / math.log(base)

    assert "a part of the gradient is cut off" in examine(entropy).message


def test_a_mask_can_be_compared_with_numbers():
    from jemlib.course.machinery.closeness import close

    mask = torch.tensor([True, False])
    assert close([mask], [mask], 1e-9)
    assert not close([mask], [torch.tensor([0.0, 1.0])], 1e-9)
    assert not close([torch.tensor([0.5, 0.0])], [mask], 1e-9)


def _pair(ours, truth):
    ours, truth = torch.as_tensor(ours, dtype=torch.float64), torch.as_tensor(truth, dtype=torch.float64)
    return clues.Pair((torch.ones(*(truth.shape or (1,))),), {}, ours, truth, clues.EXACT)


def test_a_right_result_of_nothing_neither_hides_a_factor_nor_a_tiny_difference():
    truth = [[1.0, 2.0, 4.0], [3.0, 5.0, 6.0, 8.0], [1e-17, -1e-17]]
    turned = [_pair([-x for x in row], row) for row in truth]
    assert "sign turned around" in clues.relation(turned)
    off = [_pair([x + 1e-7 for x in row], row) for row in truth]
    assert "tiny" in clues.relation(off)
    off = [_pair([x + 1e-4 for x in row], row) for row in truth]
    assert "is an eps added" in clues.relation(off)
    off[2] = _pair([0.5, 0.5], truth[2])
    assert clues.relation(off) is None


def test_matrices_that_are_all_right_tell_nothing_about_the_result_that_is_not():
    generator = torch.Generator().manual_seed(0)
    right = [torch.randn(4, 4, generator=generator, dtype=torch.float64) for _ in range(3)]
    column = torch.randn(6, 1, generator=generator, dtype=torch.float64)
    assert clues.relation([*(_pair(m, m) for m in right), _pair(column + 1 / column, column)]) is None


def test_of_a_largest_entry_it_is_not_said_that_the_others_were_left_out():
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    said = clues.behaviour(lambda a, _: [-a[0].amin()], lambda a, _: [a[0].amax()], [z], {}, ["z"])
    assert not any("leave it out" in sentence for sentence in said)
    short = clues.behaviour(lambda a, _: [a[0][:-1].square().sum()], lambda a, _: [a[0].square().sum()], [z], {}, ["z"])
    assert "Your result does not depend on the last row of z: does a loop, or an index, leave it out?" in list(short)


def test_labels_that_do_not_count_are_told():
    z, labels = torch.randn(5, 2, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1])
    said = clues.behaviour(
        lambda a, _: [a[0].mean(dim=0)], lambda a, _: [a[0][a[1] == 1].mean(dim=0)], [z, labels], {}, ["z", "labels"]
    )
    told = "Your result does not depend on labels: it comes out the same when the entries are others."
    assert told in list(said)


def test_positions_in_place_of_values_are_told():
    def firing_threshold(h, rate, signs=1):
        return (signs * h).argsort(dim=0)[0]

    assert "are positions, not the values there" in examine(firing_threshold).message

    def firing_threshold(h, rate, signs=1):
        return h.amax(dim=0).long()

    assert "make new tensors" in examine(firing_threshold).message
