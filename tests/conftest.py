"""Shared settings of the tests: how many examples the property tests try, and the order of the tests."""

from __future__ import annotations

import os
import random

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

# One profile for everybody, with CI set or not: the same examples every time, so that a red build is reproducible and
# a newcomer's green is not luck. Hypothesis starts from other defaults in CI; what it varies is therefore said here.
settings.register_profile(
    "repeatable",
    max_examples=25,
    deadline=None,  # the first call of a torch function can be slow
    derandomize=True,
    database=None,
    print_blob=True,
    # Without Phase.explain: once an example has failed it traces every line, which stood still for an hour at the end
    # of the whole suite.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
# `make fuzz`: many examples, other ones every time. What fails there is mended at its cause.
settings.register_profile(
    "fuzz",
    parent=settings.get_profile("repeatable"),
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "500")),
    derandomize=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the files, and the tests in each, in random order"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what needs a GPU where there is none; shuffles, where asked.

    The tests of a file stay together, because they share what is slow to make.
    """
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))
    if (seed := config.getoption("shuffle")) is not None:
        rng = random.Random(seed)
        rng.shuffle(items)
        files = list({item.path: None for item in items})
        items.sort(key=lambda item: files.index(item.path))
