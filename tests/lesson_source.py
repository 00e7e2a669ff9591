"""A small lesson source made of real exercises, for the tests of the builder and of grading."""

from __future__ import annotations

from jemlib.course.build.notebooks import REQUIRED_SECTIONS

LESSON = "02_barlow_twins"

STANDARDIZE = '''def standardize(z, eps=1e-5):
    """Centre and scale each dimension over the batch."""
    ### BEGIN SOLUTION
    centred = z - z.mean(dim=0)
    return centred / torch.sqrt(centred.square().mean(dim=0) + eps)
    ### END SOLUTION'''
CROSS_CORRELATION = '''def cross_correlation(z_a, z_b, eps=1e-5):
    """Correlate each dimension of A with each dimension of B."""
    ### BEGIN SOLUTION
    return standardize(z_a, eps).T @ standardize(z_b, eps) / z_a.shape[0]
    ### END SOLUTION'''
REDUNDANCY = '''def redundancy_term(c):
    """Sum the squares off the diagonal."""
    ### BEGIN SOLUTION
    return c.square().sum() - c.diagonal().square().sum()
    ### END SOLUTION'''


def markdown(text: str) -> str:
    lines = "\n".join(f"# {line}".rstrip() for line in text.split("\n"))
    return f"# %% [markdown]\n{lines}\n"


def exercise(name: str, code: str) -> str:
    """Header, exercise cell and check cell."""
    return (
        markdown(f"Text.\n\n{{{{exercise:{name}}}}}")
        + f'\n# %% exercise="{name}"\n{code}\n\n# %% check="{name}"\n{name} = check({name})\n\n'
    )


NOTATION = """| symbol | code | shape |
| --- | --- | --- |
| $Z^A$, $Z^B$ | `z_a`, `z_b` | (N, D) |
| $C$ | `c` | (D, D) |"""


def sections() -> str:
    texts = {name: NOTATION if name == "Notation" else "Text." for name in REQUIRED_SECTIONS}
    return "\n".join(markdown(f"## {name}\n\n{text}") for name, text in texts.items())


def source(*exercises: str) -> str:
    """A lesson with the given exercise blocks; without any, all three."""
    blocks = exercises or (
        exercise("standardize", STANDARDIZE),
        exercise("cross_correlation", CROSS_CORRELATION),
        exercise("redundancy_term", REDUNDANCY),
    )
    setup = "# %%\nimport torch\n\nfrom jemlib.course import check\n\n"
    last = '# %% tags=["nbval-check-output"]\nz_a = torch.arange(6.0).view(3, 2)\nprint(z_a.shape)\n'
    return f"{markdown('# Lesson 02')}\n{setup}{sections()}\n{''.join(blocks)}{last}"
