"""Lesson 03: the exercises from the information bottleneck to its Gaussian form, with their mistakes."""

from __future__ import annotations

import torch
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, declare
from jemlib.course.machinery.inputs import views

# --- Inputs ----------------------------------------------------------------------------------------------------


def _table(*shape: int, seed: int, zeros: float = 0.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random probabilities that sum to 1, about a share `zeros` of them exactly 0."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(shape, generator=generator, dtype=torch.float64) ** 2 + 0.01
    p = p * (torch.rand(shape, generator=generator) >= zeros)
    return (p / p.sum()).to(dtype)


def _distributions() -> list[Case]:
    """Nats and bits, both types, a table, zeros, a certain event and a fair choice of eight."""
    return [
        Case((_table(4, seed=1),)),
        Case((_table(7, seed=2),), {"base": 2.0}),
        Case((_table(3, 5, seed=3),), {"base": 3.0}),
        Case((_table(6, seed=4, dtype=torch.float32),)),
        Case((torch.full((8,), 1 / 8, dtype=torch.float64),), {"base": 2.0}, "eight equal chances"),
        Case((_table(9, seed=6, zeros=0.5),), note="some probabilities 0"),
        Case((torch.eye(1, 5, dtype=torch.float64)[0],), note="one certain event"),
    ]


def _joints() -> list[Case]:
    """Tables U x V: square and not, nats and bits, both types, zeros, independent, and U determined by V."""
    independent = torch.outer(_table(3, seed=7), _table(4, seed=8))
    return [
        Case((_table(4, 4, seed=1),)),
        Case((_table(3, 3, seed=2),), {"base": 2.0}),
        Case((_table(2, 5, seed=3),), {"base": 2.0}),
        Case((_table(5, 3, seed=4, dtype=torch.float32),)),
        Case((independent,), note="U and V independent"),
        Case((_table(5, 4, seed=6, zeros=0.4),), {"base": 3.0}, "some entries 0"),
        Case((torch.tensor([[0.25, 0.25, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0]]).double(),), note="a row of zeros"),
    ]


def _encoder(n: int, k: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    p = _table(n, k, seed=seed)
    return (p / p.sum(dim=1, keepdim=True)).to(dtype)


def _chains() -> list[Case]:
    """X -> Y -> Z with random encoders of several sizes, and two codes of the world of four elements."""
    world = torch.tensor([[0.25, 0.25, 0, 0], [0, 0, 0.25, 0.25]], dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)
    return [
        Case((_table(4, 4, seed=3), _encoder(4, 4, 4)), {"beta": 0.5, "base": 2.0}),
        Case((_table(3, 4, seed=1), _encoder(4, 3, 2)), {"beta": 2.0}),
        Case((_table(2, 5, seed=5), _encoder(5, 3, 6)), {"beta": 3.0}),
        Case((_table(3, 3, seed=7, dtype=torch.float32), _encoder(3, 2, 8, torch.float32)), {"beta": 1.0}),
        Case((world, eye), {"beta": 3.0, "base": 2.0}, "Z = Y"),
        Case((world, eye[[0, 0, 1, 1]]), {"beta": 2.0, "base": 2.0}, "Z = X"),
    ]


def _entropy_pairs() -> list[Case]:
    """H(Z|X) and H(Z), with beta below, at and above 1; the last ones are differential, one of them negative."""
    rows = [(0.7, 1.3, 3.0), (1.1, 1.9, 0.5), (0.4, 2.0, 1.0), (0.0, 1.5, 4.0), (-2.3, 0.6, 2.0), (-0.9, -0.4, 0.25)]
    return [Case((torch.tensor(h_x).double(), torch.tensor(h).double()), {"beta": b}) for h_x, h, b in rows]


def _covariance(z: Tensor) -> Tensor:
    centred = z - z.mean(dim=0)
    return centred.T @ centred / len(z)


def _correlations() -> list[Case]:
    """Correlation and covariance matrices, and one of 300 dimensions whose determinant is below the smallest float."""
    cases = [Case((_covariance(views(n, d, seed, torch.float64, 1, 1)[0]),)) for n, d, seed in ((9, 3, 1), (20, 5, 2))]
    z = views(30, 4, 3, torch.float64, 1, 1)[1]
    large = torch.full((300, 300), 0.9) + 0.1 * torch.eye(300)
    return [
        *cases,
        Case((losses.auto_correlation(z, 0.0),), note="a correlation matrix"),
        Case((_covariance(z).float(),)),
        Case((losses.auto_correlation(views(40, 7, 4, torch.float64, 1, 1)[1], 0.0),), note="a correlation matrix"),
        Case((large,), note="300 dimensions, all correlated by 0.9"),
    ]


def _batches() -> list[Case]:
    """Shifted and scaled, both types, D = 1, tiny values, and two calls with eps; N > D everywhere."""
    constant = views(9, 3, 7, torch.float64, 1, 1)[1]
    constant[:, 1] = 2.0
    return [
        Case((views(9, 3, 1, torch.float64, 2, 1)[0],)),
        Case((views(12, 4, 2, torch.float64, 3, 5)[1],)),
        Case((views(15, 5, 3, torch.float32, 1, 1)[0],)),
        Case((views(8, 1, 4, torch.float64, 1, 1)[0],)),
        Case((views(11, 4, 5, torch.float64, 1, 2e-3)[1],), note="very small values"),
        Case((views(10, 3, 6, torch.float64, 1, 1)[1],), {"eps": 0.3}),
        Case((constant,), {"eps": 0.2}, "dimension 1 constant"),
    ]


def _several_views() -> list[Case]:
    """Two, three and four views of a few images, both types, pooled and one matrix an image."""

    def stack(number: int, n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        image = 2 * torch.randn(n, d, generator=generator, dtype=torch.float64) + 1
        noise = torch.randn(number, n, d, generator=generator, dtype=torch.float64)
        return (image + noise * torch.linspace(0.3, 1.0, d).double()).to(dtype)

    return [
        Case((stack(2, 7, 3, 1),)),
        Case((stack(3, 5, 4, 2),)),
        Case((stack(2, 6, 2, 3, torch.float32),)),
        Case((stack(4, 4, 3, 4),)),
        Case((stack(2, 3, 4, 5),)),
        Case((stack(3, 4, 2, 6),), {"pooled": False}, "one matrix an image"),
    ]


# --- Sentences that serve several exercises ---------------------------------------------------------------------

NOT_A_NUMBER = "0 log 0 came out as NaN; it counts as 0: leave entries of probability 0 out of the sum."
BASE_MULTIPLIED = "multiplied by log(base); to change the base of a logarithm divide by it."
BASE_ITSELF = "divided by base itself; a logarithm to another base is the natural one divided by math.log(base)."
BASE_FIXED = "the argument base is ignored: e, for nats, is only its default."
BASE_TWICE = "log2 is in bits already, and was then divided by log(base) as well: take the natural logarithm."
ALWAYS_BITS = "always in bits: log2 was used, whatever base says; its default, e, gives nats."
BASE_IN_PART = "the base was not handed on to every call: numbers in different units come together."
NO_GRADIENT = "the values are right, but no gradient reaches the input: detach(), item() and no_grad() cut the graph."


# --- 3.1 entropy ------------------------------------------------------------------------------------------------

ENTROPY = declare(
    __name__,
    losses.entropy,
    number="3.1",
    title="the entropy of one distribution, in any unit",
    difficulty=1,
    importance=4,
    minutes=5,
    points=1,
    hints=(
        "An entropy is the expected surprise: each -log p, weighted by its p, summed.",
        "Entries with p = 0 add nothing, but 0 * log(0) is NaN. Keep p[p > 0], or use torch.special.xlogy(p, p).",
        "A logarithm to another base is the natural one divided by math.log(base).",
    ),
    cases=_distributions,
    gradients="flow",
    answer="""
        def entropy(p, base=math.e):
            p = p[p > 0]
            return -(p * p.log()).sum() / math.log(base)
    """,
    mistakes={
        "no minus": Edit("return -( -> return (", "the minus is missing: logarithms of chances are negative."),
        "not weighted": Edit(
            "p * p.log() -> p.log()",
            "the surprises -log p were added without their weights p: an entropy is their expectation.",
        ),
        "mean": Edit("sum() -> mean()", "a mean over the entries; p already weighs them, so it is a sum.", of="xlogy"),
        "mean of those above 0": Edit(
            "sum() -> mean()", "a mean over the entries; p already weighs them, so it is a sum."
        ),
        "log of the sum": Edit(
            "(p * p.log()).sum() -> (p * p).sum().log()",
            "the logarithm was taken last, of the expected p; an entropy is the expectation of -log p.",
        ),
        "nan": Edit("p[p > 0] -> p", NOT_A_NUMBER),
        "a little added": Edit(
            "p[p > 0] -> p\np.log() -> (p + 1e-8).log()",
            "a small number was added inside the logarithm; that changes every entropy a little. Treat p = 0 apart.",
        ),
        "base ignored": Edit("/ math.log(base) ->", BASE_FIXED),
        "always bits": Edit("log(base) -> log(2)", ALWAYS_BITS),
        "log2 and base": Edit("p.log() -> p.log2()", BASE_TWICE),
        "base itself": Edit("/ math.log(base) -> / base", BASE_ITSELF),
        "base multiplied": Edit("/ math -> * math", BASE_MULTIPLIED),
        "rows": Edit(
            "sum() -> sum(dim=-1)",
            "the sum runs over the last axis only; a table is one distribution, and its entropy one number.",
            of="xlogy",
        ),
        "perplexity": Edit(
            "-(p * p.log()).sum() / math.log(base) -> torch.exp(-(p * p.log()).sum())",
            "that is the perplexity, exp of the entropy: leave out the exponential.",
        ),
    },
    right={
        "loop": """
            total = 0
            for q in p.flatten():
                if q > 0:
                    total = total - q * torch.log(q) / math.log(base)
            return total
        """,
        "xlogy": "return -torch.special.xlogy(p, p).sum() / math.log(base)",
        "entr": "return torch.special.entr(p).sum() / math.log(base)",
        "where": "return -(p * torch.where(p > 0, p, 1.0).log()).sum() / math.log(base)",
    },
)


# --- 3.2 mutual_information_loop --------------------------------------------------------------------------------

INFORMATION = declare(
    __name__,
    losses.mutual_information,
    number="3.2",
    title="the mutual information as a loop that mirrors the sum",
    difficulty=2,
    importance=4,
    minutes=8,
    points=2,
    hints=(
        "First the marginals: p(u) = joint.sum(dim=1) and p(v) = joint.sum(dim=0).",
        "Two loops, u over rows and v over columns. Skip an entry that is 0.",
        "Add joint[u, v] * torch.log(joint[u, v] / (p_u[u] * p_v[v])), and divide the sum by math.log(base).",
    ),
    cases=_joints,
    gradients="flow",
    answer="""
        def mutual_information_loop(joint, base=math.e):
            p_u, p_v = joint.sum(dim=1), joint.sum(dim=0)
            total = joint.new_zeros(())
            for u in range(joint.shape[0]):
                for v in range(joint.shape[1]):
                    if joint[u, v] > 0:
                        total = total + joint[u, v] * torch.log(joint[u, v] / (p_u[u] * p_v[v]))
            return total / math.log(base)
    """,
    mistakes={
        "nan": Edit("if joint[u, v] > 0 -> if True", NOT_A_NUMBER),
        "upside down": Edit(
            "joint[u, v] / (p_u[u] * p_v[v]) -> p_u[u] * p_v[v] / joint[u, v]",
            "the fraction or the sign is upside down: p(u,v) stands above p(u) p(v). Information is never negative.",
        ),
        "not weighted": Edit("joint[u, v] * torch -> torch", "the weight p(u,v) in front of the logarithm is missing."),
        "weighted by the product": Edit(
            "joint[u, v] * torch -> p_u[u] * p_v[v] * torch",
            "weighted by p(u) p(v); the expectation is over the joint table, weights p(u,v).",
        ),
        "no logarithm": Edit("torch.log( -> (", "the logarithm of the fraction is missing."),
        "one marginal": Edit(
            "* p_v[v] ->",
            "only p(u) stands below p(u,v): that gives minus a conditional entropy. Divide by p(v) as well.",
        ),
        "the other marginal": Edit(
            "p_u[u] * ->",
            "only p(v) stands below p(u,v): that gives minus a conditional entropy. Divide by p(u) as well.",
        ),
        "brackets": Edit(
            "(p_u[u] * p_v[v]) -> p_u[u] * p_v[v]",
            "brackets are missing below the fraction line: a / b * c multiplies by c. Write a / (b * c).",
        ),
        "sum of the marginals": Edit(
            "p_u[u] * p_v -> p_u[u] + p_v", "p(u) and p(v) were added; independence is a product, p(u) p(v)."
        ),
        "marginals exchanged": Edit(
            "joint.sum(dim=1), joint.sum(dim=0) -> joint.sum(dim=0), joint.sum(dim=1)",
            "the marginals are exchanged: p(u) sums over the columns of row u, that is dim=1.",
        ),
        "joint entropy": Edit(
            "torch.log(joint[u, v] / (p_u[u] * p_v[v])) -> -torch.log(joint[u, v])",
            "that is the joint entropy H(U,V): p(u) and p(v) do not occur in it.",
        ),
        "diagonal": Edit(
            "for v in range(joint.shape[1]) -> for v in [u][: joint.shape[1] - u]",
            "only the entries with u = v were added; u and v are two separate loops.",
        ),
        "last column left out": Edit(
            "range(joint.shape[1]) -> range(joint.shape[1] - 1)",
            "the last column is left out: v runs over all of them.",
        ),
        "last row left out": Edit(
            "range(joint.shape[0]) -> range(joint.shape[0] - 1)", "the last row is left out: u runs over all of them."
        ),
        "overwritten": Edit("total + joint -> joint", "each entry overwrites the one before: add to the total."),
        "base ignored": Edit("/ math.log(base) ->", BASE_FIXED),
        "always bits": Edit("log(base) -> log(2)", ALWAYS_BITS),
        "log2 and base": Edit("torch.log -> torch.log2", BASE_TWICE),
        "base itself": Edit("/ math.log(base) -> / base", BASE_ITSELF),
        "base multiplied": Edit("/ math -> * math", BASE_MULTIPLIED),
    },
    right={
        "one sum over the table": """
            product = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)
            kept = joint > 0
            return (joint[kept] * (joint / product)[kept].log()).sum() / math.log(base)
        """,
        "three entropies": """
            u, v = losses.entropy(joint.sum(dim=1), base), losses.entropy(joint.sum(dim=0), base)
            return u + v - losses.entropy(joint, base)
        """,
        "einsum": """
            log_u, log_v = (torch.where(p > 0, p, 1.0).log() for p in (joint.sum(dim=1), joint.sum(dim=0)))
            cross = torch.einsum("uv,u->", joint, log_u) + torch.einsum("uv,v->", joint, log_v)
            return (torch.special.xlogy(joint, joint).sum() - cross) / math.log(base)
        """,
    },
)


# --- 3.3 conditional_entropy ------------------------------------------------------------------------------------

# As the learner's notebook has them, without jemlib's checks: a wrong table is no error there.
PLAIN = {exercise.name: exercise.right["the answer"] for exercise in (ENTROPY, INFORMATION)}
ROWS_NOT_NORMALISED = (
    "the rows were not divided by their p(u): only then do the entries of a row sum to 1 and have an entropy."
)

CONDITIONAL = declare(
    __name__,
    losses.conditional_entropy,
    number="3.3",
    title="what remains unknown of the column when the row is known",
    difficulty=2,
    importance=4,
    minutes=6,
    points=2,
    hints=(
        "The chain rule: H(U,V) = H(U) + H(V|U). You have entropy; it takes a table too.",
        "p(u) is joint.sum(dim=1): one number a row.",
        "entropy(joint, base) - entropy(joint.sum(dim=1), base).",
    ),
    cases=_joints,
    gradients="flow",
    using=PLAIN,
    answer="""
        def conditional_entropy(joint, base=math.e):
            return entropy(joint, base) - entropy(joint.sum(dim=1), base)
    """,
    mistakes={
        "transposed": Edit("dim=1 -> dim=0", "that is H(U|V): the row u is known here, the column v is not."),
        "joint entropy": Body(
            "return entropy(joint, base)",
            "that is the joint entropy H(U,V): the entropy of the row, which is known, must be taken away.",
        ),
        "marginal entropy": Body(
            "return entropy(joint.sum(dim=0), base)", "that is H(V): it makes no use of the row that is known."
        ),
        "entropy of the row": Body(
            "return entropy(joint.sum(dim=1), base)", "that is H(U), the entropy of what is known already."
        ),
        "plain mean of the rows": Edit(
            "(p_u * entropies).sum() -> entropies.mean()",
            "a plain mean over the rows; row u counts with its probability p(u).",
            of="weighted rows",
        ),
        "sum of the rows": Edit(
            "p_u * entropies -> entropies",
            "the entropies of the rows were added without the weights p(u).",
            of="weighted rows",
        ),
        "rows not normalised": Edit(
            "/ torch.where(p_u > 0, p_u, 1.0)[:, None] ->", ROWS_NOT_NORMALISED, of="weighted rows"
        ),
        "mean of rows not normalised": Edit(
            "/ torch.where(p_u > 0, p_u, 1.0)[:, None] ->\n(p_u * entropies).sum() -> entropies.mean()",
            ROWS_NOT_NORMALISED,
            of="weighted rows",
        ),
        "wrong sign": Edit(
            "return entropy(joint, base) - -> return -entropy(joint, base) +",
            "the sign is wrong: H(U,V) - H(U), not the other way round.",
        ),
        "added": Edit(") - -> ) +", "H(U) was added to H(U,V); subtract it."),
        "mutual information": Body(
            "return entropy(joint.sum(dim=1), base) + entropy(joint.sum(dim=0), base) - entropy(joint, base)",
            "that is I(U;V), what u tells about v; asked is what remains unknown, H(V) - I(U;V).",
        ),
        "nan": Body(
            "return -torch.special.xlogy(joint, joint / joint.sum(dim=1, keepdim=True)).sum() / math.log(base)",
            "a row that never happens gave 0/0, and NaN: it counts with weight p(u) = 0, so leave it out.",
        ),
        "base ignored": Edit(", base ->", BASE_FIXED),
        "always bits": Edit("base -> 2", ALWAYS_BITS),
        "base in the first call": Edit("dim=1), base -> dim=1)", BASE_IN_PART),
        "base in the second call": Edit("(joint, base -> (joint", BASE_IN_PART),
    },
    right={
        "loop": """
            total = 0
            for row in joint:
                if row.sum() > 0:
                    total = total + row.sum() * losses.entropy(row / row.sum(), base)
            return total
        """,
        "weighted rows": """
            p_u = joint.sum(dim=1)
            rows = joint / torch.where(p_u > 0, p_u, 1.0)[:, None]
            entropies = -torch.special.xlogy(rows, rows).sum(dim=1) / math.log(base)
            return (p_u * entropies).sum()
        """,
        "H(V) - I": "return losses.entropy(joint.sum(0), base) - losses.mutual_information(joint, base)",
    },
)


# --- 3.4 information_bottleneck ---------------------------------------------------------------------------------

# Each call that needs the base, as it begins.
CALLS = ("loop(joint_yz", "loop(joint_xz", "sum(dim=0)", "conditional_entropy(joint_xz", "conditional_entropy(joint_yz")
TOTAL = "return i_zy - beta * i_zx"

declare(
    __name__,
    losses.information_bottleneck,
    number="3.4",
    title="the information bottleneck of a discrete chain",
    difficulty=3,
    importance=5,
    minutes=15,
    points=3,
    hints=(
        "Two tables are enough: p(y,z) and p(x,z). Everything else is entropies and informations of them.",
        "p(y,z) = p(y) p(z|y): each row of the encoder times its p(y). p(x,z) = sum_y p(x,y) p(z|y): a product.",
        "joint_yz = joint_xy.sum(dim=0)[:, None] * encoder; joint_xz = joint_xy @ encoder; then "
        "i_zy - beta * i_zx, i_zy, i_zx, entropy(joint_xz.sum(dim=0)), and conditional_entropy of both tables.",
    ),
    cases=_chains,
    fields=("total", "i_zy", "i_zx", "h_z", "h_z_given_x", "h_z_given_y"),
    gradients="flow",
    using={**PLAIN, "conditional_entropy": CONDITIONAL.right["the answer"]},
    answer="""
        def information_bottleneck(joint_xy, encoder, beta, base=math.e):
            joint_yz = joint_xy.sum(dim=0)[:, None] * encoder
            joint_xz = joint_xy @ encoder
            i_zy = mutual_information_loop(joint_yz, base)
            i_zx = mutual_information_loop(joint_xz, base)
            h_z = entropy(joint_xz.sum(dim=0), base)
            h_z_given_x, h_z_given_y = conditional_entropy(joint_xz, base), conditional_entropy(joint_yz, base)
            return i_zy - beta * i_zx, i_zy, i_zx, h_z, h_z_given_x, h_z_given_y
    """,
    mistakes={
        "added": Edit(
            "- beta -> + beta", "beta I(Z;X) is added; it is rewarded, so in what is minimised it has a minus."
        ),
        "beta on the wrong term": Edit(
            f"{TOTAL} -> return beta * i_zy - i_zx", "beta stands on I(Z;Y); it weighs I(Z;X)."
        ),
        "beta forgotten": Edit("beta * ->", "beta is missing from the total."),
        "exchanged": Edit(
            f"{TOTAL} -> return i_zx - beta * i_zy",
            "the total has X and Y exchanged: the first term is I(Z;Y), what Z knows of the view.",
        ),
        "deterministic": Edit(
            f"{TOTAL} -> return beta * h_z_given_x + (1 - beta) * h_z",
            "H(Z|Y) was left out of the total: it is 0 for a deterministic encoder only, and here some are random.",
        ),
        "over beta": Edit(
            f"{TOTAL} -> return i_zy / beta - i_zx", "the total was divided by beta; that step comes later."
        ),
        "no p(y)": Edit(
            "joint_xy.sum(dim=0)[:, None] * ->",
            "the encoder itself stands for the table of Y and Z: each of its rows p(z|y) must be multiplied by p(y), "
            "joint_xy.sum(dim=0).",
        ),
        "uniform views": Edit(
            "joint_xy.sum(dim=0)[:, None] * encoder -> encoder / len(encoder)",
            "the table of Y and Z weighs all views alike; p(y,z) = p(y) p(z|y), with p(y) = joint_xy.sum(dim=0).",
        ),
        "p(x) for p(y)": Edit(
            "joint_xy.sum(dim=0) -> joint_xy.sum(dim=1)",
            "the rows of the encoder were multiplied by p(x); they belong to the views, p(y) = joint_xy.sum(dim=0).",
        ),
        "X forgotten": Edit(
            "joint_xy @ -> joint_xy.sum(dim=1, keepdim=True) * joint_xy.sum(dim=0) @",
            "the table of X and Z is p(x) p(z), as if they were independent; p(x,z) = sum over y of p(x,y) p(z|y).",
        ),
        "fields of X and Y": Edit(
            ", i_zy, i_zx, -> , i_zx, i_zy,", "i_zy and i_zx come in the other order: first Y, then X."
        ),
        "conditional entropies": Edit(
            "h_z_given_x, h_z_given_y = -> h_z_given_y, h_z_given_x =",
            "H(Z|X) and H(Z|Y) come in the other order: first given X, then given Y.",
        ),
        "the other conditional": Edit(
            "conditional_entropy(joint_xz -> conditional_entropy(joint_xz.T\n"
            "conditional_entropy(joint_yz -> conditional_entropy(joint_yz.T",
            "you return H(X|Z) and H(Y|Z); asked are H(Z|X) and H(Z|Y): rows are what is known, columns are Z.",
        ),
        "entropy of X": Edit(
            "entropy(joint_xz.sum(dim=0) -> entropy(joint_xz.sum(dim=1)",
            "h_z is the entropy of X: rows are X and columns are Z, so p(z) = joint_xz.sum(dim=0).",
        ),
        "base ignored": Edit(", base ->", BASE_FIXED),
        **{f"no base in {call})": Edit(f"{call}, base -> {call}", BASE_IN_PART) for call in CALLS},
        "total alone": Edit(", i_zy, i_zx, h_z, h_z_given_x, h_z_given_y ->", "return the 6 values"),
    },
    right={
        "loops": """
            (nx, ny), nz = joint_xy.shape, encoder.shape[1]
            xz, yz = joint_xy.new_zeros(nx, nz), joint_xy.new_zeros(ny, nz)
            for x in range(nx):
                for y in range(ny):
                    for z in range(nz):
                        p = joint_xy[x, y] * encoder[y, z]
                        xz[x, z] += p
                        yz[y, z] += p
            i_zy, i_zx = mutual_information_loop(yz, base), mutual_information_loop(xz, base)
            left_x, left_y = conditional_entropy(xz, base), conditional_entropy(yz, base)
            return i_zy - beta * i_zx, i_zy, i_zx, entropy(yz.sum(dim=0), base), left_x, left_y
        """,
        "entropies of one big table": """
            xyz = torch.einsum("xy,yz->xyz", joint_xy, encoder)
            xz, yz = xyz.sum(dim=1), xyz.sum(dim=0)
            h_z = losses.entropy(xyz.sum(dim=(0, 1)), base)
            left_x = losses.entropy(xz, base) - losses.entropy(xz.sum(1), base)
            left_y = losses.entropy(yz, base) - losses.entropy(yz.sum(1), base)
            return (1 - beta) * h_z - left_y + beta * left_x, h_z - left_y, h_z - left_x, h_z, left_x, left_y
        """,
    },
)


# --- 3.5 bottleneck_over_beta -----------------------------------------------------------------------------------


def bottleneck_over_beta(h_z_given_x: Tensor, h_z: Tensor, beta: float) -> Tensor:
    """`H(Z|X) + ((1 - beta) / beta) H(Z)`: eq. 7, the bottleneck of a deterministic encoder divided by beta.

    Args:
        h_z_given_x, h_z: scalars in the same unit.
        beta: > 0.
    """
    return h_z_given_x + (1 - beta) / beta * h_z


declare(
    __name__,
    bottleneck_over_beta,
    number="3.5",
    title="divide by beta",
    difficulty=1,
    importance=4,
    minutes=4,
    points=1,
    hints=(
        "Start from beta H(Z|X) + (1 - beta) H(Z) and divide each of the two terms.",
        "The first term is then H(Z|X) alone, the second has the coefficient (1 - beta) / beta. Mind the brackets.",
    ),
    cases=_entropy_pairs,
    answer="""
        def bottleneck_over_beta(h_z_given_x, h_z, beta):
            return h_z_given_x + (1 - beta) / beta * h_z
    """,
    mistakes={
        "not divided": Edit(
            "return h_z_given_x -> return beta * h_z_given_x\n/ beta ->",
            "not divided by beta yet: H(Z|X) stands alone at the end.",
        ),
        "sign": Edit(
            "1 - beta -> beta - 1",
            "the sign of the second term is turned: its coefficient is (1 - beta) / beta, negative when beta > 1.",
        ),
        "second term not divided": Edit("/ beta ->", "only the first term was divided by beta."),
        "both divided": Edit(
            "h_z_given_x + -> h_z_given_x / beta +",
            "H(Z|X) had the factor beta before the division; over beta it has the factor 1.",
        ),
        "multiplied": Edit("/ beta -> * beta", "the second coefficient was multiplied by beta."),
        "brackets": Edit(
            "(1 - beta) -> 1 - beta", "brackets are missing around 1 - beta: Python divides before it subtracts."
        ),
        "below the line": Edit(
            "beta * h_z -> (beta * h_z)", "H(Z) stands below the fraction line: it is multiplied by (1 - beta) / beta."
        ),
        "wrong term": Edit(
            "h_z_given_x + (1 - beta) / beta * h_z -> (1 - beta) / beta * h_z_given_x + h_z",
            "the coefficient stands on H(Z|X); it belongs to H(Z).",
        ),
        "on both terms": Edit(
            "h_z_given_x + (1 - beta) / beta * h_z -> (1 - beta) / beta * (h_z_given_x + h_z)",
            "the coefficient multiplies both terms; it belongs to H(Z) only.",
        ),
        "upside down": Edit(
            "(1 - beta) / beta -> beta / (1 - beta)",
            "the fraction is upside down: (1 - beta) / beta; yours breaks at beta = 1.",
        ),
    },
    right={
        "the sum divided": "return (beta * h_z_given_x + (1 - beta) * h_z) / beta",
        "with lambda": "return h_z_given_x - losses.weight_of_beta(beta) * h_z",
        "as a difference": "return h_z / beta - (h_z - h_z_given_x)",
    },
)


# --- 3.6 log_determinant_term -----------------------------------------------------------------------------------

LOG_DETERMINANT = declare(
    __name__,
    losses.log_determinant_term,
    number="3.6",
    title="the logarithm of a determinant, without the determinant",
    difficulty=2,
    importance=3,
    minutes=6,
    points=1,
    hints=(
        "A determinant is the product of the eigenvalues, so its logarithm is the sum of their logarithms.",
        "Products of hundreds of small numbers become 0 in a float, sums of logarithms do not.",
        "torch.linalg.slogdet(c) returns the sign and the logarithm; torch.linalg.eigvalsh(c) the eigenvalues.",
    ),
    cases=_correlations,
    answer="""
        def log_determinant_term(c):
            return torch.linalg.slogdet(c).logabsdet
    """,
    mistakes={
        # First, because the sign of a determinant has no gradient either.
        "detached": Edit("(c) -> (c.detach())", NO_GRADIENT),
        "half": Edit(
            "2 * ->",
            "that is half of it: det Σ = (det L)^2 when Σ = L L^T, so log det Σ is twice the sum. The 1/2 of an "
            "entropy comes later.",
            of="cholesky",
        ),
        "determinant first": Body(
            "return torch.linalg.det(c).log()",
            "the determinant was taken first: in many dimensions it is too small for a float and becomes 0. "
            "Add logarithms instead, for example with torch.linalg.slogdet.",
        ),
        "no logarithm": Body(
            "return torch.linalg.det(c)", "that is the determinant itself: its logarithm is asked for."
        ),
        "diagonal": Body(
            "return c.diagonal().log().sum()",
            "only the diagonal was used. That is an upper bound (Hadamard); the correlations lower the determinant.",
        ),
        "trace": Edit(".log() ->", "the eigenvalues were added; add their logarithms.", of="eigenvalues"),
        "log of the sum": Edit(
            ".log().sum() -> .sum().log()",
            "the logarithm of the sum of the eigenvalues; take logarithms first.",
            of="eigenvalues",
        ),
        "mean": Edit("sum() -> mean()", "a mean over the D eigenvalues; this is a sum.", of="eigenvalues"),
        "sign": Edit("return -> return -", "the sign is turned: a penalty comes later, here is log det Σ."),
        "bits": Edit("log() -> log2()", "in bits; this course takes natural logarithms here.", of="eigenvalues"),
        "sign of slogdet": Edit(
            "logabsdet -> sign", "slogdet returns two values; you took the sign, the logarithm is [1]."
        ),
    },
    right={
        "logdet": "return torch.logdet(c)",
        "eigenvalues": "return torch.linalg.eigvalsh(c).log().sum()",
        "cholesky": "return 2 * torch.linalg.cholesky(c).diagonal().log().sum()",
        # Conditional variances, one dimension after the other: log det Σ is the sum of their logarithms.
        "elimination": """
            total, rest = 0, c
            while len(rest):
                total = total + rest[0, 0].log()
                rest = rest[1:, 1:] - torch.outer(rest[1:, 0], rest[0, 1:]) / rest[0, 0]
            return total
        """,
    },
)


# --- 3.7 gaussian_entropy ---------------------------------------------------------------------------------------

declare(
    __name__,
    losses.gaussian_entropy,
    number="3.7",
    title="the entropy of a Gaussian with the batch's covariance",
    difficulty=2,
    importance=5,
    minutes=8,
    points=2,
    hints=(
        "Three steps: centre over the batch, covariance divided by N, then the formula.",
        "Add eps to the diagonal only: c + eps * torch.eye(D, dtype=z.dtype).",
        "0.5 * log_determinant_term(c) + D / 2 * math.log(2 * math.pi * math.e).",
    ),
    cases=_batches,
    using={"log_determinant_term": LOG_DETERMINANT.right["the answer"]},
    answer="""
        def gaussian_entropy(z, eps=0.0):
            n, d = z.shape
            centred = z - z.mean(dim=0)
            covariance = centred.T @ centred / n + eps * torch.eye(d, dtype=z.dtype)
            return 0.5 * log_determinant_term(covariance) + d / 2 * math.log(2 * math.pi * math.e)
    """,
    mistakes={
        "no half": Edit("0.5 * ->", "the factor 1/2 in front of log det Σ is missing."),
        "no constant": Edit(
            "+ d / 2 * math.log(2 * math.pi * math.e) ->", "the constant (D/2) log(2 pi e) is missing."
        ),
        "constant of one dimension": Edit(
            "d / 2 * math -> 0.5 * math", "the constant is that of one dimension: it comes D times."
        ),
        "no e": Edit("* math.e ->", "the e in log(2 pi e) is missing: it is the mean of the exponent, D/2."),
        "no 2": Edit("2 * math.pi -> math.pi", "the 2 in log(2 pi e) is missing."),
        "half missing in the constant": Edit("d / 2 * math -> d * math", "the constant lacks its factor 1/2."),
        "unbiased": Edit("/ n -> / (n - 1)", "the covariance was divided by N - 1; the convention here divides by N."),
        "not divided": Edit("/ n ->", "the covariance was not divided by N."),
        "no centring": Edit("z - z.mean(dim=0) -> z", "the mean over the batch was not subtracted."),
        "one mean": Edit("mean(dim=0) -> mean()", "one mean was taken over all entries; each dimension has its own."),
        "independent": Edit(
            "centred.T @ centred / n -> torch.diag(centred.square().mean(dim=0))",
            "the dimensions were taken as independent: use the whole covariance, not its diagonal alone.",
        ),
        "correlation": Edit(
            "centred.T @ centred / n -> losses.auto_correlation(z, 0.0)",
            "that is the correlation matrix: an entropy depends on the scale, so do not divide by the deviations.",
        ),
        "eps ignored": Edit(
            "+ eps * torch.eye(d, dtype=z.dtype) ->", "the argument eps is ignored: it is added to the diagonal of C."
        ),
        "eps everywhere": Edit(
            "eps * torch.eye(d, dtype=z.dtype) -> eps",
            "eps was added to every entry of C; only to the diagonal: eps * torch.eye(D).",
        ),
        "eye of another type": Edit(
            ", dtype=z.dtype ->",
            "torch.eye(D) is float32, so eps is rounded before it is added: give it dtype=z.dtype.",
        ),
        "bits": Edit(
            "0.5 * log -> 0.5 / math.log(2) * log\nmath.log(2 * math.pi -> math.log2(2 * math.pi",
            "in bits; Gaussian entropies are in nats here.",
        ),
        "sign": Edit("return 0.5 * -> return -0.5 *", "log det Σ has a plus: a wider distribution has more entropy."),
        "detached": Edit("z - z.mean(dim=0) -> (z - z.mean(dim=0)).detach()", NO_GRADIENT),
    },
    right={
        "one determinant": """
            c = torch.cov(z.T, correction=0).reshape(z.shape[1], -1) + eps * torch.eye(z.shape[1], dtype=z.dtype)
            return torch.linalg.slogdet(2 * math.pi * math.e * c).logabsdet / 2
        """,
        # By the chain rule: the entropy of each dimension given those before it.
        "chain rule, a loop": """
            centred = z - z.mean(dim=0)
            total, rest = 0, centred.T @ centred / len(z) + eps * torch.eye(z.shape[1], dtype=z.dtype)
            for _ in range(z.shape[1]):
                total = total + 0.5 * (2 * math.pi * math.e * rest[0, 0]).log()
                rest = rest[1:, 1:] - torch.outer(rest[1:, 0], rest[0, 1:]) / rest[0, 0]
            return total
        """,
        "torch's distribution": """
            d = z.shape[1]
            c = torch.cov(z.T, correction=0).reshape(d, d) + eps * torch.eye(d, dtype=z.dtype)
            return torch.distributions.MultivariateNormal(z.new_zeros(d), c).entropy()
        """,
        "einsum": Edit("centred.T @ centred / n -> torch.einsum('bi,bj->ij', centred, z) / n"),
    },
)


# --- 3.8 conditional_covariance ---------------------------------------------------------------------------------

declare(
    __name__,
    losses.conditional_covariance,
    number="3.8",
    title="how much the views of one image differ",
    difficulty=3,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "The shape is (views, images, dimensions). Given the image means: centre over dim=0, the views.",
        "For each image a (D, D) matrix: products of every two dimensions, summed over its views, over V - 1.",
        'torch.einsum("vni,vnj->nij", around, around) / (V - 1) is (N, D, D); its mean over dim=0 is pooled.',
    ),
    cases=_several_views,
    answer="""
        def conditional_covariance(views, pooled=True):
            around = views - views.mean(dim=0)
            each = torch.einsum("vni,vnj->nij", around, around) / (len(views) - 1)
            return each.mean(dim=0) if pooled else each
    """,
    mistakes={
        "divided by V": Edit(
            "(len(views) - 1) -> len(views)",
            "divided by the number of views V; with the mean of the views subtracted it is V - 1.",
        ),
        "divided by N": Edit(
            "(len(views) - 1) -> views.shape[1]",
            "divided by the number of images N; the sum runs over views, so V - 1.",
        ),
        "not divided": Edit("/ (len(views) - 1) ->", "the division by V - 1 is missing."),
        "centred over the batch": Edit(
            "views.mean(dim=0) -> views.mean(dim=1, keepdim=True)",
            "centred over the batch (dim=1): given the image, the mean runs over its views, dim=0.",
        ),
        "one mean": Edit(
            "views.mean(dim=0) -> views.mean(dim=(0, 1))",
            "one mean was taken over all views of all images; each image has its own, dim=0.",
        ),
        "no centring": Edit(
            "views - views.mean(dim=0) -> views", "nothing was subtracted: centre the views of an image first."
        ),
        "sum over images": Edit("each.mean -> each.sum", "summed over the images; the pooled matrix is their mean."),
        "divided by N - 1": Edit(
            "each.mean(dim=0) -> each.sum(dim=0) / (len(each) - 1)",
            "divided by N - 1 images; each image has its own mean, so the mean over images divides by N.",
        ),
        "no half": Edit(
            "views - views.mean(dim=0) -> views[:1] - views[1:2]\n/ (len(views) - 1) ->",
            "for two views that is (a - b)(a - b)^T without its 1/2, and a third view would not be looked at.",
        ),
        "first two": Edit(
            "views - views.mean(dim=0) -> views[:2] - views[:2].mean(dim=0)\n/ (len(views) - 1) ->",
            "only the first two views were used; there may be more.",
        ),
        "between": Body(
            "means = views.mean(dim=0) - views.mean(dim=(0, 1))\nreturn means.T @ means / len(means)",
            "that is the covariance of the means, between images; asked is the spread within an image.",
        ),
        "of everything": Body(
            "z = (views - views.mean(dim=(0, 1))).flatten(0, 1)\nreturn z.T @ z / len(z)",
            "that is the covariance of all embeddings, Σ_Z; given the image each has its own mean to be centred on.",
        ),
        "samples by samples": Edit(
            ("vni,vnj->nij -> vni,vmi->nm", "each.mean(dim=0) if pooled else ->"),
            "the product compares images (N x N); compare dimensions, which gives (D, D).",
        ),
        "pooled ignored": Edit(
            "if pooled else each ->",
            "the argument pooled is ignored: with False there is one matrix an image, (N, D, D).",
        ),
        "never pooled": Edit(
            "each.mean(dim=0) if pooled else ->", "the mean over the images is missing: the pooled result is (D, D)."
        ),
        "pooled turned around": Edit(
            "if pooled else -> if not pooled else", "pooled is turned around: with True it is the mean over the images."
        ),
        "variances": Body(
            "each = views.var(dim=0)\nreturn each.mean(dim=0) if pooled else each",
            "only the variances: asked is the whole matrix, products of every two dimensions.",
        ),
        "detached": Edit("views - views.mean(dim=0) -> (views - views.mean(dim=0)).detach()", NO_GRADIENT),
    },
    right={
        "loop": """
            each = []
            for n in range(views.shape[1]):
                mean = sum(views[v, n] for v in range(len(views))) / len(views)
                terms = [torch.outer(views[v, n] - mean, views[v, n] - mean) for v in range(len(views))]
                each.append(torch.stack(terms).sum(dim=0) / (len(views) - 1))
            return torch.stack(each).mean(dim=0) if pooled else torch.stack(each)
        """,
        # Half the mean over all ordered pairs of different views of (a - b)(a - b)^T.
        "all pairs of views": """
            v, gaps = len(views), views[:, None] - views[None, :]
            each = torch.einsum("vwni,vwnj->nij", gaps, gaps) / (2 * v * (v - 1))
            return each.mean(dim=0) if pooled else each
        """,
        "total minus between": """
            v, mean = len(views), views.mean(dim=0)
            squares = torch.einsum("vni,vnj->nij", views, views) - v * torch.einsum("ni,nj->nij", mean, mean)
            return (squares / (v - 1)).mean(dim=0) if pooled else squares / (v - 1)
        """,
    },
)
