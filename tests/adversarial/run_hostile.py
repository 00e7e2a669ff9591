"""Does the checker stay calm? `python -m tests.adversarial.run_hostile`: each hostile answer in a process of its own.

Calm means: `examine` and `check` return; the message is a sentence of at most 1,500 characters; each took at most 15 s;
at most 2,000 characters were printed in all; and the global state is as before.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import gc
import importlib
import json
import logging
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

import jemlib.losses
from jemlib.course import check, examine
from tests.adversarial.hostile import HOSTILE, Hostile
from tests.adversarial.truth import define, solutions

LESSONS = ("04", "05", "06")
LIMIT = 30  # seconds for both calls, then the process is killed
MEMORY = 6 * 2**30  # bytes: an answer with a billion entries must not take the machine with it
SECONDS, CHARACTERS, PRINTED = 15.0, 1500, 2000
STATES = ("correct", "incorrect", "not attempted")
# What answers replace, under names that no answer can replace.
CLOCK, WRITE = time.perf_counter, os.write
WORLD = (torch, torch.Tensor, F, torch.linalg, math, time, jemlib.losses)


BUILTINS = {name: value for name, value in vars(builtins).items() if not name.startswith("_")}


class Outcome(NamedTuple):
    """What was not calm about one answer, each in words; nothing when all was well."""

    hostile: Hostile
    complaints: list[str]
    message: str
    seconds: float


# --- in the process of the answer -----------------------------------------------------------------------------------


def state() -> dict[str, Any]:
    """Whatever an answer can change for those who come after it, by name."""
    names = [(home, name) for home in WORLD for name in vars(home) if not name.startswith("__") or home is torch.Tensor]
    replaced = {f"{home.__name__}.{name}": id(vars(home)[name]) for home, name in names if callable(vars(home)[name])}
    return replaced | {
        "torch's seed": hash(bytes(torch.get_rng_state().tolist())),
        "the seed of random": hash(random.getstate()),
        "NumPy's seed": hash(str(np.random.get_state(legacy=True))),  # noqa: NPY002 - the state that answers change
        "NumPy's error settings": str(np.geterr()),
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()) if hasattr(torch, "get_default_device") else "",
        "number of threads": torch.get_num_threads(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "anomaly detection": torch.is_anomaly_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "float32 precision": torch.get_float32_matmul_precision(),
        "denormal numbers": float(torch.tensor(1e-310, dtype=torch.float64) * torch.ones((), dtype=torch.float64)) > 0,
        "how tensors are printed": repr(torch.tensor([1.23456, 1234.5], dtype=torch.float32, device="cpu")),
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "warning filters": str(warnings.filters),
        "sys.stdout": (id(sys.stdout), getattr(sys.stdout, "closed", None)),
        "sys.stderr": (id(sys.stderr), getattr(sys.stderr, "closed", None)),
        "recursion limit": sys.getrecursionlimit(),
        "sys.path": list(sys.path),
        "trace function": id(sys.gettrace()),
        "excepthook": id(sys.excepthook),
        "garbage collection": gc.isenabled(),
        "handlers of signals": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        "handlers of the root logger": len(logging.getLogger().handlers),
    }


def lesson_of(exercise: str) -> str:
    return next(lesson for lesson in LESSONS if exercise in solutions(lesson))


def attempt(index: int, folder: str) -> None:
    """Let the checker see one answer; leave a report in the folder, and what was printed."""
    if hasattr(os, "setsid"):
        os.setsid()  # whoever kills this process can kill its children with it
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    report = os.open(f"{folder}/report", os.O_WRONLY | os.O_CREAT)
    printed = os.open(f"{folder}/printed", os.O_WRONLY | os.O_CREAT)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - they stay open
    os.chdir(folder)
    hostile = HOSTILE[index]
    answer = define(lesson_of(hostile.exercise), hostile.exercise, hostile.source)
    importlib.import_module("torch._dynamo")  # torch imports it late, and that changes filters and the environment
    before = state()
    WRITE(report, b"ready\n")
    for name, call in (("examine", examine), ("check", check)):
        start = CLOCK()
        note: dict[str, Any] = {}
        try:
            result = call(answer)
            if name == "examine":
                note = {"state": result.state, "message": result.message}
        except BaseException as error:  # whatever the checker lets through
            note = {"raised": type(error).__name__}
        replaced = [f"builtins.{key}" for key in BUILTINS if vars(builtins).get(key) is not BUILTINS[key]]
        vars(builtins).update(BUILTINS)  # what follows needs them
        note |= {"call": name, "seconds": CLOCK() - start, "changed": replaced + changed(before)}
        WRITE(report, (json.dumps(note) + "\n").encode())
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    WRITE(report, b"done\n")
    os._exit(0)  # no waiting for threads of the answer


def changed(before: dict[str, Any]) -> list[str]:
    try:
        now = state()
    except Exception as error:
        return [f"the state cannot even be read: {type(error).__name__}"]
    added = [name for name in now if name not in before and name.startswith("Tensor.")]
    return [name for name, value in before.items() if now.get(name) != value] + added


# --- outside ----------------------------------------------------------------------------------------------------------


def observe(context: Any, index: int) -> Outcome:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = context.Process(target=attempt, args=(index, folder), daemon=False)
        process.start()
        report = Path(folder, "report")
        while process.is_alive() and not (report.exists() and report.stat().st_size):
            time.sleep(0.05)
        start = time.perf_counter()
        process.join(LIMIT)
        seconds = time.perf_counter() - start
        end(process)
        lines = report.read_text().splitlines() if report.exists() else []
        printed = Path(folder, "printed")
        size = printed.stat().st_size if printed.exists() else 0
        calls = [json.loads(line) for line in lines if line.startswith("{")]
        complaints = list(judge(lines, calls, size, seconds, HOSTILE[index].afterwards))
        return Outcome(HOSTILE[index], complaints, calls[0].get("message", "") if calls else "", seconds)


def end(process: BaseProcess) -> None:
    """Kill what is left of the process and of the processes that it started."""
    if hasattr(os, "killpg") and process.pid:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def judge(lines: list[str], calls: list[dict[str, Any]], printed: int, seconds: float, wanted: str) -> Iterator[str]:
    """The complaints, from what the process reported."""
    if not lines:
        yield "it ended before the checker was asked"
        return
    if "done" not in lines:
        waiting = ("examine", "check", "the end")[len(calls)]
        yield f"{waiting} did not return within {LIMIT} s" if seconds >= LIMIT else f"the process ended in {waiting}"
    for note in calls:
        if "raised" in note:
            yield f"{note['call']} raised {note['raised']}"
        if note["seconds"] > SECONDS:
            yield f"{note['call']} took {note['seconds']:.0f} s"
        if note["changed"]:
            yield f"after {note['call']} other than before: {', '.join(note['changed'][:4])} (wanted: {wanted})"
        if "message" in note:
            yield from unkind(note["state"], note["message"])
    if printed > PRINTED:
        yield f"{printed:,} bytes were printed"


def unkind(state: str, message: Any) -> Iterator[str]:
    if state not in STATES:
        yield f"the state is {state!r:.100}"
    if not isinstance(message, str) or len(message.split()) < 3 or not message.rstrip().endswith((".", "?", "!")):
        yield f"the message is no sentence: {message!r:.100}"
    elif len(message) > CHARACTERS:
        yield f"the message has {len(message):,} characters"
    elif "Traceback (most recent call last)" in message:
        yield "the message is a traceback"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help="only answers whose note has this text")
    parser.add_argument("--verbose", action="store_true", help="also show the messages of the calm ones")
    options = parser.parse_args()
    # The server imports torch and jemlib once; every answer gets a fresh copy of it.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["jemlib.course", "torch._dynamo"])
    chosen = [i for i, hostile in enumerate(HOSTILE) if not options.only or options.only in hostile.note]
    calm = 0
    for index in chosen:
        outcome = observe(context, index)
        calm += not outcome.complaints
        if outcome.complaints:
            print(f"not calm: {outcome.hostile.note} ({outcome.hostile.exercise}): {'; '.join(outcome.complaints)}")
        elif options.verbose:
            print(f"calm, {outcome.seconds:.1f} s: {outcome.hostile.note}\n    {outcome.message}")
        sys.stdout.flush()
    print(f"calm {calm} of {len(chosen)}")


if __name__ == "__main__":
    main()
