# %% [markdown]
# # 06 · SwAV: balanced clusters, and codes that one view predicts from another
#
# Barlow Twins and VICReg compare numbers. SwAV compares *clusters*: each image is shared out among a few learned
# directions, the prototypes, and one view must predict how the other view was shared out.
# What keeps all images out of one cluster is a rule: every prototype gets the same amount.
# You derive that rule as a transport problem, solve it with Sinkhorn's algorithm, train with it, and find out
# which collapse it excludes and which one it does not.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. compare embeddings with prototypes and turn the scores into soft assignments (exercise 6.1);
# 2. state the assignment of samples to prototypes as a transport problem, and derive Sinkhorn's algorithm from its
#    Lagrangian (exercise 6.2);
# 3. run it in logarithms, so that no exponential overflows (exercise 6.3);
# 4. say exactly what a very small and a very large $\epsilon$ do, and what they do not do;
# 5. write the swapped prediction, its gradient, and the loss (exercises 6.4, 6.5 and 6.6);
# 6. name clusters by a handful of labels (exercise 6.7);
# 7. prove that equal shares remove the cheap collapse, and show the collapse that is left;
# 8. say when a queue and small crops help.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (matrix products, norms), Lagrange multipliers, some PyTorch (tensors, `backward`), and the
# picture of lesson 00: an image, two random views of it, an encoder that maps each view to an embedding.
# Nothing else from the course is required. The lesson runs on a laptop without a GPU and without a network.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(sinkhorn)` gives one hint at a time, and `solution(sinkhorn)` shows the answer.

# %%
import math

import torch

from jemlib import losses, plots
from jemlib.course import check, claim, hint, objectives_so_far, recorded_claims, solution, verify
from jemlib.train import current_scale

scale = current_scale()
print(f"Scale {scale.name}. Set the environment variable JEMLIB_SCALE to smoke, cpu or gpu to change it.")

# %% [markdown]
# ## Notation
#
# | symbol | in code | shape | meaning |
# | --- | --- | --- | --- |
# | $N$ | `n` | number | samples in the batch |
# | $D$ | `d` | number | dimensions of an embedding |
# | $K$ | `k` | number | prototypes, that is clusters |
# | $Z$ | `z` | $(N, D)$ | embeddings of one view; row $i$ belongs to image $i$ |
# | $W$ | `prototypes` | $(K, D)$ | one direction per row, learned together with the network |
# | $S$ | `scores` | $(N, K)$ | cosine of sample $i$ with prototype $k$ |
# | $S^A, S^B$ | `scores_a`, `scores_b` | $(N, K)$ | scores of view A and of view B of the same images |
# | $Q$ | `codes` | $(N, K)$ | the code of sample $i$ in row $i$: its shares, which sum to 1 |
# | $P$ | `p` | $(N, K)$ | predicted shares: softargmax of the scores |
# | $\tau$ | `temperature` | number | temperature of the prediction |
# | $\epsilon$ | `epsilon` | number | how soft the codes are |
# | $n_{it}$ | `iterations` | number | rounds of Sinkhorn's algorithm |
# | $f_i, g_k$ | `row_potential`, `column_potential` | $(N)$, $(K)$ | logarithms of the factors of a row and of a column |
# | $H(q)$ | `code_entropy` | number | $-\sum_k q_k \log q_k$, in nats; in the code its mean over the samples |
# | $L$ | `swav` | number | the loss |
#
# Indices: $i$ counts samples, $k$ counts prototypes. Rows are samples everywhere in this course.
#
# **Other orientations.** The paper has samples in *columns*: $Z$ is $D \times N$, the prototypes $C$ are $D \times K$,
# the codes are $K \times N$ and their entries sum to 1 in total. The lecture notes call the embeddings $H$, the
# prototypes $W \in \mathbb{R}^{K\times D}$ (the *dictionary*), write $Q \in \mathbb{R}^{N\times K}$ as we do, and use
# a coldness $\beta = 1/\tau$.

# %% [markdown]
# ## Ladder: from points in the plane to soft assignments
#
# Clustering methods *quantise* the space of embeddings: instead of where a point lies, they ask which of $K$ places it
# belongs to. SwAV does it in four steps.
#
# 1. Embed both views, and stack the embeddings: $Z^A$ and $Z^B$.
# 2. Give each view its codes, $Q^A$ and $Q^B$, by Sinkhorn's algorithm. These are the targets.
# 3. Predict: a softargmax of the scores of one view. This is a second, softer clustering, a soft k-means with cosines.
# 4. Swap: the code of A is compared with the prediction from B, and the code of B with the prediction from A.
#    The loss is the sum (here: the mean) of the two cross-entropies.
#
# We build them one by one, from small numbers. Four embeddings in the plane, and two prototypes along the axes:

# %%
z = torch.tensor([[2.0, 0.0], [3.0, 3.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
prototypes = torch.tensor([[1.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
lengths = z.norm(dim=1, keepdim=True) * prototypes.norm(dim=1)
scores = z @ prototypes.T / lengths
print(scores)

# %% [markdown]
# The first sample points along prototype 0 (cosine 1). The second stands between both. The last one points away from
# prototype 0 (cosine $-1$). Lengths do not count: neither that of an embedding nor that of a prototype.
#
# ### Softargmax over prototypes
#
# With unit vectors $\bar z_i = z_i / |z_i|$ and $\bar w_k = w_k / |w_k|$ the score is $S_{ik} = \bar z_i \cdot \bar w_k$.
# A score can be negative. The softargmax turns the $K$ scores of a sample into shares:
#
# $$p_{ik} = \frac{e^{S_{ik}/\tau}}{\sum_{k'} e^{S_{ik'}/\tau}} .$$
#
# {{exercise:soft_assignments}}
#
# Write `soft_assignments(z, prototypes, temperature)`. The result has shape $(N, K)$ and rows that sum to 1.
# It must also work for a very small temperature.


# %% exercise="soft_assignments"
def soft_assignments(z, prototypes, temperature=0.1):
    """Softargmax of the cosines of embeddings (N, D) with prototypes (K, D)."""
    ### BEGIN SOLUTION
    unit_z = z / z.norm(dim=1, keepdim=True)
    unit_w = prototypes / prototypes.norm(dim=1, keepdim=True)
    return torch.softmax(unit_z @ unit_w.T / temperature, dim=1)
    ### END SOLUTION


# %% check="soft_assignments"
soft_assignments = check(soft_assignments)

# %% [markdown]
# Verify on the hand numbers. Between two scores that differ by $a$ the share is a sigmoid of $a/\tau$.

# %% tags=["nbval-check-output"]
p = soft_assignments(z, prototypes, 0.5)
verify("each row sums to 1", p.sum(dim=1), 1)
verify("the sample in the middle is shared equally", p[1], 0.5)
verify("with two prototypes a share is a sigmoid", p[0, 0], 1 / (1 + math.exp(-1 / 0.5)))
verify("lengths do not count", soft_assignments(7 * z, prototypes * torch.tensor([[3.0], [0.1]]), 0.5), p)
c_paper = (prototypes / prototypes.norm(dim=1, keepdim=True)).T  # D x K, samples and prototypes in columns
z_paper = (z / z.norm(dim=1, keepdim=True)).T  # D x N
verify("the paper's C^T Z, which is K x N, is the transpose of the scores", c_paper.T @ z_paper, scores.T)

# %% [markdown]
# jemlib's module `Prototypes` holds $W$ and returns the scores. It normalises at each forward pass; the official code
# writes the unit length into the weights before each step. The scores are the same.

# %% tags=["nbval-check-output"]
from jemlib.nets import Prototypes

module = Prototypes(dim=2, count=2).double()
module.weight.data = prototypes
verify("Prototypes returns the cosines", module(z), scores)

# %% [markdown]
# ## Derivation: assignment as a transport problem
#
# Where do the targets come from? Suppose every sample simply takes its favourite prototype. Then the network has an
# easy way out: it makes one prototype everybody's favourite, and every prediction is right. So the codes need a rule.
# SwAV's rule: *equal shares*.
#
# Think of transport. Every sample owns one unit of mass. Every prototype has room for exactly $N/K$ units. Moving a unit
# from sample $i$ to prototype $k$ earns $S_{ik}$. We look for the best plan:
#
# $$\max_{Q \in U} \sum_{i,k} Q_{ik} S_{ik}, \qquad
# U = \Big\{ Q \ge 0:\ \sum_k Q_{ik} = 1 \text{ for each } i, \quad \sum_i Q_{ik} = \tfrac{N}{K} \text{ for each } k \Big\} .$$
#
# $U$ is called the transport polytope. Here are four samples that *all* prefer prototype 0:

# %% tags=["nbval-check-output"]
crowd = torch.tensor([[0.9, 0.1], [0.8, 0.3], [0.7, 0.4], [0.6, 0.5]], dtype=torch.float64)
print("favourites:", crowd.argmax(dim=1).tolist())
print("what each gains by prototype 0:", (crowd[:, 0] - crowd[:, 1]).round(decimals=1).tolist())

# %% [markdown]
# Two of them have to go to prototype 1: those that lose least by it, samples 2 and 3. Below, all six balanced plans are
# tried one after the other, and a solver for linear programmes is asked as well.

# %% tags=["nbval-check-output"]
from itertools import combinations

import numpy as np
from scipy.optimize import linprog


def transport_optimum(scores):
    """The best plan of all, by linear programming: (N, K)."""
    n, k = scores.shape
    rows = np.kron(np.eye(n), np.ones((1, k)))
    columns = np.kron(np.ones((1, n)), np.eye(k))
    sums = np.concatenate([np.ones(n), np.full(k, n / k)])
    found = linprog(-scores.numpy().ravel(), A_eq=np.vstack([rows, columns]), b_eq=sums, method="highs")
    return torch.from_numpy(found.x.reshape(n, k))


def value_of(leave):
    """What a plan earns in which the samples of `leave` go to prototype 1."""
    return sum(float(crowd[i, 1 if i in leave else 0]) for i in range(4))


plans = {leave: value_of(leave) for leave in combinations(range(4), 2)}
best = max(plans, key=plans.get)
vertex = transport_optimum(crowd)
print("these two leave:", best)
verify("linear programming finds the same plan", vertex[:, 1], [0.0, 0.0, 1.0, 1.0])
verify("and the same value", (vertex * crowd).sum(), plans[best])

# %% [markdown]
# The optimum of a linear programme lies at a corner (a *vertex*) of the polytope. When $K$ divides $N$ all corners
# are one-hot: whole samples to one prototype each. (For $N = K$ this is the theorem of Birkhoff and von Neumann.)

# %% [markdown]
# ## Derivation: Sinkhorn's algorithm from the Lagrangian
#
# Corners are bad targets for a network that is still learning: a code jumps from one prototype to another when a score
# changes a little. So we add the entropy of the plan, with weight $\epsilon > 0$:
#
# $$\max_{Q\in U}\ \sum_{i,k} Q_{ik} S_{ik} + \epsilon H(Q), \qquad H(Q) = -\sum_{i,k} Q_{ik} \log Q_{ik} .$$
#
# The entropy is strictly concave, so there is exactly one best plan. It lies inside the polytope, because the slope of
# $-q \log q$ at 0 is infinite. So only the sums need multipliers: $\alpha_i$ for the rows, $\beta_k$ for the columns.
#
# $$\mathcal{L} = \sum_{i,k} Q_{ik} S_{ik} - \epsilon \sum_{i,k} Q_{ik}\log Q_{ik}
# + \sum_i \alpha_i \Big(1 - \sum_k Q_{ik}\Big) + \sum_k \beta_k \Big(\frac{N}{K} - \sum_i Q_{ik}\Big) .$$
#
# Set the derivative by $Q_{ik}$ to zero:
#
# $$S_{ik} - \epsilon (\log Q_{ik} + 1) - \alpha_i - \beta_k = 0
# \quad\Longrightarrow\quad \log Q_{ik} = \frac{S_{ik}}{\epsilon} + f_i + g_k ,$$
#
# with $f_i = -\alpha_i/\epsilon - 1$ and $g_k = -\beta_k/\epsilon$. In words: the best plan is
# $e^{S_{ik}/\epsilon}$, with each row multiplied by one factor and each column by another one.
# What these factors are, the sums decide. And that suggests an algorithm: choose the column factors so that the columns
# are right, then the row factors so that the rows are right, and repeat. This is Sinkhorn's algorithm.
#
# {{exercise:sinkhorn_loop}}
#
# Start from $e^{S/\epsilon}$. In each iteration go over the columns and give each the sum $N/K$; then go over the rows
# and give each the sum 1. At least one iteration.


# %% exercise="sinkhorn_loop"
def sinkhorn_loop(scores, epsilon=0.05, iterations=3):
    """Codes (N, K), by loops over the columns and the rows."""
    ### BEGIN SOLUTION
    q = torch.exp(scores / epsilon)
    n, k = q.shape
    for _ in range(iterations):
        for j in range(k):
            q[:, j] = q[:, j] * (n / k) / q[:, j].sum()
        for i in range(n):
            q[i] = q[i] / q[i].sum()
    return q
    ### END SOLUTION


# %% check="sinkhorn_loop"
sinkhorn_loop = check(sinkhorn_loop)

# %% [markdown]
# A case that you can solve by hand: $N = K = 2$. Rows and columns sum to 1, so $Q$ has one free number $q$:
#
# $$Q = \begin{pmatrix} q & 1-q \\ 1-q & q \end{pmatrix}, \qquad
# \log\frac{Q_{00} Q_{11}}{Q_{01} Q_{10}} = \frac{S_{00} + S_{11} - S_{01} - S_{10}}{\epsilon} ,$$
#
# because all $f$ and $g$ cancel in that ratio. The left side is $2\log\frac{q}{1-q}$. So $q$ is a sigmoid:
# $q = \sigma\big((S_{00} + S_{11} - S_{01} - S_{10}) / 2\epsilon\big)$. Below the exponent is
# $(0.7 + 0.6 - 0.1 - 0.2)/(2 \cdot 0.5) = 1$.

# %% tags=["nbval-check-output"]
small = torch.tensor([[0.7, 0.1], [0.2, 0.6]], dtype=torch.float64)
codes = sinkhorn_loop(small, 0.5, 100)
verify("the share is the sigmoid of 1", codes[0, 0], 0.7310585786300049)
verify("the other sample has the same share of the other prototype", codes[1, 1], codes[0, 0])

# %% [markdown]
# Now check the derivation itself on a larger problem. First the form: $\log Q - S/\epsilon$ must be $f_i + g_k$, so
# nothing is left of it when its row means and its column means are taken away. Then the optimum: no other plan of
# equal shares may be better. We try 300 small changes that keep all sums, and 300 mixtures of balanced one-hot plans.

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(0)
n, k, epsilon = 8, 4, 0.5
scores = 2 * torch.rand(n, k, generator=generator, dtype=torch.float64) - 1
codes = sinkhorn_loop(scores, epsilon, 300)


def doubly_centred(x):
    """What is left of a matrix without its row means and its column means."""
    return x - x.mean(dim=0) - x.mean(dim=1, keepdim=True) + x.mean()


def objective(plan):
    return (plan * scores).sum() + epsilon * torch.special.entr(plan).sum()


def random_plan():
    """A mixture of balanced one-hot plans: feasible, and made without Sinkhorn."""
    owners = torch.arange(n) % k
    shuffled = torch.stack([owners[torch.randperm(n, generator=generator)] for _ in range(5)])
    weights = torch.rand(5, generator=generator, dtype=torch.float64)
    one_hot = torch.nn.functional.one_hot(shuffled, k).double()
    return torch.einsum("m,mnk->nk", weights / weights.sum(), one_hot)


verify("rows sum to 1", codes.sum(dim=1), 1)
verify("columns sum to N/K", codes.sum(dim=0), n / k)
verify("log Q - S/epsilon is a row part plus a column part", doubly_centred(codes.log() - scores / epsilon), 0)

leaf = codes.clone().requires_grad_()
objective(leaf).backward()
verify("the gradient has no part along changes that keep the sums", doubly_centred(leaf.grad), 0)
changes = [1e-3 * doubly_centred(torch.randn(n, k, generator=generator, dtype=torch.float64)) for _ in range(300)]
verify("300 small changes are all worse", all(objective(codes + change) < objective(codes) for change in changes))
verify(
    "300 mixtures of balanced plans are all worse", all(objective(random_plan()) < objective(codes) for _ in changes)
)

# %% [markdown]
# **The paper's units.** There the masses sum to 1 in total: $Q/N$. Its objective is ours divided by $N$, plus the
# constant $\epsilon \log N$. The best plan is the same, with the same $\epsilon$; only the last line of the code, a
# multiplication by $N$, differs.

# %% tags=["nbval-check-output"]
masses = codes / n
papers = (masses * scores).sum() + epsilon * torch.special.entr(masses).sum()
verify("the paper's objective is ours / N + epsilon log N", papers, objective(codes) / n + epsilon * math.log(n))

# %% [markdown]
# ### How many iterations?
#
# The rows come last, so rows sum to 1 after *any* number of iterations: a code is always a distribution. The columns
# are only equal in the limit. How fast is that? Change $f$ by a little $\delta f$. To first order the next column step
# answers with $\delta g = -\frac{K}{N} Q^\top \delta f$, and the next row step with $\delta f = -Q\,\delta g$.
# So one iteration multiplies $\delta f$ by $\frac{K}{N} Q Q^\top$. Its largest eigenvalue is 1 and stands for a constant
# that moves between $f$ and $g$ and changes nothing. The second largest, $\lambda_2$, is the rate:
# the error of the columns shrinks by that factor each time.

# %% tags=["nbval-check-output"]
eigenvalues = torch.linalg.eigvalsh(k / n * codes @ codes.T)
verify("the largest eigenvalue is 1", eigenvalues[-1], 1)
error = [(sinkhorn_loop(scores, epsilon, count).sum(dim=0) - n / k).abs().max() for count in (8, 9)]
verify("the error shrinks by the second one", error[1] / error[0], eigenvalues[-2], tolerance=1e-3)

# %% [markdown]
# When $\epsilon$ is small, $Q$ is almost one-hot, the samples fall into groups that hardly talk to each other, and
# $\lambda_2$ comes close to 1. Then it takes long. The table counts iterations until no column is off by more than
# $10^{-6}$ (a column should hold 2), and shows what three iterations leave.


# %%
def potentials(scores, epsilon, tolerance=1e-6, most=20_000):
    """Iterate until the columns are equal: (row_potential, column_potential, iterations)."""
    n, k = scores.shape
    logs = scores / epsilon
    row_potential = torch.zeros(n, 1, dtype=scores.dtype)
    count, off = 0, math.inf
    while off > tolerance and count < most:
        count += 1
        column_potential = math.log(n / k) - (logs + row_potential).logsumexp(dim=0)
        row_potential = -(logs + column_potential).logsumexp(dim=1, keepdim=True)
        off = float(((logs + row_potential + column_potential).exp().sum(dim=0) - n / k).abs().max())
    return row_potential, column_potential, count


print("epsilon  iterations   lambda_2   largest column error after 3 iterations")
for value in (0.5, 0.1, 0.05):
    row_potential, column_potential, count = potentials(scores, value)
    limit = (scores / value + row_potential + column_potential).exp()
    rate = float(torch.linalg.eigvalsh(k / n * limit @ limit.T)[-2])
    off = float((losses.sinkhorn(scores, value, 3).sum(dim=0) - n / k).abs().max())
    print(f"{value:7.2f} {count:11d} {rate:10.4f} {off:12.3f}")

# %% [markdown]
# SwAV takes $\epsilon = 0.05$ and 3 iterations. So its columns are *not* equal, only pushed towards it. The paper reports
# that this is enough for good features. It also means that whoever tests for equal columns must iterate long.

# %% [markdown]
# ## Derivation: in logarithms
#
# $e^{S/\epsilon}$ is a dangerous number. With cosines the largest is $e^{1/\epsilon}$. For $\epsilon = 0.05$ that fits
# into 32 bits and not into 16. For $\epsilon = 0.01$ it does not fit into 32 bits either.

# %% tags=["nbval-check-output"]
verify("exp(1/0.05) overflows in 16 bits", torch.exp(torch.tensor(1 / 0.05)).half().isinf())
verify("it fits into 32 bits", torch.exp(torch.tensor(1 / 0.05)).isfinite())
verify("exp(1/0.01) overflows in 32 bits", torch.exp(torch.tensor(1 / 0.01)).isinf())

# %% [markdown]
# The remedy is to work with $\ell_{ik} = \log Q_{ik}$. Dividing a column by its sum is then subtracting the logarithm of
# a sum of exponentials, which `torch.logsumexp` computes without overflow:
#
# $$\ell_{ik} \leftarrow \ell_{ik} - \log \sum_{i'} e^{\ell_{i'k}} + \log\tfrac{N}{K}, \qquad
# \ell_{ik} \leftarrow \ell_{ik} - \log \sum_{k'} e^{\ell_{ik'}} .$$
#
# The constant $\log\frac{N}{K}$ is the same for all entries, and the row step takes it away again. You may leave it out.
#
# {{exercise:sinkhorn}}
#
# Now without loops over rows and columns, and for any $\epsilon > 0$.


# %% exercise="sinkhorn"
def sinkhorn(scores, epsilon=0.05, iterations=3):
    """Codes (N, K) of scores (N, K), in the log domain."""
    ### BEGIN SOLUTION
    logs = scores / epsilon
    for _ in range(iterations):
        logs = logs - torch.logsumexp(logs, dim=0, keepdim=True)
        logs = logs - torch.logsumexp(logs, dim=1, keepdim=True)
    return logs.exp()
    ### END SOLUTION


# %% check="sinkhorn"
sinkhorn = check(sinkhorn)

# %% [markdown]
# Verify against the loop where the loop does not overflow, and for finite numbers where it does. Then what Sinkhorn
# cannot see. A number $b_k$ added to a column goes away with the first column step. A number $a_i$ added to a row goes
# away only in the limit: in the first column step such a sample still weighs $e^{a_i/\epsilon}$ times as much.

# %% tags=["nbval-check-output"]
verify("loop and logarithms agree", sinkhorn(scores, 0.5, 3), sinkhorn_loop(scores, 0.5, 3))
verify("exp(S/0.001) overflows even in 64 bits", torch.exp(scores / 0.001).sum(dim=0).isinf().any())
verify("in logarithms the codes are finite", sinkhorn(scores, 0.001, 3).isfinite().all())

per_prototype = torch.tensor([0.3, -0.2, 0.5, 0.0], dtype=torch.float64)
per_sample = torch.linspace(-0.5, 0.5, n, dtype=torch.float64)[:, None]
verify("b_k changes nothing after 1 iteration", sinkhorn(scores + per_prototype, 0.5, 1), sinkhorn(scores, 0.5, 1))
verify("a_i changes nothing in the limit", sinkhorn(scores + per_sample, 0.5, 300), sinkhorn(scores, 0.5, 300))
moved = (sinkhorn(scores + per_sample, 0.5, 1) - sinkhorn(scores, 0.5, 1)).abs().max()
verify("a_i does change the codes after 1 iteration", moved > 0.01)
order = torch.tensor([3, 0, 2, 1])
verify("reordering the prototypes reorders the codes", sinkhorn(scores[:, order]), sinkhorn(scores)[:, order])

# %% [markdown]
# ## Derivation: both extremes of epsilon
#
# **Large.** For $\epsilon \to \infty$ only the entropy counts. The plan with the largest entropy is the flat one:
# every code becomes $(1/K, \dots, 1/K)$, whatever the scores are. No information about the image is left in it.
#
# **Small.** For $\epsilon \to 0$ only the scores count, and the plan goes to the best corner of the transport polytope,
# the one that linear programming finds (if there is only one best corner). When $K$ divides $N$ each sample goes to
# one prototype, and each prototype gets exactly $N/K$ samples.

# %% tags=["nbval-check-output"]
vertex = transport_optimum(scores)
nearly = losses.sinkhorn(scores, 0.003, 20_000)
counts = torch.bincount(scores.argmax(dim=1), minlength=k)
verify("epsilon = 1e6: every share is 1/K", losses.sinkhorn(scores, 1e6, 10), 1 / k, tolerance=1e-6)
verify("epsilon = 0.003: the corner of linear programming", nearly, vertex, tolerance=0.01)
verify("each prototype gets N/K samples", vertex.sum(dim=0), n / k)
print("if each sample took its favourite instead:", counts.tolist())

# %% [markdown]
# The last line is what k-means does in its assignment step: the nearest centre for each sample, and clusters of any
# size. Sinkhorn with a small $\epsilon$ is *not* that. It is the assignment under the condition of equal sizes.
# What gives the favourites is the row step alone, a softmax of $S/\epsilon$, as $\epsilon \to 0$.

# %%
from jemlib.course.lessons.lesson06_swav_sinkhorn import figures

figures.codes_by_epsilon(scores, (10.0, 0.5, 0.05, 0.005), vertex)

# %% [markdown]
# ## Predict, then run: three images, five prototypes
#
# A batch of $N = 3$ images, $K = 5$ prototypes. You make $\epsilon$ as small as you like.
#
# **Question.** Can any of the three codes become one-hot? What is the largest share that any entry can have?

# %% tags=["nbval-check-output"]
few = torch.rand(3, 5, generator=generator, dtype=torch.float64)
sharpest = transport_optimum(few)
print("largest share in each code:", sharpest.max(dim=1).values.round(decimals=4).tolist())
verify("no share is above N/K", sharpest.max(), 3 / 5)

# %% [markdown]
# <details><summary>Why</summary>
#
# A prototype holds $N/K = 3/5$ of a unit in all. No sample can give it more than that, so no entry exceeds $0.6$, and a
# code needs at least two prototypes. With fewer samples than prototypes one-hot codes do not exist under equal shares.
# A queue of earlier samples helps (below): it raises $N$ in the balance.
#
# </details>

# %% [markdown]
# ## Derivation: the swapped prediction
#
# The target is a code $q_i$, the prediction is $p_i = \mathrm{softargmax}(S_i/\tau)$. The cross-entropy compares them:
#
# $$\ell(S, Q) = -\frac1N \sum_i \sum_k q_{ik} \log p_{ik}
# = \underbrace{\frac1N\sum_i H(q_i)}_{\text{entropy of the codes}} + \underbrace{\frac1N\sum_i \mathrm{KL}(q_i \,\|\, p_i)}_{\ge 0} .$$
#
# The codes are constants: no gradient flows into them. So the first part cannot be lowered by this step, and the
# gradient is that of the second part. The loss does not go to 0, and it need not.
#
# {{exercise:swapped_prediction}}
#
# Return three scalars: the total, the mean entropy of the codes, and the rest, which is the divergence.
# Detach the codes. One-hot codes must work too.


# %% exercise="swapped_prediction"
def swapped_prediction(scores, codes, temperature=0.1):
    """(total, code_entropy, kl) of predicting `codes` (N, K) from `scores` (N, K)."""
    ### BEGIN SOLUTION
    q = codes.detach()
    log_p = torch.log_softmax(scores / temperature, dim=1)
    total = -(q * log_p).sum(dim=1).mean()
    code_entropy = torch.special.entr(q).sum(dim=1).mean()
    return total, code_entropy, total - code_entropy
    ### END SOLUTION


# %% check="swapped_prediction"
swapped_prediction = check(swapped_prediction)

# %% tags=["nbval-check-output"]
q = sinkhorn(scores, 0.5, 3)
log_p = torch.log_softmax(scores.flip(0) / 0.1, dim=1)
total, code_entropy, kl = swapped_prediction(scores.flip(0), q, 0.1)
verify("kl is the divergence", kl, sum(q[i, j] * (q[i, j].log() - log_p[i, j]) / n for i in range(n) for j in range(k)))
perfect = swapped_prediction(q.log(), q, 1.0)
verify("a perfect prediction leaves the entropy of the codes", perfect[0], code_entropy)
verify("and no divergence", perfect[2], 0)

# %% [markdown]
# ### The gradient
#
# For one sample, with the logits $s_k / \tau$ and shares that sum to 1, the loss is
# $\log\sum_k e^{s_k/\tau} - \sum_k q_k s_k/\tau$. The slope of the first part is the softmax. So
#
# $$\frac{\partial \ell}{\partial S_{ik}} = \frac{p_{ik} - q_{ik}}{\tau N} .$$
#
# Descent raises the scores of the prototypes that the code wants more of than was predicted, and lowers the others.
#
# {{exercise:swapped_prediction_gradient}}


# %% exercise="swapped_prediction_gradient"
def swapped_prediction_gradient(scores, codes, temperature=0.1):
    """d total / d scores, (N, K), in closed form."""
    ### BEGIN SOLUTION
    p = torch.softmax(scores / temperature, dim=1)
    return (p - codes) / (temperature * len(scores))
    ### END SOLUTION


# %% check="swapped_prediction_gradient"
swapped_prediction_gradient = check(swapped_prediction_gradient)

# %% tags=["nbval-check-output"]
leaf = scores.clone().requires_grad_()
losses.swapped_prediction(leaf, q, 0.1).total.backward()
gradient = swapped_prediction_gradient(scores, q, 0.1)
verify("the closed form is what backward computes", gradient, leaf.grad)
verify("each row sums to 0: a shift of all scores of a sample changes nothing", gradient.sum(dim=1), 0)

# %% [markdown]
# ### Swap, in both directions
#
# $$L = \tfrac12\Big[\ell(S^A, Q^B) + \ell(S^B, Q^A)\Big], \qquad Q^A = \mathrm{sinkhorn}(S^A),\quad
# Q^B = \mathrm{sinkhorn}(S^B) .$$
#
# Each view has its own codes. A code that its own view predicts would teach nothing about the other view: it is a
# function of the very scores that predict it.
#
# {{exercise:swav}}
#
# Return three scalars: total, code_entropy and kl, each a mean of both directions.


# %% exercise="swav"
def swav(scores_a, scores_b, temperature=0.1, epsilon=0.05, iterations=3):
    """(total, code_entropy, kl) of two views, each with scores (N, K)."""
    ### BEGIN SOLUTION
    codes_a = sinkhorn(scores_a.detach(), epsilon, iterations)
    codes_b = sinkhorn(scores_b.detach(), epsilon, iterations)
    a_predicts_b = swapped_prediction(scores_a, codes_b, temperature)
    b_predicts_a = swapped_prediction(scores_b, codes_a, temperature)
    return tuple((first + second) / 2 for first, second in zip(a_predicts_b, b_predicts_a))
    ### END SOLUTION


# %% check="swav"
swav = check(swav)

# %% [markdown]
# The lecture notes write it so, with $h_x$ and $h_y$ for the embeddings of the two views and $\beta = 1/\tau$:
#
# $$Q_x = \mathrm{sinkhorn}_W(H_x) \in \mathbb{R}^{N\times K}, \quad
# \tilde q_x = \mathrm{softargmax}_\beta(W h_y) \in \mathbb{R}^K, \quad
# F(x, y) = C(q_x, \tilde q_x) + C(q_y, \tilde q_y) .$$
#
# Here $C$ is the cross-entropy, each $h$ is normalised and so is each row of $W$. Note the swap: the tilde of $x$ is
# computed from $h_y$. For one image $F$ is a *sum* of two terms; our $L$ is the mean over the images of $F/2$, as in the
# official code. The next cell writes the formulas out, image by image.

# %% tags=["nbval-check-output"]
d, beta = 5, 1 / 0.1
h_x = torch.nn.functional.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)
noise = 0.3 * torch.randn(n, d, generator=generator, dtype=torch.float64)
h_y = torch.nn.functional.normalize(h_x + noise, dim=1)
w = torch.nn.functional.normalize(torch.randn(k, d, generator=generator, dtype=torch.float64), dim=1)
scores_a, scores_b = h_x @ w.T, h_y @ w.T
q_x, q_y = sinkhorn(scores_a), sinkhorn(scores_b)


def cross_entropy(target, predicted):
    return -sum(float(target[j]) * math.log(float(predicted[j])) for j in range(k))


def energy(i):
    """F(x, y) of image i, as in the lecture notes."""
    predicted_x = torch.softmax(beta * (w @ h_y[i]), dim=0)
    predicted_y = torch.softmax(beta * (w @ h_x[i]), dim=0)
    return cross_entropy(q_x[i], predicted_x) + cross_entropy(q_y[i], predicted_y)


verify("the loss is the mean of F / 2", swav(scores_a, scores_b)[0], sum(energy(i) for i in range(n)) / n / 2)
verify("exchanging the views changes nothing", swav(scores_b, scores_a)[0], swav(scores_a, scores_b)[0])

# %% [markdown]
# ### The same cluster, not the same point
#
# Earlier objectives push the two embeddings of an image *together*. SwAV asks for less: both shall be shared out among
# the prototypes alike. Where they lie otherwise is free. With $K$ prototypes that span fewer than $D$ dimensions one can
# see it at once: whatever is orthogonal to all prototypes costs nothing. Below, view B is view A mirrored at the plane
# of two prototypes. The points differ; the loss is that of identical views.

# %% tags=["nbval-check-output"]
plane = torch.eye(3, dtype=torch.float64)[:2]  # two prototypes, which span the first two coordinates
points = torch.nn.functional.normalize(torch.randn(6, 3, generator=generator, dtype=torch.float64), dim=1)
mirrored = points * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
verify("the points are not the same", (points - mirrored).norm(dim=1).max() > 0.5)
same = swav(points @ plane.T, points @ plane.T)[0]
verify("the loss is that of identical views", swav(points @ plane.T, mirrored @ plane.T)[0], same)

# %% [markdown]
# This is SwAV's invariance to augmentation. With many prototypes in all directions, equal shares and equal points come
# close to the same thing; with few, the difference is real.

# %% [markdown]
# ## Predict, then run: all embeddings are identical
#
# The network has collapsed: every image has the same embedding, and it points exactly at prototype 0. So the scores of
# all images are alike, with the largest entry in column 0.
#
# **Question.** Which prototype does Sinkhorn give them? And is the loss small or large?

# %% tags=["nbval-check-output"]
identical = torch.tensor([[1.0, -0.2, 0.1, -0.5]], dtype=torch.float64).expand(n, k)
codes = sinkhorn(identical, 0.05, 3)
total, code_entropy, kl = swav(identical, identical)
print("the code of every image:", codes[0].round(decimals=6).tolist())
print(f"loss {float(total):.3f}, log K = {math.log(k):.3f}")

# %% [markdown]
# <details><summary>Why</summary>
#
# No prototype and all of them: every code is $(1/K, \dots, 1/K)$. Every column is constant, the column step makes each of
# its entries $1/K$, and the preference for prototype 0 is gone. It was a $b_k$, a number added to a column, and Sinkhorn
# does not see those. The prediction still points at prototype 0, so it is wrong, and the loss is large.
#
# </details>

# %% [markdown]
# ## Derivation: why the cheap collapse is gone
#
# Without Sinkhorn, with the softmax of $S/\epsilon$ as code, the collapsed network of the last cell is *rewarded*: code
# and prediction both say "prototype 0". With Sinkhorn it pays. In fact every network that ignores the image pays:
#
# **A constant prediction pays at least $\log K$.** Let $p$ be the same for all images, and let the columns of $Q$ have
# equal sums. Then the mean code is uniform, $\frac1N\sum_i q_{ik} = \frac1K$, and
#
# $$\ell = -\sum_k \Big(\frac1N\sum_i q_{ik}\Big)\log p_k = -\frac1K \sum_k \log p_k
# = \log K + \mathrm{KL}(\text{uniform}\,\|\,p) \ \ge\ \log K .$$
#
# So $\log K$ is the line to watch in a plot of the loss: below it the prediction depends on the image.
# (With three iterations the columns are not quite equal, and the line is not quite sharp.)

# %% tags=["nbval-check-output"]
softmax_codes = torch.softmax(identical / 0.05, dim=1)
cheap = swapped_prediction(identical, softmax_codes, 0.1)[0]
verify("without Sinkhorn, the collapsed network pays almost nothing", cheap < 0.001)
uniform_kl = -math.log(k) - torch.log_softmax(identical[0] / 0.1, dim=0).mean()
verify("with Sinkhorn it pays log K + KL(uniform || p)", total, math.log(k) + uniform_kl)
balanced = [random_plan() for _ in range(100)]
constant = [torch.randn(1, k, generator=generator, dtype=torch.float64).expand(n, k) for _ in balanced]
paid = [swapped_prediction(s, q, 1.0)[0] for s, q in zip(constant, balanced)]
verify("100 constant predictions of balanced codes: none is below log K", min(paid) >= math.log(k))
verify("the uniform one pays exactly log K", swapped_prediction(0 * identical, balanced[0])[0], math.log(k))

# %% [markdown]
# ## Derivation: the collapse that is left
#
# Excluded is a collapse *of low loss*. Collapse itself is not. If all embeddings coincide, all codes are $1/K$ and the
# gradient is $(p - \frac1K)/\tau N$, the same for every image. It moves all of them in the same way, and it never pulls
# them apart. It vanishes when $p$ is uniform, that is when the common embedding has equal scores with all prototypes.
# Then the loss is exactly $\log K$, and training stands still.
#
# Is there such an embedding? It must be orthogonal to all differences $\bar w_k - \bar w_0$. With $K \le D$ there is
# one. With $K > D$ and prototypes in general position there is none. A collapsed embedding rests all the same. The
# common push is the gradient of $\mathrm{KL}(\text{uniform}\,\|\,p)$, a smooth function of a point on the sphere, and on a
# sphere every such function has a lowest point. There the push has no part along the sphere. The loss is then above
# $\log K$, and it is the prototypes that are pushed on. Nothing keeps them from becoming equal.

# %% tags=["nbval-check-output"]
leaf = identical.clone().requires_grad_()
losses.swav(leaf, identical).total.backward()
verify("the gradient is the same for all images", leaf.grad, leaf.grad[:1].expand(n, k))
verify("it is not zero while one prototype is preferred", leaf.grad.abs().max() > 0.01)

# K = 4 prototypes in D = 5 dimensions: a direction orthogonal to their differences has equal scores with all of them.
differences = w[1:] - w[0]
stuck = torch.linalg.svd(differences).Vh[-1].expand(n, d).clone().requires_grad_()
weights = w.clone().requires_grad_()
stuck_scores = stuck @ weights.T
stuck_loss = losses.swav(stuck_scores, stuck_scores).total
stuck_loss.backward()
verify("the loss is log K", stuck_loss, math.log(k))
verify("no gradient for the embeddings", stuck.grad, 0)
verify("and none for the prototypes", weights.grad, 0)

# K = 8 prototypes in D = 3 dimensions: descend on the sphere, all samples together, until nothing moves.
many = torch.nn.functional.normalize(torch.randn(8, 3, generator=generator, dtype=torch.float64), dim=1)
place = torch.nn.functional.normalize(torch.randn(3, generator=generator, dtype=torch.float64), dim=0)


def collapsed_loss(place, prototypes):
    scores = (torch.nn.functional.normalize(place, dim=0) @ prototypes.T).expand(n, 8)
    return losses.swav(scores, scores).total


for _ in range(600):
    push = (torch.softmax(many @ place / 0.1, dim=0) - 1 / 8) @ many  # (p - 1/K), through the prototypes
    place = torch.nn.functional.normalize(place - 0.02 * (push - (push @ place) * place) / 0.1, dim=0)
leaf, pushed = place.clone().requires_grad_(), many.clone().requires_grad_()
at_rest = collapsed_loss(leaf, pushed)
at_rest.backward()
verify("K > D: the scores are not all equal", (many @ place).std() > 0.01)
verify("yet the collapsed embedding rests: no push along the sphere", leaf.grad, 0)
verify("at a loss above log K", at_rest > math.log(8))
verify("and the prototypes are pushed on", pushed.grad.norm() > 1e-3)

# %% [markdown]
# ### Does training leave that point again?
#
# Push the scores a little away from it, by the same small $S$ in both views. To first order (exercise for paper and
# pencil: expand both normalisations) one has
#
# $$p_{ik} \approx \frac1K + \frac{\hat s_{ik}}{K\tau}, \qquad q_{ik} \approx \frac1K + \frac{\tilde s_{ik}}{K\epsilon} ,$$
#
# with $\hat s$: row means taken away, and $\tilde s$: row means and column means taken away. The gradient is
# proportional to the difference $\hat s/\tau - \tilde s/\epsilon$. Look at the part of $S$ in which the images differ,
# $\tilde s$. Descent changes it by a positive number times $\big(\frac1\epsilon - \frac1\tau\big)\,\tilde s$:
#
# - $\epsilon < \tau$: differences between images *grow*. The point repels.
# - $\epsilon > \tau$: differences between images *shrink*. The point attracts.
#
# What all images prefer in common, $\hat s - \tilde s$, shrinks in either case. So the codes have to be sharper than the
# predictions. SwAV has $\epsilon = 0.05 < \tau = 0.1$. This is a statement about the scores near one point, not about a
# whole training; but it says why "make $\epsilon$ smaller" is the advice of the official code's authors for a loss that
# is stuck at $\log K$ ($8.006$ for their 3000 prototypes).

# %% tags=["nbval-check-output"]
tiny = 1e-6 * torch.randn(n, k, generator=generator, dtype=torch.float64)
row_centred = tiny - tiny.mean(dim=1, keepdim=True)
for epsilon, word in ((0.05, "grow"), (0.2, "shrink")):
    leaf = tiny.clone().requires_grad_()
    losses.swav(leaf, tiny, temperature=0.1, epsilon=epsilon).total.backward()
    formula = (row_centred / 0.1 - doubly_centred(tiny) / epsilon) / (2 * k * 0.1 * n)
    verify(f"epsilon = {epsilon}: the expansion gives the gradient", leaf.grad / 1e-6, formula / 1e-6, tolerance=1e-3)
    moved = doubly_centred(tiny - leaf.grad)
    grows = moved.norm() > doubly_centred(tiny).norm()
    verify(f"epsilon = {epsilon}, tau = 0.1: differences between images {word}", grows, word == "grow")
print("log 3000 =", round(math.log(3000), 3))

# %% [markdown]
# ## Derivation: queue and small crops
#
# **Queue.** With $N < K$ codes cannot be sharp: no share exceeds $N/K$. A queue keeps the embeddings of earlier batches.
# They are scored with the *current* prototypes and take part in the balance; only the codes of the batch are used.
# The paper uses about 15 batches of 256 in this way, from the 15th epoch on, when embeddings change slowly enough.

# %% tags=["nbval-check-output"]
batch = torch.tanh(torch.randn(4, 16, generator=generator, dtype=torch.float64))
past = torch.tanh(torch.randn(60, 16, generator=generator, dtype=torch.float64))
alone = losses.swav_codes(batch, None, 0.01, 300)
queued = losses.swav_codes(batch, past, 0.01, 300)
verify(
    "the codes of the batch are rows of one large problem", queued, sinkhorn(torch.cat([batch, past]), 0.01, 300)[:4]
)
verify("alone, no share is far above N/K = 1/4", alone.max() < 0.26)
verify("with a queue of 60, a share may be near 1", queued.max() > 0.9)

# %% [markdown]
# **Multi-crop.** Small crops are cheap. They only *predict*: their codes would be unreliable, because a small crop may
# show a corner only. With two large and $V$ small crops each of the two codes is predicted from the $V + 1$ other crops,
# so there are $2(V+1)$ terms instead of 2. The official code takes means; the paper's eq. 6 is a sum.

# %% tags=["nbval-check-output"]
crops = [torch.tanh(torch.randn(n, k, generator=generator, dtype=torch.float64)) for _ in range(5)]
terms = [swapped_prediction(crops[j], sinkhorn(crops[i]))[0] for i in (0, 1) for j in range(5) if j != i]
verify("two large and V = 3 small crops: 2 (V + 1) = 8 terms", len(terms), 8)
verify("the loss is their mean", losses.swav_multicrop(crops).total, sum(terms) / 8)
verify("with two crops it is swav", losses.swav_multicrop(crops[:2]).total, swav(*crops[:2])[0])

# %% [markdown]
# In jemlib both are settings: `build("swav", queue=1024, local_crops=2)`.

# %% [markdown]
# ## Derivation: what clusters mean, and naming them
#
# The clusters were made without labels. The hope is that each holds images of one class. Then a few labelled images are
# enough: look in which cluster each of them lies, and let them vote on its name.
#
# - `labels[i]` is the class of sample $i$, or $-1$ where it is unknown.
# - The cluster of sample $i$ is the prototype with its largest share.
# - `votes[k, c]` counts the labelled samples of class $c$ in cluster $k$.
#
# {{exercise:label_votes}}
#
# Return the votes, shape $(K, \text{number of classes})$, in the type of the codes.


# %% exercise="label_votes"
def label_votes(codes, labels, num_classes=3):
    """How many labelled samples of each class lie in each cluster: (K, num_classes)."""
    ### BEGIN SOLUTION
    votes = codes.new_zeros(codes.shape[1], num_classes)
    for cluster, label in zip(codes.argmax(dim=1).tolist(), labels.tolist()):
        if label >= 0:
            votes[cluster, label] += 1
    return votes
    ### END SOLUTION


# %% check="label_votes"
label_votes = check(label_votes)

# %% [markdown]
# The name of a cluster is the class with most votes. `jemlib.evaluate.name_clusters` does the same, gives clusters without
# a vote the name of the nearest named one (if it is told where they are), and scores the names on the *other* samples.

# %% tags=["nbval-check-output"]
from jemlib.evaluate import hungarian_accuracy, name_clusters, normalized_mutual_information

codes = torch.tensor([[0.7, 0.2, 0.1]] * 4 + [[0.1, 0.8, 0.1]] * 3 + [[0.2, 0.2, 0.6]] * 3, dtype=torch.float64)
truth = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
known = torch.tensor([0, -1, -1, -1, 1, -1, -1, 2, -1, -1])  # three labels are known
clusters = codes.argmax(dim=1)
votes = label_votes(codes, known)
named = name_clusters(clusters, truth, labelled=[0, 4, 7])
print(votes)
verify("the names are the same", votes.argmax(dim=1), named.classes)
verify("6 of the other 7 samples are right", named.accuracy, 6 / 7)

# %% [markdown]
# Two numbers judge a clustering without naming it by few labels. Both look at *all* labels.
# `hungarian_accuracy` is the accuracy under the best one-to-one naming; clusters left over count as wrong.
# `normalized_mutual_information` is 1 for the same partition and 0 for independent ones, with any number of clusters;
# but many small clusters score above 0 by chance.

# %% tags=["nbval-check-output"]
verify("best naming: 9 of 10", hungarian_accuracy(clusters, truth), 0.9)
verify("the same partition under other numbers", normalized_mutual_information((truth + 1) % 3, truth), 1)
verify("one cluster for all says nothing", normalized_mutual_information(0 * truth, truth), 0)

# %% [markdown]
# ## Experiment: train SwAV and name its clusters
#
# Now train. The data are `motifs`: generated images of ten patterns whose other factors (hues, position, rotation, noise
# and more) are drawn at random. The class is the pattern, and no label is used in training.
#
# We take 64 prototypes: fewer than the images of a batch at scale cpu, so that codes can be sharp, and few enough to
# be named by hand.
#
# All figures below are on the *validation* split, and so are the claims. This lesson compares variants, and whoever
# compares variants on the test split chooses by it.

# %%
from jemlib.course.lessons.lesson06_swav_sinkhorn.claims import LABELS, PROTOTYPES, REMOVALS
from jemlib.data import load
from jemlib.methods import build
from jemlib.train import fit

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
steps = scale.steps or 2000
log_every = max(1, steps // 70)

method = build("swav", scale=scale, prototypes=PROTOTYPES)
history = fit(method, images, scale=scale, log_every=log_every, steps=steps)
print(
    {name: method.settings[name] for name in ("prototypes", "temperature", "epsilon", "iterations", "queue", "freeze")}
)

# %% [markdown]
# These are jemlib's defaults but for the number of prototypes. The temperature is twice the paper's.
#
# The loss starts near $\log K$, where a constant prediction stands, and falls below it. The gap between the two curves
# is the divergence, the part that training can lower. The entropy of the codes moves as well: they become sharper.

# %% tags=["readme"]
figures.against_log_k(history, PROTOTYPES)

# %% [markdown]
# ### What was learned, and the control
#
# Beside the trained backbone stand the raw pixels and the *same backbone untrained*: the control of equal size.
# kNN asks whether images of one pattern lie close together in the features.

# %%
from jemlib.evaluate import backbone_knn, knn
from jemlib.views import normalize

raw = knn(normalize(images.pixels).flatten(1), images.labels, normalize(held_out.pixels).flatten(1), held_out.labels)
untrained = build("swav", scale=scale, prototypes=PROTOTYPES)
accuracy = {
    "raw pixels": raw,
    "untrained backbone": backbone_knn(untrained.backbone, images, held_out),
    "SwAV": backbone_knn(method.backbone, images, held_out),
}
for name, value in accuracy.items():
    print(f"{name:20s} kNN {value:.3f}")

# %% [markdown]
# **Claim**, tested here and over three seeds by `jem claims`:

# %%
claim("swav.learns", trained=accuracy["SwAV"], untrained=accuracy["untrained backbone"])

# %% [markdown]
# ### Look into the clusters
#
# Each row shows validation images whose nearest prototype is the same. Six prototypes, those with most images.

# %%
from jemlib.evaluate import k_means, naming_accuracy, nearest_prototypes

found = nearest_prototypes(method, images, held_out)
sizes = torch.bincount(found.test, minlength=PROTOTYPES)
largest = sizes.argsort(descending=True, stable=True)[:6].tolist()
plots.image_grid(
    [held_out.pixels[found.test == cluster][:10] for cluster in largest], [f"cluster {c}" for c in largest]
)

# %% [markdown]
# ### Name them by a few labels
#
# 1, 5 and 10 labelled training images of each class vote on the names of the 64 clusters. The names are scored on the
# validation images, ten draws of labels each. Beside SwAV's clusters:
#
# - *untrained, k-means*: as many clusters of the untrained features, named by the same labels. The control.
# - *SwAV, k-means*: k-means of the features of the trained backbone. It separates the features from the prototypes.
# - *SwAV, logistic*: no clusters; a linear classifier on the same features and equally few labels.

# %%
from jemlib.evaluate import few_label_accuracy
from jemlib.nets import features

clusterings = {
    "SwAV, prototypes": found,
    "SwAV, k-means": k_means(method, images, held_out, PROTOTYPES),
    "untrained, k-means": k_means(untrained, images, held_out, PROTOTYPES),
}
curves = {
    name: {per_class: naming_accuracy(c, images.labels, held_out.labels, per_class) for per_class in LABELS}
    for name, c in clusterings.items()
}
z_train, z_held_out = (features(method.backbone, part) for part in (images, held_out))
curves["SwAV, logistic"] = few_label_accuracy(z_train, images.labels, z_held_out, held_out.labels, LABELS, draws=5)
plots.few_labels(curves, chance=0.1)

# %%
print(f"{'':20s} {'NMI':>6s} {'best naming':>12s} {'10 labels a class':>18s}")
for name, c in clusterings.items():
    nmi, best = normalized_mutual_information(c.test, held_out.labels), hungarian_accuracy(c.test, held_out.labels)
    print(f"{name:20s} {nmi:6.3f} {best:12.3f} {curves[name][10][0]:18.3f}")

# %% [markdown]
# *Best naming* is low by construction: it allows ten names for 64 clusters, one cluster each, and all other clusters
# count as wrong. It suits a clustering with as many clusters as classes.

# %%
named, control = curves["SwAV, prototypes"][LABELS[-1]][0], curves["untrained, k-means"][LABELS[-1]][0]
claim("swav.few-labels-name-clusters", swav=named, control=control)

# %% [markdown]
# ### Break it: take Sinkhorn away
#
# Two short runs, a third of the steps each. They share backbone, data and seed. One has Sinkhorn; in the other the codes
# are the softmax of the scores. Both lack the batch norm at the projector's output that jemlib's SwAV has by default:
# it holds up the spread of each dimension, whatever the loss wants, and would hide what happens.
#
# **Predict.** Which run ends with the lower loss?

# %%
from jemlib.diagnose import assignment_entropy, directional_spread, effective_number
from jemlib.evaluate import embeddings

short, histories, counts, entropies = {}, {}, {}, {}
for name, settings in REMOVALS.items():
    run = build("swav", scale=scale, prototypes=PROTOTYPES, **settings)
    third = {"steps": max(1, steps // 3), "warmup": scale.warmup // 3}
    histories[name] = fit(run, images, scale=scale, log_every=log_every, **third)
    near = nearest_prototypes(run, images, held_out).test
    counts[name] = torch.bincount(near, minlength=PROTOTYPES)
    with torch.no_grad():
        predicted = torch.softmax(run.prototypes(embeddings(run, held_out)) / run.config.temperature, dim=1)
    entropies[name] = assignment_entropy(predicted)
    short[name] = {
        "loss": histories[name].rows[-1]["total"],
        "spread": float(directional_spread(embeddings(run, held_out))),
        "used": effective_number(near, PROTOTYPES),
        "knn": backbone_knn(run.backbone, images, held_out),
    }
print(f"{'':18s} {'loss':>7s} {'directional spread':>19s} {'prototypes in use':>18s} {'kNN':>6s}")
for name, row in short.items():
    print(f"{name:18s} {row['loss']:7.3f} {row['spread']:19.4f} {row['used']:18.1f} {row['knn']:6.3f}")

# %%
figures.against_log_k(histories, PROTOTYPES)

# %% [markdown]
# *Prototypes in use* is the exponential of the entropy of their shares: 64 for equal use, 1 for one alone. The same as
# a picture:

# %%
figures.usage(counts)

# %% [markdown]
# Two entropies of the predictions tell two collapses apart. The entropy of the *mean* prediction is $\log K$ when all
# prototypes are in use, and low when one takes every image (0 for a sharp prediction). The mean entropy of *each*
# prediction is low when an image has one clear prototype, and $\log K$ when all predictions are flat, the collapse that
# Sinkhorn leaves. Their difference is the mutual information of image and prototype: 0 in both collapses.

# %%
for name, found_entropy in entropies.items():
    usage, per_sample = (float(value) for value in found_entropy)
    print(f"{name:18s} of the mean {usage:.3f}, of each {per_sample:.3f}, difference {usage - per_sample:.3f}")
print(f"{'log K':18s} {math.log(PROTOTYPES):.3f}")

# %%
intact, removed = short.values()
claim("swav.uses-all-prototypes", with_sinkhorn=intact["used"], without=removed["used"], K=PROTOTYPES)
claim(
    "swav.sinkhorn-prevents-collapse",
    spread_with=intact["spread"],
    spread_without=removed["spread"],
    loss_with=intact["loss"],
    loss_without=removed["loss"],
)

# %% [markdown]
# Without Sinkhorn the loss is *lower*: agreeing on one prototype is easy. A falling loss is no proof of learning.
#
# ### On photographs, and on a GPU
#
# The same code trains on CIFAR-10. From a terminal in the course folder:
#
# ```
# jem train swav --data cifar10 --scale cpu                        # downloads CIFAR-10 once
# jem train swav --data folder:PATH --scale cpu                    # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train swav --scale gpu                                       # ResNet-18, 200 epochs, one GPU
# jem train swav --scale gpu --set local_crops=4 --set queue=2048  # with small crops and a queue
# jem collapse --help                                              # every method without its protection
# ```

# %% [markdown]
# ## Widget: transport on a circle
#
# Eight samples on a circle, four prototypes. The slider *imbalance* moves the samples towards one point near
# prototype A. Look for five things.
#
# 1. `iterations` 0 is the softmax: with some imbalance, prototype A takes almost all.
# 2. Three iterations against a thousand: rows always sum to 1, columns need time, and more of it for a small `epsilon`.
# 3. A large `epsilon` makes all codes flat. The use of the prototypes was uniform before, at *every* `epsilon`.
# 4. A small `epsilon` gives two whole samples to each prototype, also to prototype C, from which all are far away.
# 5. `imbalance` 1: all samples coincide, and all codes jump to $1/K$.

# %%
figures.transport_widget()

# %% [markdown]
# The same picture for readers on paper, at one setting: $\epsilon = 0.05$, 100 iterations.

# %%
figures.transport(epsilon=0.05, iterations=100, imbalance=0.6)

# %% [markdown]
# ## What the sources got wrong
#
# The numbers are those of the course's list of errata.
#
# **E17 (lecture notes): codes are not one-hot.** The notes call each row of $Q$ a one-hot vector. SwAV keeps soft codes;
# the paper reports that rounding them is worse when training online. With $N < K$ one-hot codes of equal shares do not
# even exist: a prototype holds less than one unit.

# %% tags=["nbval-check-output"]
typical = losses.sinkhorn(scores, 0.05, 3)
verify("in a small batch, one image gives its favourite less than 0.7", typical.max(dim=1).values.min() < 0.7)
verify("N = 3, K = 5: no plan gives a prototype a whole sample", transport_optimum(few).max() < 1)

# %% [markdown]
# **E18 (lecture notes): the two extremes.** The notes let Sinkhorn degenerate to k-means at one extreme and to the
# "perfectly uniform distribution" at the other. The small extreme is not k-means: k-means takes the nearest centre and
# has clusters of any size, here all have the same. And a uniform use of the clusters is no extreme: it holds at *every*
# $\epsilon$. What becomes uniform for a large one is each single code, and such codes are those of a collapse. The paper
# says that a strong entropy term generally leads to a trivial solution.

# %% tags=["nbval-check-output"]
verify("small epsilon: as many samples for each prototype", vertex.sum(dim=0), [2.0, 2.0, 2.0, 2.0])
verify("the nearest centre, as in k-means, gives other sizes", scores.argmax(dim=1).bincount().max() > n / k)
for value in (0.1, 0.5, 10.0):
    verify(
        f"epsilon = {value}: the use of the prototypes is uniform", losses.sinkhorn(scores, value, 2000).sum(dim=0), 2
    )
soft = [float(torch.special.entr(losses.sinkhorn(scores, value, 2000)).sum(dim=1).mean()) for value in (0.1, 0.5, 10.0)]
verify("what grows with epsilon is the entropy of a single code", soft[0] < soft[1] < soft[2] < math.log(k) + 1e-9)

# %% [markdown]
# **E19 (lecture notes): Sinkhorn does not prevent the trivial solution.** The notes say that with Sinkhorn the
# representations "can't be put into one centroid", and that this prevents the trivial solution. They can all lie at one
# point, on a centroid or elsewhere. Equal embeddings get equal codes, $1/K$ each, and these *are*
# equal shares. A constant network that predicts $1/K$ pays $\log K$, and its gradient is zero. What Sinkhorn removes is
# the reward for it.

# %% tags=["nbval-check-output"]
flat = torch.zeros(n, k, dtype=torch.float64, requires_grad=True)
loss = losses.swav(flat, flat).total
loss.backward()
verify("equal embeddings have equal shares", losses.sinkhorn(flat.detach()).sum(dim=0), n / k)
verify("the loss is log K", loss, math.log(k))
verify("the gradient is zero", flat.grad, 0)

# %% [markdown]
# **E20 (lecture notes): who needs negative samples?** The notes say that the loss of all previous methods needs "a batch
# or pool of negative samples", and that this makes trouble when training is distributed. Not so. Barlow Twins and
# VICReg have no negatives: they see the batch through its means and covariances only. The cell mixes the samples by an
# orthogonal matrix that keeps the mean. Every embedding becomes another one, and the two losses do not notice. InfoNCE,
# which does compare sample with sample, does. SwAV has no negatives either; it needs the batch for the balance.
#
# True is this: all of them *couple* the samples of a batch. The loss of the whole is not the mean of the losses of its
# halves, and with several processes something must be exchanged. BYOL and SimSiam have a loss per sample. But their
# batch norm, and the centre of DINO, still couple the batch.

# %% tags=["nbval-check-output"]
view_a = torch.randn(8, 3, generator=generator, dtype=torch.float64)
view_b = view_a + 0.5 * torch.randn(8, 3, generator=generator, dtype=torch.float64)
ones = torch.full((8, 1), 8**-0.5, dtype=torch.float64)
rest = torch.linalg.qr(torch.cat([ones, torch.randn(8, 7, generator=generator, dtype=torch.float64)], dim=1))[0][:, 1:]
turn = torch.linalg.qr(torch.randn(7, 7, generator=generator, dtype=torch.float64))[0]
mixing = ones @ ones.T + rest @ turn @ rest.T  # orthogonal, and it leaves the vector of ones alone


def differs(loss):
    mixed, plain = loss(mixing @ view_a, mixing @ view_b), loss(view_a, view_b)
    return bool((mixed - plain).abs() > 1e-3)


verify("Barlow Twins sees no single samples", differs(lambda a, b: losses.barlow_twins(a, b).total), False)
verify("nor does VICReg", differs(lambda a, b: losses.vicreg(a, b).total), False)
verify("InfoNCE does", differs(lambda a, b: losses.info_nce(a, b).total), True)


def coupled(loss):
    """Whether the loss of the batch is not the mean of the losses of its halves."""
    halves = (loss(view_a[:4], view_b[:4]) + loss(view_a[4:], view_b[4:])) / 2
    return bool((halves - loss(view_a, view_b)).abs() > 1e-3)


objectives = {
    "InfoNCE": lambda a, b: losses.info_nce(a, b).total,
    "Barlow Twins": lambda a, b: losses.barlow_twins(a, b).total,
    "VICReg": lambda a, b: losses.vicreg(a, b).total,
    "SwAV": lambda a, b: losses.swav(a.tanh(), b.tanh()).total,
    "SimSiam": lambda a, b: losses.simsiam(a, b, b, a).total,
    "BYOL": lambda a, b: losses.byol(a, b, a, b).total,
}
for name, loss in objectives.items():
    print(f"{name:13s} couples the samples: {coupled(loss)}")

# %% [markdown]
# **P4 (paper): "selected at least $B/K$ times".** The SwAV paper says of its constraint that on average it has each
# prototype selected at least $B/K$ times ($B$ is our $N$). But the constraint is on *mass*, and that is *exactly* $B/K$:
# the $K$ masses sum to $B$, so none can be above without another one below. How often a prototype is *selected*, that is
# how many samples have their largest share there, is not constrained. Below one prototype is the first choice of a
# single sample, although its mass is 2.

# %% tags=["nbval-check-output"]
long_run = losses.sinkhorn(scores, 0.1, 2000)
chosen = long_run.argmax(dim=1).bincount(minlength=k)
verify("the mass is exactly N/K = 2", long_run.sum(dim=0), n / k)
print("samples by their largest share:", chosen.tolist())
verify("one prototype is selected less than N/K times", chosen.min() < n / k)

# %% [markdown]
# **P12 (official code): no iterations are not a softmax.** The official function divides by the grand total before its
# loop. With 0 iterations it does nothing else, and its rows do not sum to 1. In jemlib `iterations=0` is
# `softmax(scores / epsilon)`, which is what the run without Sinkhorn used.

# %% tags=["nbval-check-output"]
official = torch.exp(scores / 0.05)
official = official / official.sum() * n
verify("its rows do not sum to 1", (official.sum(dim=1) - 1).abs().max() > 0.5)
verify("jemlib's do", losses.sinkhorn(scores, 0.05, 0).sum(dim=1), 1)

# %% [markdown]
# ## Take-away
#
# - SwAV compares codes: how an image is shared out among prototypes. One view predicts the code of the other.
# - The codes solve a transport problem with entropy. Its optimum is $e^{S/\epsilon}$ with a factor for each row and one
#   for each column; Sinkhorn finds the factors in turns.
# - Rows sum to 1 always, columns equally only in the limit. In logarithms nothing overflows.
# - $\epsilon\to 0$: a corner of the transport polytope, clusters of equal size. $\epsilon\to\infty$: $1/K$ everywhere.
# - A prediction that ignores the image pays at least $\log K$. That removes the cheap collapse. A loss that stays at
#   $\log K$ is the collapse that is left; near it, differences grow if $\epsilon < \tau$.
# - Without Sinkhorn the loss is lower and the network is worthless.
# - A few labels name the clusters.
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("06_swav_sinkhorn")

# %% [markdown]
# The table of objectives so far. Each lesson adds its rows.

# %%
objectives_so_far("simclr", "barlow_twins", "vicreg", "swav")

# %% [markdown]
# Next: lesson 07 clusters as well (PCL), but in turns with training, and keeps the contrast with other images.

# %% [markdown]
# ## Quiz
#
# **1.** Somebody forgets to normalise the embeddings. The scores reach 10, $\epsilon = 0.05$, and the exponentials
# overflow. They switch to logarithms. Is all well now?
#
# <details><summary>Answer</summary>
#
# The codes are finite, but they are those of cosines with $\epsilon = 0.005$: ten times as sharp. And the network can
# change the sharpness of its targets and of its predictions by the length of the embeddings. Unit length belongs to
# the method, not to the arithmetic.
#
# </details>
#
# **2.** After 3 iterations the columns of your codes sum to 3.9, 2.0, 1.1 and 1.0 instead of 2. A bug?
#
# <details><summary>Answer</summary>
#
# No. Rows sum to 1 after any number of iterations, columns to $N/K$ only in the limit. How far away that is the table
# under "How many iterations?" counts, for three values of $\epsilon$ and scores drawn at random: for $\epsilon = 0.05$
# many more than 3.
#
# </details>
#
# **3.** Training with $K = 3000$ stands at a loss of 8.006 for days. What happened, and what would you change?
#
# <details><summary>Answer</summary>
#
# $\log 3000 = 8.006$: all codes and all predictions are uniform, the embeddings coincide. Make $\epsilon$ smaller, so
# that the codes are sharper than the predictions ($\epsilon < \tau$); keep the prototypes frozen at the start of
# training; look for embeddings that are not normalised. The first two are in the README of the official code.
#
# </details>
#
# **4.** Can the loss of SwAV reach 0?
#
# <details><summary>Answer</summary>
#
# Only if the codes are one-hot and the predictions equal them. It is at least the entropy of the codes, which is positive
# for soft codes. And with $N < K$ and equal columns no code is sharper than $K/N$ shares: its entropy is at least
# $\log(K/N)$.
#
# </details>
#
# **5.** Why must no gradient flow into the codes?
#
# <details><summary>Answer</summary>
#
# Then the loss could be lowered by changing the targets instead of the predictions: by making both simple. The codes are
# answers to be predicted; they are computed anew from the current scores in each step.
#
# </details>
#
# **6.** You train on four processes with 64 images each and run Sinkhorn on each process alone, $K = 512$. What changes
# against one process with 256 images?
#
# <details><summary>Answer</summary>
#
# The shares are balanced over 64 images instead of 256, so no share exceeds $1/8$ instead of $1/2$, and the targets are
# softer. For the same codes the scores of all processes must go into one problem (the sums of columns are exchanged in
# each iteration).
#
# </details>

# %% [markdown]
# ## References
#
# - M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski, A. Joulin: *Unsupervised Learning of Visual Features by
#   Contrasting Cluster Assignments*, NeurIPS 2020, arXiv:2006.09882. Loss: eq. 1 and 2; codes: eq. 3 to 5; multi-crop:
#   eq. 6; queue: section 3. Official code: facebookresearch/swav.
# - M. Cuturi: *Sinkhorn Distances: Lightspeed Computation of Optimal Transport*, NeurIPS 2013, arXiv:1306.0895.
#   The entropy and the algorithm.
# - R. Sinkhorn, P. Knopp: *Concerning nonnegative matrices and doubly stochastic matrices*, Pacific Journal of
#   Mathematics 21(2), 1967. Existence and convergence.
# - Y. M. Asano, C. Rupprecht, A. Vedaldi: *Self-labelling via simultaneous clustering and representation learning*,
#   ICLR 2020, arXiv:1911.05371. Equal shares for clusters, before SwAV.
# - M. Caron, P. Bojanowski, A. Joulin, M. Douze: *Deep Clustering for Unsupervised Learning of Visual Features*,
#   ECCV 2018, arXiv:1807.05520. k-means in turns with training.
# - A. Canziani, J. Zhu: *Joint Embedding Methods: Regularised*, lecture notes (scribe S. C. Akula), 2022. The source
#   that is corrected above.
