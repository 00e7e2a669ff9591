"""A loss of one's own: from a file, in the frame of a method, checked, recorded, resumed, on the board, diagnosed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from typer.testing import CliRunner

from jemlib import cli
from jemlib.cli import app
from jemlib.data import Images, load
from jemlib.evaluate import embeddings
from jemlib.experiments import own as experiment
from jemlib.experiments.runs import restore, run
from jemlib.methods import METHODS, PCL, SELF_SUPERVISED, Batch, Method, build, load_loss
from jemlib.methods.loss_file import parts
from jemlib.scales import SCALES, adjusted_scale
from jemlib.train import fit

FEW = ("--scale", "smoke", "--limit", "64", "--set", "steps=2", "--set", "batch_size=16", "--set", "warmup=1")
TINY = {"scale": "smoke", "steps": 2, "batch_size": 16, "warmup": 1}

# A copy of VICReg with its weights inside; only the total is returned. In the same order, so that it is the same bit
# for bit: the order in which gradients are added is that in which the terms were computed.
VICREG = """
import torch
import torch.nn.functional as F

from jemlib.losses.gram import gram


def covariance_matrix(z):
    return gram((z - z.mean(dim=0)).T) / (z.shape[0] - 1)


def hinge(cov):
    return torch.relu(1.0 - torch.sqrt(cov.diagonal() + 1e-4)).mean()


def penalty(cov):
    return cov.square().fill_diagonal_(0).sum() / cov.shape[0]


def mine(z_a, z_b):
    pull = F.mse_loss(z_a, z_b)
    cov_a, cov_b = covariance_matrix(z_a), covariance_matrix(z_b)
    spread = (hinge(cov_a) + hinge(cov_b)) / 2
    off = penalty(cov_a) + penalty(cov_b)
    return 25.0 * pull + 25.0 * spread + 1.0 * off


def noisy(z_a, z_b):
    return mine(z_a, z_b + 0.1 * torch.randn_like(z_b))


def towards_each_other(z_a, z_b):
    return -F.cosine_similarity(z_a, z_b).mean()


def nearer(z_a, z_b):
    return F.mse_loss(z_a, z_b)
"""


@pytest.fixture(autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache and a working directory of their own."""
    monkeypatch.setenv("JEMLIB_CACHE", str(tmp_path_factory.getbasetemp() / "own-cache"))
    monkeypatch.setenv("CI", "true")
    monkeypatch.chdir(tmp_path)


def written(text: str = VICREG, name: str = "my_loss.py") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def jem(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def images() -> Images:
    return load("motifs", "train", limit=64)


def batch(seed: int = 0) -> Batch:
    views = torch.randn(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return Batch(views, generator=torch.Generator().manual_seed(seed))


def first_step(loss: Any, name: str = "vicreg") -> Any:
    """The first step of a training run, as far as the loss goes."""
    method, given = build(name, scale="smoke", loss=loss), batch()
    with method.training_step(given):
        return method.step(given)


# --- the file ---------------------------------------------------------------------------------------------------------

ODD = """
import torch
WEIGHT = 3.0
class Parts: ...
layer = torch.nn.Linear(2, 2)
def mine(z_a, z_b): ...
def other(z_a, z_b): ...
"""


@pytest.mark.parametrize(
    ("text", "source", "kind", "message"),
    [
        (ODD, "my_loss.py", ValueError, r"FILE\.py:function.*got 'my_loss\.py'\. Functions in .*: mine, other"),
        (ODD, "my_loss:mine", ValueError, r"must be FILE\.py:function, such as my_loss\.py:mine; got 'my_loss:mine'"),
        (ODD, "nowhere.py:mine", ValueError, r"a file that can be read; got 'nowhere\.py' \(No such file"),
        (ODD, "my_loss.py:min", ValueError, r"has no function 'min'; its functions: mine, other\. Did you mean 'mine'"),
        (ODD, "my_loss.py:WEIGHT", TypeError, r"my_loss\.py:WEIGHT must be a function; got 3\.0"),
        (ODD, "my_loss.py:Parts", TypeError, r"my_loss\.py:Parts must be a function; it is a class"),
        (ODD, "my_loss.py:layer", TypeError, r"got the module Linear, whose weights nothing here would train"),
        ("x = 1\ny = x / 0\n", "my_loss.py:mine", ValueError, r"my_loss\.py, line 2: `y = x / 0` raised ZeroDiv"),
        ("def mine(z_a z_b):\n", "my_loss.py:mine", ValueError, r"line 1: `def mine\(z_a z_b\):` raised SyntaxError"),
        ("import sys\nsys.exit(3)\n", "my_loss.py:mine", ValueError, r"line 2: `sys\.exit\(3\)` raised SystemExit: 3"),
        ("import beside\n", "my_loss.py:mine", ValueError, r"No module named 'beside'\. A file with a loss stands"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_what_is_wrong_with_it(
    text: str, source: str, kind: type, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [p for p in sys.path if p not in ("", str(Path.cwd()))])  # as for `jem`
    written(text)
    written("", "beside.py")
    with pytest.raises(kind, match=message):
        load_loss(source)


def test_an_error_while_the_file_is_run_names_its_deepest_line() -> None:
    written("import math\ndef deep(x):\n    return math.sqrt(x)\ntop = deep(-1)\n")
    with pytest.raises(ValueError, match=r"line 3: `return math\.sqrt\(x\)` raised ValueError"):
        load_loss("my_loss.py:mine")


def test_the_record_has_the_name_of_the_function_of_the_file_and_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = written()
    loss = load_loss(f"{tmp_path / path}:mine")
    assert loss.record == {
        "function": "mine", "file": "my_loss.py", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip
    path.write_text(VICREG + "# a remark\n")
    assert load_loss("my_loss.py:mine").sha256 != loss.sha256


def test_a_drive_letter_is_part_of_the_path() -> None:
    path, name = parts(r"C:\course\my_loss.py:mine")
    assert (PureWindowsPath(str(path)).name, name) == ("my_loss.py", "mine")


def test_a_partial_and_a_lambda_go_by_the_name_they_have_in_the_file() -> None:
    text = "from functools import partial\nfrom jemlib.losses import vicreg\nsoft = partial(vicreg, gamma=0.5)\n"
    written(text + "pull = lambda z_a, z_b: (z_a - z_b).square().mean()\n")
    assert load_loss("my_loss.py:pull").label.startswith("pull-")
    assert build("vicreg", scale="smoke", loss=load_loss("my_loss.py:pull")).settings["loss"]["function"] == "pull"
    method = build("vicreg", scale="smoke", loss=load_loss("my_loss.py:soft"))
    assert method.whose_loss == "your soft"
    assert method.step(batch()).variance < build("vicreg", scale="smoke").step(batch()).variance


# --- the frame --------------------------------------------------------------------------------------------------------


def trained(name: str, images: Images, loss: Any = None) -> dict[str, Tensor]:
    """Weights after two steps; with PCL, the second is after its first E-step."""
    clusters = {"num_clusters": (3,), "warmup": 0.1} if name == PCL.name else {}
    method = build(name, scale="smoke", loss=loss, widths=(16,), **clusters)
    fit(method, images, **TINY)
    return method.state_dict()


def naming_everything(name: str) -> Any:
    """jemlib's loss behind a function whose arguments are those of the frame, none with a default."""
    frame = METHODS[name].frame()
    names = ", ".join([*(f"t{i}" for i in range(len(frame.tensors))), "*", *frame.options])
    passed = ", ".join([*(f"t{i}" for i in range(len(frame.tensors))), *(f"{n}={n}" for n in frame.options)])
    scope = {"jemlibs": METHODS[name].loss_function}
    exec(f"def mine({names.removesuffix(', *')}): return jemlibs({passed})", scope)
    return scope["mine"]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    equal = [torch.equal(value, b[name]) for name, value in a.items() if isinstance(value, Tensor)]
    return bool(equal) and all(equal)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_loss_in_the_frame_gets_what_jemlibs_own_gets(name: str, images: Images) -> None:
    plain = trained(name, images)
    assert same(trained(name, images, naming_everything(name)), plain)
    assert same(trained(name, images, lambda *args, **named: METHODS[name].loss_function(*args, **named)), plain)


def test_an_argument_named_as_an_option_gets_the_setting_and_any_other_keeps_its_default() -> None:
    seen: dict[str, float] = {}

    def mine(a: Tensor, b: Tensor, weight: float = 7.0, temperature: float = 9.0) -> Tensor:
        seen.update(weight=weight, temperature=temperature)
        return F.mse_loss(a, b)

    build("simclr", scale="smoke", temperature=0.3, loss=mine).step(batch())
    assert seen == {"weight": 7.0, "temperature": 0.3}


@pytest.mark.parametrize(
    ("name", "loss", "message"),
    [
        ("vicreg", lambda z: z.sum(), r"take 2 tensors by position: the frame of vicreg gives z_a, z_b; .* takes z"),
        ("byol", lambda a, b: a.sum(), r"take 4 tensors by position: the frame of byol gives p_a, p_b, target_a, ta"),
        ("vicreg", lambda a, b, beta: a.sum(), r"\(z_a, z_b; by name: invariance, .*\); <lambda> also wants 'beta'"),
        ("vicreg", 3, r"loss must be a function; got 3"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_called_in_the_frame_is_refused_before_anything_is_loaded(
    name: str, loss: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        run(name, data="folder:/nowhere", scale="smoke", loss=loss)


def test_a_setting_that_would_change_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"covariance is a setting of jemlib's vicreg, and would change nothing: mine"):
        build("vicreg", scale="smoke", covariance=3.0, loss=load_loss(f"{written()}:mine"))


def test_a_setting_that_needs_a_term_which_the_loss_does_not_return_says_so() -> None:
    method = build("simclr", scale="smoke", negatives=False, loss=load_loss(f"{written()}:mine"))
    with pytest.raises(ValueError, match=r"negatives = False needs the term 'alignment' of the loss, and your mine"):
        method.step(batch())


# --- what it returns --------------------------------------------------------------------------------------------------


class Nameless(NamedTuple):
    value: Tensor


class Clash(NamedTuple):
    total: Tensor
    step: Tensor


class Wide(NamedTuple):
    total: Tensor
    parts: Tensor


class Logged(NamedTuple):
    total: Tensor
    weight: float


def overwritten(a: Tensor, b: Tensor) -> Tensor:
    e = a.exp()
    total = e.sum()
    e.zero_()  # which the gradient of exp needs
    return total


def near_zero(z: Tensor) -> Tensor:
    return z - z.detach()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda a, b: a.sum().item(), r"must return a scalar tensor; got .*, a float, which has no gradient"),
        (lambda a, b: None, r"a scalar tensor, or a NamedTuple with a field `total`; got None\. Is a `return`"),
        (lambda a, b: {"total": a.sum()}, r"must return a scalar tensor, or a NamedTuple with a field `total`; got"),
        (lambda a, b: (a - b).square().sum(dim=1), r"must return one number; got a float32 tensor of shape \(8,\)"),
        (lambda a, b: (a > b).sum(), r"must return a floating-point scalar tensor; got a int64 tensor"),
        (lambda a, b: Nameless(a.sum()), r"a NamedTuple with a field `total`; its fields are value"),
        (lambda a, b: Clash(a.sum(), a.sum()), r"must not call a term 'step': a column of the history"),
        (lambda a, b: Wide(a.sum(), a), r"the term 'parts' of your <lambda> must be a scalar; got"),
        (lambda a, b: (a.sum(), b.sum()), r"a tuple of 2; vicreg's own is \(total, invariance, variance, covariance\)"),
        (lambda a, b: F.mse_loss(a, b).detach(), r"a tensor without gradient: \.detach\(\)"),
        (lambda a, b: F.mse_loss(a, b) * float("nan"), r"returned nan in its first call, on finite embeddings"),
        (lambda a, b: F.mse_loss(a, b) / 0, r"returned inf in its first call"),
        (lambda a, b: 0 * a.sum() + 3, r"a gradient of exactly 0 with respect to every embedding"),
        (lambda a, b: near_zero(a).square().sum().sqrt(), r"is finite, but its gradient is not"),
        (overwritten, r"cannot be differentiated"),
    ],
)  # fmt: skip
def test_a_nonsense_result_is_named_in_the_first_step(loss: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        first_step(loss)


def test_one_view_alone_may_have_the_gradient() -> None:
    assert first_step(lambda a, b: F.mse_loss(a, b.detach())).total > 0


def test_a_plain_number_among_the_terms_is_logged() -> None:
    found = first_step(lambda a, b: Logged(F.mse_loss(a, b), 0.5))
    assert {name: float(value.detach()) for name, value in found._asdict().items()}["weight"] == 0.5


def test_lists_of_views_reach_the_loss_in_full_precision() -> None:
    seen = []

    def mine(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        seen.extend(view.dtype for view in (*student, *teacher))
        return F.mse_loss(student[0], teacher[1])

    with torch.autocast("cpu", torch.bfloat16):
        build("simdino", scale="smoke", loss=mine).step(batch())
    assert set(seen) == {torch.float32}


def test_a_loss_that_becomes_nan_later_is_a_run_that_diverged(images: Images) -> None:
    calls = []

    def mine(a: Tensor, b: Tensor) -> Tensor:
        calls.append(1)
        return F.mse_loss(a, b) * (1 if len(calls) < 2 else float("nan"))

    with pytest.raises(
        FloatingPointError, match=r"vicreg diverged at step 1: the total of your mine must be finite; got"
    ):
        fit(build("vicreg", scale="smoke", loss=mine), images, **TINY)


def test_an_error_in_the_function_is_one_line_with_the_line_of_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written("def mine(z_a, z_b):\n    z = z_a - z_b\n    return z.sqare().mean()\n")
    monkeypatch.setattr("sys.argv", ["jem", "train", "vicreg", "--loss", "my_loss.py:mine", *FEW])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    errors = capsys.readouterr().err
    assert stopped.value.code == 2
    assert errors.startswith(
        "jem: my_loss.py, line 3: `return z.sqare().mean()` raised AttributeError: 'Tensor' object"
    )
    assert "Traceback" not in errors


# --- training ---------------------------------------------------------------------------------------------------------


def weights(folder: Path) -> dict[str, Tensor]:
    return dict(torch.load(folder / "weights.pt", weights_only=True))


@pytest.mark.slow
def test_a_copy_of_vicregs_loss_trains_to_the_weights_of_vicreg_and_the_record_says_whose_it_was(
    tmp_path: Path,
) -> None:
    path = written()
    jem("train", "vicreg", "--out", "plain", *FEW)
    said = jem("train", "vicreg", "--loss", "my_loss.py:mine", *FEW)
    loss = load_loss("my_loss.py:mine")
    folder = tmp_path / "runs" / f"{loss.label}-0"
    assert same(weights(folder), weights(tmp_path / "plain"))
    assert said.startswith(f"mine (my_loss.py, sha256 {loss.sha256[:8]}) in the frame of vicreg on motifs/test: kNN")

    recorded = json.loads((folder / "metrics.json").read_text())["settings"]
    assert recorded["loss"] == loss.record
    assert "covariance" not in recorded  # a weight of jemlib's loss, which did not train this
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert state["settings"]["settings"]["loss"] == loss.record

    path.unlink()  # the weights are scored without it
    again = jem("evaluate", folder)
    assert again.splitlines()[0] == said.splitlines()[0]
    assert "64 embeddings of 64 dimensions" in again
    assert "collapse" in again.splitlines()[-2]
    assert "`jem collapse vicreg --loss my_loss.py:mine` measures it beside vicreg's own." in again.splitlines()[-1]
    method, _ = restore(folder)
    assert same(method.state_dict(), weights(folder))


def test_a_changed_file_does_not_go_on_with_the_run_of_the_old_one(tmp_path: Path, images: Images) -> None:
    path = written()
    fit(build("vicreg", scale="smoke", loss=load_loss(f"{path}:mine")), images, out=tmp_path / "run", **TINY)
    path.write_text(VICREG.replace("25.0 * pull", "24.0 * pull"))
    changed = build("vicreg", scale="smoke", loss=load_loss(f"{path}:mine"))
    message = (
        r"settings\.loss\.sha256 '\w+' -> '\w+'\. The run began with mine of my_loss\.py as it was then, .* put the"
    )
    with pytest.raises(ValueError, match=message):
        fit(changed, images, out=tmp_path / "run", **TINY)


def test_a_killed_run_goes_on_to_the_same_weights_though_the_loss_draws_at_random(
    tmp_path: Path, images: Images
) -> None:
    loss = load_loss(f"{written()}:noisy")
    whole = build("vicreg", scale="smoke", loss=loss)
    fit(whole, images, **TINY)

    def die(method: Method, row: dict[str, float]) -> None:
        if row["step"] == 2:
            raise MemoryError  # after the checkpoint of step 1

    options: dict[str, Any] = {"out": tmp_path / "run", "log_every": 1, "checkpoint_seconds": 0.0, **TINY}
    with pytest.raises(MemoryError):
        fit(build("vicreg", scale="smoke", loss=loss), images, on_log=die, **options)
    torch.manual_seed(99)  # another process has another state
    method = build("vicreg", scale="smoke", loss=loss)
    history = fit(method, images, **options)
    assert history["step"] == [1, 2]
    assert same(method.state_dict(), whole.state_dict())


def test_what_a_loss_draws_leaves_the_global_generator_alone(images: Images) -> None:
    loss = load_loss(f"{written()}:noisy")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(build("vicreg", scale="smoke", loss=loss), images, **TINY)
    assert torch.equal(torch.rand(3), expected)


def test_a_stopped_train_goes_on_with_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written()
    steps: list[float] = []

    def stop_in_the_first(self: Method, given: Batch) -> None:
        steps.append(given.progress)
        if len(steps) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Method, "before_step", stop_in_the_first)
    command = ("train", "barlow_twins", "--loss", "my_loss.py:mine", *FEW)
    assert "the same command goes on from it" in jem(*command, code=130)
    assert "2 steps, 32 images" in jem(*command)
    assert steps == [0.0, 0.5]


def test_the_help_of_train_and_the_methods_say_what_a_loss_is_given() -> None:
    text = " ".join(jem("train", "--help").split())
    for name in SELF_SUPERVISED:
        frame = METHODS[name].frame()
        assert name in text
        assert f"f({', '.join(frame.tensors)})" in text
        assert f"A loss gets by position: {frame}" in jem("methods", name)


# --- the board --------------------------------------------------------------------------------------------------------


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of a board by their first cell's name; a method's own by "method NAME"."""
    table = json.loads((folder / "board.json").read_text())
    return {row["method"] if "loss" in row else f"method {row['method']}": row for row in table["rows"]}


@pytest.mark.slow
def test_the_board_grows_a_row_at_a_time_and_replaces_only_what_is_trained_again(tmp_path: Path) -> None:
    path = written()
    command = ("compare", "vicreg", "--out", "board", "--seeds", 2, "--no-supervised", *FEW)
    first = jem(*command, "--loss", "my_loss.py:mine")
    loss, was = load_loss("my_loss.py:mine"), rows(tmp_path / "board")
    assert list(was) == ["method vicreg", "mine"]
    assert was["mine"]["loss"] == loss.record
    assert f"mine is of my_loss.py, sha256 {loss.sha256}." in first
    for column in ("knn", "linear", "rankme", "normalized_std"):  # a copy of VICReg, so its figures over the same seeds
        assert was["mine"][column] == was["method vicreg"][column]
    text = (tmp_path / "board" / "board.md").read_text()
    assert (
        f"| **mine** in vicreg's frame, my_loss.py `{loss.sha256[:8]}` | {was['mine']['knn']['mean']:.3f} (± " in text
    )
    assert "| vicreg | " in text
    assert "| *raw pixels* | " in text

    jem(*command, "--loss", "my_loss.py:towards_each_other")
    path.write_text(VICREG.replace("25.0 * pull", "1.0 * pull"))
    jem(*command, "--loss", "my_loss.py:mine")
    now = rows(tmp_path / "board")
    assert list(now) == ["method vicreg", "mine", "towards_each_other"]
    assert now["method vicreg"] == was["method vicreg"]
    assert now["mine"]["loss"]["sha256"] == load_loss("my_loss.py:mine").sha256
    assert now["towards_each_other"]["loss"]["sha256"] == loss.sha256  # the file as it was when that was trained
    runs = json.loads((tmp_path / "board" / "board.json").read_text())["runs"]
    assert [experiment.owner_of_run(r)[0] for r in runs] == 2 * ["method"] + 2 * ["mine"] + 2 * ["towards_each_other"]

    with pytest.raises(ValueError, match=r"is a board of other runs \(the recipe\).* another --out"):
        jem(*command, "--loss", "my_loss.py:mine", "--set", "learning_rate=0.01")


@pytest.mark.slow
def test_recorded_methods_stand_beside_a_new_row_and_their_record_is_left_as_it_is(tmp_path: Path) -> None:
    written()
    jem("compare", "simclr", "--out", "other", "--seeds", 1, "--no-supervised", *FEW)
    Path("results").mkdir()
    record = Path("results") / "motifs_smoke.json"
    record.write_bytes((tmp_path / "other" / "compare.json").read_bytes())
    before = record.read_bytes()
    jem("compare", "vicreg", "--loss", "my_loss.py:mine", "--seeds", 1, *FEW)  # the default place
    found = rows(tmp_path / "results")
    assert list(found) == ["method simclr", "mine"]
    assert found["method simclr"]["record"] == "motifs_smoke.json"
    assert found["method simclr"]["knn"] == json.loads(before)["rows"][0]["knn"]
    assert record.read_bytes() == before
    assert "Rows of methods are from motifs_smoke.json" in (tmp_path / "results" / "board.md").read_text()


def test_the_reference_record_of_the_course_fits_a_board_at_scale_cpu(tmp_path: Path) -> None:
    head = {"data": "motifs", "scale": "cpu", "split": "test", "recipe": experiment.through_json(SCALES["cpu"])}
    found = experiment.recorded(tmp_path, head)
    assert found is not None
    assert found[0].name == "motifs_cpu.json"
    assert experiment.recorded(tmp_path, head | {"split": "validation"}) is None
    assert experiment.recorded(tmp_path, head | {"recipe": head["recipe"] | {"steps": 3}}) is None


@pytest.mark.parametrize("names", [(), ("vicreg", "simclr")])
@pytest.mark.parametrize("command", ["compare", "collapse"])
def test_a_loss_needs_one_frame(command: str, names: tuple[str, ...]) -> None:
    written()
    with pytest.raises(ValueError, match=r"--loss needs one METHOD, whose frame it has, such as vicreg; got"):
        jem(command, *names, "--loss", "my_loss.py:mine")


def test_a_file_that_is_no_board_is_not_written_over(tmp_path: Path) -> None:
    written()
    (tmp_path / "board.json").write_text('{"rows": []}')
    with pytest.raises(ValueError, match=r"board\.json holds no board"):
        jem("compare", "vicreg", "--loss", "my_loss.py:mine", "--out", tmp_path, *FEW)
    assert (tmp_path / "board.json").read_text() == '{"rows": []}'


# --- its collapse -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_loss_that_only_pulls_views_together_is_diagnosed_as_collapsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written()
    long_enough = adjusted_scale("smoke", steps=40)
    monkeypatch.setitem(SCALES, "smoke", long_enough)
    jem("train", "vicreg", "--loss", "my_loss.py:towards_each_other", "--scale", "smoke", "--out", "run")
    assert jem("evaluate", "run").splitlines()[-2].startswith("complete collapse: normalised std")
    method, _ = restore(tmp_path / "run")
    z = F.normalize(embeddings(method, load("motifs", "validation", limit=100)), dim=1)
    assert (z @ z.T).min() > 0.9  # they do all point one way

    # One that lets lengths shrink: directions are left on the way to the constant, and the size tells.
    said = jem(
        "collapse", "vicreg", "--loss", "my_loss.py:nearer", "--scale", "smoke", "--seeds", 1, "--out", "record.json"
    )
    assert "seed 0: complete collapse: embeddings shrank to 0.0" in said
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["loss"] == load_loss("my_loss.py:nearer").record
    assert record["intact"]["directional_spread"] > 0.3
    assert record["runs"][0]["directional_spread"] > 0.1


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"directional_spread": 0.05, "std_ratio": 1.0, "rankme": 30.0}, "complete collapse: directional spread 0.05"),
        (
            {"directional_spread": 0.5, "std_ratio": 0.01, "rankme": 30.0},
            "complete collapse: embeddings shrank to 0.01",
        ),
        ({"directional_spread": 0.9, "std_ratio": 1.0, "rankme": 3.0}, "dimensional collapse: RankMe 3.0 of 64 < 7.3"),
        ({"directional_spread": 0.9, "std_ratio": 1.0, "rankme": 30.0}, "no collapse seen"),
    ],
)
def test_the_verdict_names_the_collapse_and_the_diagnostic_that_sees_it(found: dict[str, float], verdict: str) -> None:
    assert experiment.collapse_of(found, {"rankme": 40.0}, 64).startswith(verdict)
