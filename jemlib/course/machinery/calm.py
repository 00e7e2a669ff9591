"""Runs a learner's function so that nothing it does can hurt the notebook.

It may loop for ever, leave Python, print without end, or change what the whole process shares: seeds, default type,
patched torch functions. While a `Session` lasts, each call is timed and its output cut; afterwards all is put back.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import gc
import io
import logging
import math
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from time import monotonic  # a function of our own: the learner's may stop the clocks
from types import TracebackType
from typing import Any

import numpy as np
import torch

from jemlib import diagnose, losses

LIMIT = 10.0  # seconds for all calls of one check together
SHOWN = 800  # characters of what the function prints


class TooSlow(BaseException):
    """The time limit is over. Not an Exception, so that `except Exception` in the function does not stop it."""


class Nested(Exception):
    """`check` was called by the very function that is being checked."""


class Left(BaseException):
    """The function tried to end the whole process."""


class _Window(io.TextIOBase):
    """Passes on the first characters of what is printed, and drops the rest."""

    def __init__(self, out: Any, room: int) -> None:
        self.out, self.room = out, room

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.room > 0:
            self.out.write(text[: self.room])
            self.room -= len(text)
            if self.room <= 0:
                self.out.write("\n[what the function prints beyond this is left out]\n")
        return len(text)


# What a learner's code may have replaced, as attributes by name.
_PATCHABLE: tuple[Any, ...] = (
    builtins,  # first: putting the others back needs them
    torch,
    torch.nn.functional,
    torch.Tensor,
    torch.linalg,
    torch.autograd,
    losses,
    diagnose,
    math,
    time,
)


def _hold_inference(mode: bool) -> None:
    guard = torch._C._InferenceMode(mode)
    guard.__enter__()
    _held.append(guard)


def _set_signals(handlers: list[Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # where nobody can have set them
    for number, handler in zip(_SIGNALS, handlers):
        if signal.getsignal(number) is not handler and handler is not None:
            signal.signal(number, handler)


def _set_lines(printed: dict[str, Any]) -> None:
    vars(torch._tensor_str.PRINT_OPTS).update(printed)


def _set_environment(kept: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(kept)


def _set_list(target: Any, kept: list[Any]) -> None:
    target[:] = kept


_held: list[Any] = []  # guards that put an inference mode back; they must stay alive
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)]
_AUTOCAST = ("cpu", "cuda")
# What the whole process shares: how it is read, and how it is put back when it is no longer as it was.
_SHARED: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (
        lambda: [torch.is_autocast_enabled(device) for device in _AUTOCAST],
        lambda was: [torch.set_autocast_enabled(device, one) for device, one in zip(_AUTOCAST, was)],
    ),
    (torch.is_inference_mode_enabled, _hold_inference),
    (torch.get_default_device, lambda was: torch.set_default_device(None if was.type == "cpu" else was)),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (lambda: dict(vars(torch._tensor_str.PRINT_OPTS)), _set_lines),
    (lambda: sys.float_info.min * 0.5 == 0, torch.set_flush_denormal),
    (np.geterr, lambda was: np.seterr(**was)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.gettrace, sys.settrace),
    (lambda: sys.excepthook, lambda was: setattr(sys, "excepthook", was)),
    (lambda: list(sys.path), lambda was: _set_list(sys.path, was)),
    (lambda: list(warnings.filters), lambda was: _set_list(warnings.filters, was)),
    (lambda: list(logging.root.handlers), lambda was: _set_list(logging.root.handlers, was)),
    (lambda: logging.root.level, logging.root.setLevel),
    (gc.isenabled, lambda was: gc.enable() if was else gc.disable()),
    (lambda: [signal.getsignal(number) for number in _SIGNALS], _set_signals),
    (os.getcwd, os.chdir),
    (lambda: dict(os.environ), lambda was: _set_environment(was)),
)


class Surroundings:
    """What the whole process shares, as it was; `restore` puts it back."""

    def __init__(self) -> None:
        self.seeds = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002, the seeds that a learner sets
        self.streams = sys.stdout, sys.stderr
        self.shared = [read() for read, _ in _SHARED]
        self.attributes = [dict(vars(owner)) for owner in _PATCHABLE]

    def restore(self) -> None:
        for owner, kept in zip(_PATCHABLE, self.attributes):
            _put_back(owner, kept)
        for (read, put), was in zip(_SHARED, self.shared):
            if read() != was:
                put(was)
        torch.set_rng_state(self.seeds[0])
        np.random.set_state(self.seeds[1])  # noqa: NPY002
        random.setstate(self.seeds[2])
        sys.stdout, sys.stderr = self.streams


def _put_back(owner: Any, kept: dict[str, Any]) -> None:
    """Attributes that were replaced; new ones that are functions, but not what torch loads for itself."""
    now = vars(owner)
    for name, value in kept.items():
        if now.get(name) is not value:
            setattr(owner, name, value)
    if len(now) == len(kept):
        return
    for name in set(now) - set(kept):
        own = name.startswith("_") and not name.endswith("__")
        if callable(now[name]) and not isinstance(now[name], type(os)) and not own:
            delattr(owner, name)


def _leave(*_: object) -> None:
    raise Left("os._exit")


_active: list[Session] = []


class Session:
    """One check. `wrap(f)` is f with a time limit over all its calls, quiet after the first, and without traces.

    Raises:
        Nested: a check is running already, so the function that is checked has called `check`.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        self.left, self.limit = limit, limit
        self.deadline: float | None = None
        self.lock, self.over = threading.Lock(), threading.Event()
        self.calls = 0

    def __enter__(self) -> Session:
        if _active:
            raise Nested
        _active.append(self)
        self.thread = threading.get_ident()
        self.ignored = (
            signal.getsignal(signal.SIGINT) == signal.SIG_IGN and self.thread == threading.main_thread().ident
        )
        if self.ignored:  # as in a job in the background: an interrupt of our own must still arrive
            signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _active.clear()
        self.over.set()
        if self.ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wrap(self, f: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.left <= 0:
                raise TooSlow
            self.calls += 1
            surroundings, leave, abort = Surroundings(), os._exit, os.abort
            out = _Window(sys.stdout, SHOWN if self.calls == 1 else 0)
            try:
                sys.stdout, sys.stderr = out, _Window(surroundings.streams[1], out.room)
                os._exit = os.abort = _leave  # type: ignore[assignment]
                return self._timed(f, args, kwargs)
            finally:
                os._exit, os.abort = leave, abort
                surroundings.restore()

        try:
            functools.update_wrapper(call, f)
        except Exception:  # an object whose attributes cannot be read
            call.__wrapped__ = f  # type: ignore[attr-defined]
        call.guard = self.wrap  # type: ignore[attr-defined]  # for changed copies of it
        return call

    def _timed(self, f: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        start = monotonic()
        try:
            try:
                with self.lock:
                    self.deadline = start + self.left
                return f(*args, **kwargs)
            finally:
                self._disarm(start)
        except (TooSlow, KeyboardInterrupt):
            self._disarm(start)  # the exception may have come in the middle of it
            if self.left <= 0:
                raise TooSlow from None
            raise

    def _disarm(self, start: float) -> None:
        with self.lock:
            self.deadline = None
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), None)
        self.left = self.limit if self.left is None else min(self.left, self.left - (monotonic() - start))

    def _watch(self) -> None:
        """Once the time is over, raise TooSlow in the function's thread, again and again until it is out."""
        knocks = 0
        while not self.over.wait(0.05):
            with self.lock:
                if self.deadline is None or monotonic() < self.deadline:
                    continue
                exception = ctypes.py_object(TooSlow)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), exception)
                knocks += 1
                if knocks % 10 == 5 and self.thread == threading.main_thread().ident:
                    self._interrupt()

    def _interrupt(self) -> None:
        """Wake a function that sleeps or waits, which the exception alone does not reach."""
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(self.thread, signal.SIGINT)
        else:
            import _thread

            _thread.interrupt_main()
