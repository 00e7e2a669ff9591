"""Whatever a learner's function does, the check answers calmly and leaves the notebook as it was."""

from __future__ import annotations

import builtins
import gc
import logging
import math
import os
import random
import signal
import sys
import time
import warnings

import numpy as np
import pytest
import torch

from jemlib import losses
from jemlib.course import check, examine
from jemlib.course.machinery import calm, exercises
from jemlib.course.machinery.exercises import LONGEST, REGISTRY, box


def standardize_that(act):
    """A right answer that does something else first."""

    def standardize(z, eps=1e-5):
        act(z)
        return losses.standardize(z, eps)

    return standardize


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


class Untouchable(BaseException):
    pass


def throw(error):
    raise error


def endless(_):
    while True:
        pass


def stubborn(_):
    for _ in range(5):
        try:
            endless(_)
        except BaseException:
            continue
    endless(_)


@pytest.mark.parametrize("act", [endless, stubborn, lambda _: time.sleep(60)], ids=["loop", "catches all", "sleep"])
def test_a_function_without_end_is_stopped(act, monkeypatch):
    monkeypatch.setattr(calm.Session.__init__, "__defaults__", (0.3,))
    verdict = examine(standardize_that(act))
    assert verdict.state == "incorrect"
    assert "did not finish" in verdict.message
    assert examine(standardize_that(id)).state == "correct"  # nothing of it is left for the next check


def test_a_sleeping_function_is_stopped_where_interrupts_are_ignored_as_in_the_background(monkeypatch):
    monkeypatch.setattr(calm.Session.__init__, "__defaults__", (0.3,))
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        start = time.monotonic()
        assert "did not finish" in examine(standardize_that(lambda _: time.sleep(60))).message
        assert time.monotonic() - start < 30
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, kept)


@pytest.mark.parametrize(
    ("act", "phrase"),
    [
        (lambda _: os._exit(3), "leave Python"),
        (lambda _: sys.exit(), "leave Python"),
        (lambda _: throw(KeyboardInterrupt()), "interrupted"),
        (lambda _: throw(Untouchable("x")), "Untouchable"),
        (lambda _: throw(Unprintable()), "cannot be printed"),
        (lambda _: throw(ValueError("x" * 10**6)), "ValueError"),
        (lambda z: examine(standardize_that(id)), "it calls check while it is being checked"),
    ],
)
def test_what_a_function_raises_becomes_a_short_sentence(act, phrase):
    verdict = examine(standardize_that(act))
    assert verdict.state == "incorrect"
    assert phrase in verdict.message
    assert len(verdict.message) <= LONGEST


def test_a_function_that_wraps_itself_is_checked_like_any_other():
    looped = standardize_that(id)
    looped.__wrapped__ = looped
    assert examine(looped).state == "correct"


def change_everything(_):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002, what a learner would write
    random.seed(1)
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(True)
    sys.setrecursionlimit(sys.getrecursionlimit() + 7)
    os.chdir("/")
    os.environ["JEMLIB_LEFT_BEHIND"] = "1"
    warnings.simplefilter("error")
    torch.exp = torch.sin
    torch.Tensor.mean = torch.Tensor.sum
    torch.a_new_function = print
    torch.Tensor.__eq__ = torch.Tensor.__ne__
    math.isclose = print
    builtins.isinstance = issubclass
    time.monotonic = lambda: 0.0
    torch.set_default_device("meta")
    torch.autograd.set_detect_anomaly(True)
    torch.set_printoptions(precision=2)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("medium")
    torch.inference_mode().__enter__()
    torch.autocast("cpu").__enter__()
    np.seterr(all="raise")
    sys.path.clear()
    sys.excepthook = print
    gc.disable()
    logging.basicConfig(level="DEBUG")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout = None


def surroundings():
    return (
        (torch.Tensor.__eq__, math.isclose, isinstance, time.monotonic),
        torch.get_default_device(),
        torch.is_anomaly_enabled(),
        dict(vars(torch._tensor_str.PRINT_OPTS)),
        sys.float_info.min * 0.5,
        torch.get_float32_matmul_precision(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        np.geterr(),
        list(sys.path),
        sys.excepthook,
        gc.isenabled(),
        (list(logging.root.handlers), logging.root.level),
        signal.getsignal(signal.SIGTERM),
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_grad_enabled(),
        sys.getrecursionlimit(),
        os.getcwd(),
        dict(os.environ),
        list(warnings.filters),
        (torch.exp, torch.Tensor.mean, hasattr(torch, "a_new_function")),
        sys.stdout,
    )


def test_what_a_function_changes_for_all_is_put_back():
    before = surroundings()
    examine(standardize_that(change_everything))
    assert surroundings() == before


def test_what_a_function_prints_is_shown_once_and_cut(capsys):
    assert examine(standardize_that(lambda _: print("hello"))).state == "correct"
    assert capsys.readouterr().out == "hello\n"
    examine(standardize_that(lambda _: print("x" * 100_000)))
    assert len(capsys.readouterr().out) < 1100


@pytest.mark.parametrize("name", ["c" * 10**6, "a\ud800\x1b[31m"], ids=["long", "unprintable"])
def test_a_name_that_nobody_can_read_is_cut_and_made_printable(name, capsys):
    def f(z):
        return z

    f.__name__ = name
    check(f)
    said = capsys.readouterr().out
    assert len(said) < LONGEST + 100
    assert said.encode("utf-8").decode().replace("\n", "").isprintable()


def test_an_object_that_raises_when_it_is_looked_at_is_answered_calmly():
    class Shy:
        def __getattribute__(self, name):
            raise KeyboardInterrupt(name)

    assert "raises KeyboardInterrupt when it is looked at" in examine(Shy()).message


def test_a_lambda_without_a_name_gets_no_list_of_all_exercises(capsys):
    check(lambda z: z)
    said = capsys.readouterr().out
    assert "lambda" in said
    assert not any(name in said for name in REGISTRY)


def test_a_verdict_has_a_colour_and_a_sign_in_a_live_notebook_and_the_same_text(monkeypatch, capsys):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: shown.append(data))
    check(standardize_that(id))
    plain = capsys.readouterr().out
    monkeypatch.setattr(exercises, "_in_live_notebook", lambda: True)
    check(standardize_that(id))
    assert shown[0]["text/plain"] + "\n" == plain
    assert "\u2714" in shown[0]["text/html"]
    assert box("<b>", "incorrect").count("&lt;b&gt;") == 1
    assert len({box("x", state) for state in exercises.STYLES}) == 3


def test_verdicts_are_plain_text_where_outputs_are_compared(monkeypatch):
    import IPython

    class ZMQInteractiveShell:
        pass

    monkeypatch.setattr(IPython, "get_ipython", ZMQInteractiveShell)
    variables = ("CI", "NBGRADER_EXECUTION", "PYTEST_VERSION", "PYTEST_CURRENT_TEST")
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    assert exercises._in_live_notebook()
    for name in variables:
        monkeypatch.setenv(name, "1")
        assert not exercises._in_live_notebook()
        monkeypatch.delenv(name)
