"""The `jem` command, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jemlib import cli
from jemlib.cli import app, parse_settings

COMMANDS = ("train", "evaluate", "compare", "claims", "collapse", "check-env", "bench", "gpu", "build", "progress")


@pytest.fixture
def jem(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `jem ARGUMENTS` through `main`, as the installed command does: `(exit code, output, errors)`."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["jem", *arguments])
        monkeypatch.setenv("CI", "true")
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_jem_alone_lists_the_commands() -> None:
    output = CliRunner().invoke(app, []).output
    assert all(command in output for command in COMMANDS)


@pytest.mark.slow
def test_train_then_evaluate_then_train_again(jem, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    arguments = ("train", "vicreg", "--scale", "smoke", "--seed", "3", "--out", out, "--set", "widths=32,32")
    code, first, errors = jem(*arguments)
    assert (code, errors) == (0, "")
    assert "vicreg on motifs/test: kNN 0." in first
    assert "Protocol: frozen features" in first
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["seed"], metrics["settings"]["widths"]) == (3, [32, 32])

    panel = tmp_path / "panel.png"
    code, again, _ = jem("evaluate", out, "--out", str(panel))
    assert code == 0
    assert again.splitlines()[0] == first.splitlines()[0]  # the same weights give the same figures
    assert panel.stat().st_size > 10_000

    code, third, _ = jem(*arguments)
    assert code == 0
    assert third.splitlines()[0] == first.splitlines()[0]


@pytest.mark.slow
def test_compare_writes_a_table_a_plot_and_a_record(jem, tmp_path: Path) -> None:
    out = tmp_path / "compare"
    code, output, _ = jem(
        "compare", "simclr", "vicreg", "--scale", "smoke", "--seeds", "1", "--out", str(out), "--set", "steps=2",
        "--no-supervised",
    )  # fmt: skip
    assert code == 0
    assert "| simclr |" in output
    assert {"compare.json", "compare.md", "compare.png"} <= {p.name for p in out.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "vicregg", "--scale", "smoke"), "jem: method must be one of"),
        (("train", "vicreg", "--scale", "big"), "jem: scale must be one of"),
        (("train", "vicreg", "--scale", "smoke", "--set", "lambda=3"), "jem: --set must be one of"),
        (("train", "vicreg", "--scale", "smoke", "--set", "lambda"), "jem: --set must be NAME=VALUE; got 'lambda'"),
        (("train", "vicreg", "--scale", "smoke", "--data", "mnist"), "jem: name must be"),
        (("train", "vicreg", "--scale", "smoke", "--data", "folder:nowhere"), "jem: "),
        (("evaluate", "nowhere"), "jem: nowhere holds no complete run"),
    ],
)
def test_an_error_is_one_line_that_names_the_argument(jem, tmp_path, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = jem(*arguments)
    assert code == 2
    assert errors.startswith(message)
    assert "Traceback" not in errors


@pytest.mark.slow
def test_collapse_prints_what_sees_it_and_writes_a_record(jem, tmp_path: Path) -> None:
    out = tmp_path / "collapse.json"
    code, output, _ = jem("collapse", "simclr.negatives", "--scale", "smoke", "--seeds", "1", "--out", str(out))
    assert code == 0
    assert "| simclr.negatives | complete | directional_spread |" in output
    assert json.loads(out.read_text())["rows"][0]["name"] == "simclr.negatives"


def test_check_env_prints_one_line_a_requirement(jem) -> None:
    code, output, _ = jem("check-env")
    assert code == 0
    assert all(line.startswith(("[ OK ]", "[info]")) for line in output.splitlines())


def test_settings_are_numbers_lists_or_text() -> None:
    pairs = ["lambd=0.01", "steps=5", "widths=64,32", "views=byol", "learning_rate=4e-3"]
    assert parse_settings(pairs) == {
        "lambd": 0.01, "steps": 5, "widths": (64, 32), "views": "byol", "learning_rate": 4e-3,
    }  # fmt: skip
