"""`jem check-env`."""

from __future__ import annotations

import pytest
import torch

from jemlib import environment
from jemlib.environment import check_python, check_requirement, report


def test_this_environment_passes() -> None:
    lines = report(seconds=0.1)
    assert [str(line) for line in lines if line.ok is False] == []
    text = "\n".join(map(str, lines))
    for part in (
        "Python 3.",
        "torch ",
        "scikit-learn ",
        "compiled operators load",
        "device: ",
        "threads: ",
        "images/s",
    ):
        assert part in text


def test_a_missing_package_fails_and_says_what_to_do() -> None:
    line = check_requirement("no-such-package>=1.0")
    assert not line.ok
    assert str(line) == "[FAIL] no-such-package>=1.0 is not installed: " + environment.REPAIR


def test_a_package_that_is_too_old_fails_and_names_both_versions() -> None:
    line = check_requirement("torch>=99")
    assert not line.ok
    assert torch.__version__.split("+")[0] in str(line)
    assert ">=99" in str(line)


def test_a_python_that_is_too_old_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.platform, "python_version", lambda: "3.8.1")
    assert str(check_python()).startswith("[FAIL] Python 3.8.1 does not fit")


def test_operators_that_do_not_load_fail_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("no operators")

    monkeypatch.setattr(environment, "import_module", broken)
    assert (
        str(environment.check_torchvision_operators())
        == "[FAIL] torchvision's operators do not load (no operators): install torch and torchvision together"
    )


def test_with_a_failure_the_speed_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.platform, "python_version", lambda: "3.8.1")
    monkeypatch.setattr(environment, "speed", lambda seconds: pytest.fail("measured"))
    assert report()[0].ok is False
