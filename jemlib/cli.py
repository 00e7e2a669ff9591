"""The `jem` command."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Joint-embedding self-supervised learning: train, compare, evaluate, check, build the course.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

DataOption = Annotated[str | None, typer.Option(help="motifs, cifar10 or folder:PATH. Default: the scale's own.")]
RootOption = Annotated[str | None, typer.Option(help="Where downloaded data lies.")]
ScaleOption = Annotated[str | None, typer.Option(help="smoke, cpu or gpu. Default: JEMLIB_SCALE, else the machine's.")]
SeedOption = Annotated[int, typer.Option(help="Of weights, order and views.")]
OutOption = Annotated[Path | None, typer.Option(help="Where the files go.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of the method or the scale, NAME=VALUE; may be repeated."),
]
LossOption = Annotated[
    str | None,
    typer.Option(
        "--loss",
        metavar="FILE.py:FUNCTION",
        help="Train with your own function in METHOD's frame; `jem methods METHOD` says what it is given.",
    ),
]
LimitOption = Annotated[int | None, typer.Option(help="Use only this many training images.")]


def parse_settings(pairs: list[str] | None) -> dict[str, Any]:
    """`["lambd=0.01", "widths=256,256"]` -> `{"lambd": 0.01, "widths": (256, 256)}`."""
    settings: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"--set must be NAME=VALUE; got {pair!r}.")
        settings[name] = parse_value(text)
    return settings


def parse_value(text: str) -> Any:
    """A Python literal (a number, True, None, numbers with commas between) or, where it is none, the text itself."""
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def split_settings(name: str | None, pairs: list[str] | None, limit: int | None) -> dict[str, Any]:
    """Arguments for `experiments.run`: settings of the method under `settings`, those of the scale by name.

    Raises:
        ValueError: a name is neither; what has an option of its own (data, seed) is not set this way.
    """
    from jemlib import validate
    from jemlib.methods import known_settings
    from jemlib.scales import settable

    of_method = known_settings(name) if name else {}
    arguments: dict[str, Any] = {"settings": {}}
    for key, value in parse_settings(pairs).items():
        validate.choice("--set", key, [*of_method, *settable()])
        (arguments["settings"] if key in of_method else arguments)[key] = value
    if limit is not None:
        arguments["limit"] = limit
    return arguments


@app.command()
def train(
    method: Annotated[str, typer.Argument(help="`jem methods` lists them, `jem methods METHOD` its settings.")],
    data: DataOption = None,
    root: RootOption = None,
    scale: ScaleOption = None,
    seed: SeedOption = 0,
    out: OutOption = None,
    limit: LimitOption = None,
    split: Annotated[str, typer.Option(help="Score on validation while you choose, on test to report.")] = "test",
    settings: SetOption = None,
    loss: LossOption = None,
) -> None:
    """Train METHOD, score it, write a run folder. The same command again goes on with a stopped run.

    With --loss your own function takes the place of the method's. Frames, as arguments by position:

    \b
    f(z_a, z_b)                          simclr, barlow_twins, vicreg, sigreg
    f(p_a, p_b, z_a, z_b)                simsiam
    f(p_a, p_b, target_a, target_b)      byol
    f(student, teacher)                  simdino: a list of views each
    f(student_logits, teacher_logits, center)     dino: lists, and the centre
    f(scores)                            swav: a list of scores (N, K)
    f(v, prototypes, assignments, phi)   pcl: its prototype term

    z are embeddings (N, D) of two views, row i of both is the same image; p are predictions of the other view. An
    argument with a name that `jem methods METHOD` lists, such as `temperature`, gets the setting of the method.

    The function returns a scalar tensor, or a NamedTuple with `total` and what else is to be logged. It remembers
    nothing from call to call. The run is recorded under its name and the SHA-256 of its file, has a folder of its own,
    and does not go on with a changed file.
    """
    from jemlib.experiments import run
    from jemlib.methods import load_loss

    own = load_loss(loss) if loss is not None else None
    out = out or Path("runs") / f"{own.label if own else method}-{seed}"
    arguments = split_settings(method, settings, limit) | {"loss": own}
    finished = run(method, data=data, root=root, scale=scale, seed=seed, out=out, split=split, **arguments)
    if finished.history.interrupted:
        typer.echo(f"Stopped. {out} holds the checkpoint; the same command goes on from it.")
        raise typer.Exit(130)
    show_metrics(finished.metrics, out)


@app.command()
def methods(name: Annotated[str | None, typer.Argument(metavar="METHOD", help="None: all.")] = None) -> None:
    """What can be trained; with METHOD, its settings (default, range and meaning) and what it gives a --loss."""
    from jemlib import validate
    from jemlib.methods import METHODS
    from jemlib.methods.settings import described

    if name is not None:
        chosen = METHODS[validate.choice("METHOD", name, METHODS)]
        typer.echo(f"{described(chosen.Settings)}\nA loss gets by position: {chosen.frame()}")
        return
    for key, method in METHODS.items():
        typer.echo(f"{key:14s}{(method.__doc__ or '').partition(chr(10))[0]}")


def show_metrics(metrics: dict[str, Any], out: Path | None) -> None:
    """The figures of a run, their protocol, and where the files are."""
    from jemlib.experiments.runs import title

    typer.echo(
        f"{title(metrics)} on {metrics['data']}/{metrics['split']}: kNN {metrics['knn']:.3f}, "
        f"linear {metrics['linear']:.3f}, RankMe {metrics['rankme']:.0f} of {metrics['dimensions']}, "
        f"normalised std {metrics['normalized_std']:.2f}; {metrics['steps']} steps, "
        f"{metrics['images_seen']:,} images in {metrics['train_seconds']:.0f} s"
    )
    typer.echo(f"Protocol: {metrics['protocol']}.")
    if out is not None:
        typer.echo(f"Files: {out}")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="A run folder that `jem train` wrote.", metavar="RUN")],
    data: Annotated[str | None, typer.Option(help="Data to score on. Default: the run's own.")] = None,
    root: RootOption = None,
    split: Annotated[str, typer.Option(help="validation or test")] = "test",
    limit: LimitOption = None,
    out: Annotated[Path | None, typer.Option(help="Also draw the diagnosis panel into this file.")] = None,
) -> None:
    """Score the weights of RUN again: kNN, linear probe, and the collapse diagnosis of its embeddings."""
    from jemlib import plots, validate
    from jemlib.data import load
    from jemlib.diagnose import diagnose
    from jemlib.evaluate import embeddings
    from jemlib.experiments import runs as experiment

    validate.choice("split", split, ("validation", "test"))
    method, metrics = experiment.restore(folder)
    source = data or metrics["data"]
    scale = experiment.scale_of(metrics)
    limit = limit if limit is not None else scale.limit
    train_images = load(source, "train", root=root, limit=limit)
    scored = experiment.load_scored(source, split, root, scale)
    metrics |= experiment.score(method, train_images, scored)
    show_metrics(metrics, None)
    z = embeddings(method, scored)
    typer.echo(f"Diagnosis of the embeddings of {metrics['data']}/{split}: {diagnose(z)}")
    loss = metrics["settings"].get("loss")
    if isinstance(loss, dict):  # no number above sees embeddings that shrink in all directions at once
        typer.echo(
            f"Raw standard deviation {float(z.std(dim=0).mean()):.3g}; is that small? "
            f"`jem collapse {metrics['method']} --loss {loss['file']}:{loss['function']}` measures it beside "
            f"{metrics['method']}'s own."
        )
    if out is not None:
        plots.diagnose(z, title=f"{metrics['method']}: embeddings of {metrics['data']}/{split}").savefig(out, dpi=150)
        typer.echo(f"Panel: {out}")


@app.command()
def compare(
    names: Annotated[list[str] | None, typer.Argument(metavar="METHODS", help="None: all.")] = None,
    data: DataOption = None,
    root: RootOption = None,
    scale: ScaleOption = None,
    seeds: Annotated[int, typer.Option(help="Runs of each method.")] = 3,
    out: OutOption = None,
    limit: LimitOption = None,
    supervised: Annotated[bool, typer.Option(help="Train the supervised row too.")] = True,
    settings: SetOption = None,
    loss: LossOption = None,
) -> None:
    """Train several METHODS under one budget and protocol; a table, a plot, a JSON record.

    With --loss and one METHOD your function is trained in its frame, and gets a row on the board beside the recorded
    methods: results/board.md, or --out. A row of the same function, file and frame is replaced, the others stay. It is
    scored on test: choose with `jem train --split validation`.
    """
    from jemlib import plots
    from jemlib.experiments import compare as run_all
    from jemlib.experiments import markdown_table
    from jemlib.methods import SELF_SUPERVISED

    if loss is not None:
        given = {"data": data, "root": root, "scale": scale, "seeds": seeds, "supervised": supervised}
        name = one_frame(names)
        enter_board(name, loss, out or Path("results"), **given, **split_settings(name, settings, limit))
        return
    out = out or Path("runs") / "compare"
    arguments = split_settings(None, settings, limit)
    arguments.pop("settings")
    table = run_all(
        names or list(SELF_SUPERVISED),
        data=data,
        root=root,
        scale=scale,
        seeds=seeds,
        out=out,
        supervised=supervised,
        **arguments,
    )
    plots.comparison(table).savefig(out / "compare.png", dpi=150)
    typer.echo(markdown_table(table))
    typer.echo(f"Protocol: {table['protocol']}.")
    typer.echo(f"Files: {out / 'compare.json'}, {out / 'compare.md'}, {out / 'compare.png'}")


def one_frame(names: list[str] | None) -> str:
    """The METHOD whose frame a --loss has."""
    from jemlib import validate
    from jemlib.methods import METHODS

    if not names or len(names) != 1:
        raise ValueError(f"--loss needs one METHOD, whose frame it has, such as vicreg; got {names or 'none'}.")
    return validate.choice("method", names[0], METHODS)


def enter_board(name: str, loss: str, out: Path, **arguments: Any) -> None:
    """`jem compare METHOD --loss`: the row, the board, and where it lies."""
    from jemlib import plots
    from jemlib.experiments import board, markdown_table
    from jemlib.methods import load_loss

    own = load_loss(loss)
    table = board(name, own, out=out, **arguments)
    plots.comparison(table).savefig(out / "board.png", dpi=150)
    typer.echo(markdown_table(table))
    typer.echo(f"{own.function.__name__} is of {own.path.name}, sha256 {own.sha256}.")
    typer.echo(f"Protocol: {table['protocol']}.")
    typer.echo(f"Files: {out / 'board.json'}, {out / 'board.md'}, {out / 'board.png'}")


@app.command()
def collapse(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Removals such as simsiam.stop-gradient; none: all. With --loss a METHOD."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each removal.")] = 3,
    scale: ScaleOption = None,
    out: Annotated[Path | None, typer.Option(help="The record. Default: runs/collapse.json.")] = None,
    loss: LossOption = None,
) -> None:
    """Take away what keeps each method from collapsing, and measure which diagnostic sees it.

    With --loss: train your function in the frame of one METHOD, and measure how far it collapses beside the method.
    """
    from jemlib.experiments.removals import run_removals, table

    if loss is not None:
        show_collapse(one_frame(names), loss, seeds, scale, out)
        return
    out = out or Path("runs/collapse.json")
    record = run_removals(names or None, seeds=seeds, scale=scale, out=out)
    typer.echo(table(record))
    crossed = [row["all_cross"] for row in record["rows"]]
    typer.echo(f"{sum(crossed)} of {len(crossed)} removals crossed their threshold on all seeds. Record: {out}")


def show_collapse(name: str, loss: str, seeds: int, scale: str | None, out: Path | None) -> None:
    """`jem collapse METHOD --loss`."""
    from jemlib.experiments.own import collapse_text, diagnose_loss
    from jemlib.methods import load_loss

    own = load_loss(loss)
    out = out or Path("runs") / f"collapse-{own.label}.json"
    record = diagnose_loss(name, own, seeds=seeds, scale=scale, out=out)
    typer.echo(f"{record['name']}, sha256 {own.sha256[:8]}:\n{collapse_text(record)}\nRecord: {out}")


@app.command()
def claims(
    ids: Annotated[list[str] | None, typer.Argument(help="Claims; none: all.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds of each claim.")] = 3,
    scale: ScaleOption = None,
    out: Annotated[Path, typer.Option(help="The record.")] = Path("results/claims.json"),
) -> None:
    """Measure every claim of the lessons over several seeds and write the record."""
    from jemlib.course.machinery.claims import run_claims
    from jemlib.train import hide_progress

    records = run_claims(ids or None, seeds=seeds, scale=scale, out=out, progress=not hide_progress())
    failed = [record["id"] for record in records if record["all_hold"] is False]
    typer.echo(
        f"{len(records) - len(failed)} of {len(records)} claims were not contradicted on {seeds} seeds. Record: {out}"
    )
    if failed:
        raise ValueError(f"these claims do not hold: {', '.join(failed)}.")


@app.command("check-env")
def check_env() -> None:
    """One line per requirement: is everything here, and what to do where it is not."""
    from jemlib.environment import report

    lines = report()
    for line in lines:
        typer.echo(str(line))
    if any(line.ok is False for line in lines):
        raise typer.Exit(1)


@app.command()
def bench(
    peers: Annotated[bool, typer.Option(help="Also measure lightly, kornia, torchvision.")] = False,
    losses: Annotated[bool, typer.Option(help="The objectives by themselves instead, against lightly's.")] = False,
    seconds: Annotated[float, typer.Option(help="For each thing measured.", min=0.1)] = 10.0,
    runs: Annotated[int, typer.Option(help="Whole runs; the record has their medians.", min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = None,
) -> None:
    """How fast this machine trains, in one run."""
    from jemlib.experiments import hardware, versions
    from jemlib.experiments.bench import bench as measure
    from jemlib.experiments.bench import median_of
    from jemlib.experiments.bench_losses import bench_losses
    from jemlib.files import write_json

    figures = bench_losses() if losses else median_of([measure(peers=peers, seconds=seconds) for _ in range(runs)])
    for name, value in figures.get("views_per_second", {}).items():
        typer.echo(f"{name:32s} {value:10,.0f} views/s")
    for name, value in figures.get("milliseconds", {}).items():
        typer.echo(f"{name:42s} {value:10.1f} ms")
    for name, value in figures["ratios"].items():
        typer.echo(f"{name:32s} {value:10.2f}")
    if out is not None:
        write_json(out, {**figures, "versions": versions(), **hardware()})


@app.command()
def gpu(
    minutes: Annotated[float, typer.Option(help="For everything.", min=0.1)] = 8.0,
    data: Annotated[
        str | None, typer.Option(help="motifs, cifar10, folder:PATH, or an archive of train/CLASS/* and test/CLASS/*.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The record.")] = Path("results/gpu.json"),
    smoke: Annotated[bool, typer.Option(help="Rehearse at smoke size, without a GPU.")] = False,
) -> None:
    """What only a CUDA GPU can show: its tests, the speed of every method, one run with its kNN curve."""
    from jemlib.experiments.gpu import run_gpu

    record = run_gpu(out, minutes=minutes, data=data, smoke=smoke, report=typer.echo)
    typer.echo(f"Record: {out}; skipped: {', '.join(record['skipped']) or 'nothing'}.")


@app.command()
def progress(
    lessons: Annotated[list[str] | None, typer.Argument(help="Lessons such as 02_barlow_twins; none: all.")] = None,
) -> None:
    """What you have done, attempted and left open, lesson by lesson."""
    import jemlib.course  # noqa: F401  the exercises register themselves
    from jemlib.course.machinery.progress import summary

    typer.echo(summary(lessons or None))


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(help="Lessons such as 02_barlow_twins; none: all.")] = None,
    check: Annotated[bool, typer.Option(help="Write nothing; fail if a notebook is not up to date.")] = False,
    execute: Annotated[bool, typer.Option(help="Run the solved notebooks even if unchanged.")] = False,
    scale: ScaleOption = None,
) -> None:
    """Write the notebooks of lessons/ and solutions/, and README.md's tables, from solutions/*.py and results/."""
    from jemlib.course.build.notebooks import build as build_notebooks

    if scale is not None:
        import os

        os.environ["JEMLIB_SCALE"] = scale
    changed = build_notebooks(names or None, check=check, execute=execute or None, report=typer.echo)
    if check and changed:
        raise ValueError(f"not up to date: {', '.join(map(str, changed))}. Run `jem build` and commit what it writes.")
    typer.echo("\n".join(f"wrote {path}" for path in changed) or "everything is up to date")


@app.command("new-lesson")
def new_lesson(name: Annotated[str, typer.Argument(help="Such as 07_pcl_em.")]) -> None:
    """Write the skeleton of a lesson: its source, its house, its test file."""
    from jemlib.course.build.skeletons import new_lesson as write
    from jemlib.course.machinery.exercises import repository_root

    for path in write(name, repository_root() or Path.cwd()):
        typer.echo(f"wrote {path}")


@app.command("new-exercise")
def new_exercise(
    lesson: Annotated[str, typer.Argument(help="Such as 07_pcl_em.")],
    function: Annotated[str, typer.Argument(help="The function it derives, such as jemlib.losses.concentration.")],
) -> None:
    """Declare an exercise in its lesson's house, and print the cells for the lesson's source."""
    from jemlib.course.build.skeletons import new_exercise as write
    from jemlib.course.machinery.exercises import repository_root

    path, cells = write(lesson, function, repository_root() or Path.cwd())
    typer.echo(f"added to {path}; for solutions/{lesson}.py:\n\n{cells}")


def main() -> None:
    """Run `jem`; an expected error is one line, not a traceback."""
    try:
        app()
    except (ValueError, TypeError, OSError, RuntimeError, FloatingPointError, ImportError) as error:
        typer.echo(f"jem: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("jem: stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
