# %% [markdown]
# # 05 · Collapse: what goes wrong, which number sees it, and what leaves it
#
# A network that gives every image the same embedding makes two views agree perfectly. It has learned nothing.
# That is collapse. It has a quieter relative: the embeddings differ, but only along a few directions.
# In this lesson you cause both, measure both, and find out which objectives run away from them.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. tell complete from dimensional collapse, and compute the numbers that see each
#    (exercises 5.1, 5.2, 5.3 and 5.4);
# 2. say which number is blind to what, and put two of them together into a rule (exercise 5.5);
# 3. prove for which objectives the gradient is zero at the exact constant, name the exceptions, and say why that
#    settles nothing;
# 4. derive what does settle it, the curvature there (exercise 5.6), and verify a table of it;
# 5. start a network from the trivial solution, and predict which one leaves;
# 6. explain two ways of losing directions in a linear model: strong augmentation and depth (exercise 5.7);
# 7. diagnose four runs without knowing what they are.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (singular values, eigenvalues), second derivatives, some PyTorch, and the picture of lesson 00:
# an image, two random views of it, an encoder that maps each view to an embedding.
# The losses come from jemlib here. It is enough to know that each takes the embeddings of two views and returns a
# number; lessons 01 to 04 derive several of them. The lesson runs on a laptop without a GPU and without a network.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(directional_spread)` gives one hint at a time, and `solution(directional_spread)` shows the answer.

# %%
import math

import torch

from jemlib import losses, plots
from jemlib.course import check, claim, hint, objectives_so_far, recorded_claims, solution, verify
from jemlib.course.lessons.lesson05_collapse import figures
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
# | $Z$ | `z` | $(N, D)$ | embeddings; row $z_b$ belongs to sample $b$ |
# | $u_b$ | `u` | $(N, D)$ | the row's direction, $z_b / \lvert z_b\rvert$ |
# | $\sigma_k$ | `svdvals` | $\min(N, D)$ | singular values of $Z$, not centred |
# | $\lambda_k$ | `squared` | $\min(N, D)$ | their squares |
# | $c$ | `c` | $(D,)$ | the constant embedding of a complete collapse |
# | $v$ | `v` | $(N, D)$ | a perturbation of it, one row for each sample |
# | $\tau$ | `temperature` | number | temperature of InfoNCE |
# | $\epsilon$ | `eps` | number | what a variance gets added, in VICReg and in Barlow Twins |
# | $\mu$ | `variance` | number | weight of VICReg's variance term, 25 |
# | $h_b$ | `h` | $(N, D_{in})$ | what the last layer gets, row by row |
# | $W$ | `w` | $(D, D_{in})$ | weights of a linear model $z = W x$ |
# | $x_i$, $x_i'$ | `x`, `x_prime` | $(N, D_{in})$ | inputs of the linear model and their other views |
# | $X$ | `contrastive_gradient_matrix` | $(D_{in}, D_{in})$ | what drives the linear model, $dL/dW = -W X$ |
# | $s$ | `s` | number | size of a cloud of embeddings around the constant |
#
# Indices: $b$, $i$ and $j$ count samples, $k$ counts directions. A bar is a mean over the batch.

# %% [markdown]
# ## Ladder: from hand numbers to the library
#
# The lecture notes name two kinds. We keep their numbers, and add names that say more.
#
# - **Type 1**: whatever the input, the network gives the same representation. Also called *complete* collapse:
#   $z_b = c$ for all $b$.
# - **Type 2**: different images have different representations, but each carries little information. Also called
#   *dimensional* or *informational* collapse: the covariance of the embeddings has a rank below $D$, or nearly so.
#
# Four clouds of four samples each, in two dimensions, for your hands.

# %%
square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
hand = {
    "type 1": torch.ones(4, 2, dtype=torch.float64),
    "type 2": torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64),
    "healthy": square,
    "healthy, with an offset": square + 3,
}
figures.clouds(hand)

# %% [markdown]
# In the first panel all four samples lie on one point, in the second two and two.
# Which of the four is the last one? Its samples differ in all directions, as those of the third do.
# But seen from the origin they all lie in about one direction. A loss of *angles* (InfoNCE, BYOL) calls that almost
# collapsed. A loss that *centres* (VICReg, Barlow Twins) does not notice the offset at all.
# Keep this cloud in mind: it tells diagnostics apart.

# %% [markdown]
# ### A number for type 1
#
# Give each row the length 1, $u_b = z_b / |z_b|$, and add up the variances of the $D$ columns:
#
# $$\text{directional spread} = \sum_j \frac1N\sum_b (u_{bj} - \bar u_j)^2 .$$
#
# It is 0 exactly when all rows point the same way, and never above 1.
#
# {{exercise:directional_spread}}


# %% exercise="directional_spread"
def directional_spread(z):
    """The sum over dimensions of the variance of the directions z_b / |z_b|; the variance divides by N."""
    ### BEGIN SOLUTION
    u = z / z.norm(dim=1, keepdim=True)
    return (u - u.mean(dim=0)).square().mean(dim=0).sum()
    ### END SOLUTION


# %% check="directional_spread"
directional_spread = check(directional_spread)

# %% [markdown]
# The usual diagnostic of this family is the *normalised std*, $\sqrt D$ times the mean over dimensions of the std of
# $u$. Both are tied to the mean direction $\bar u$. Where all rows agree, $|\bar u| = 1$ and both are 0.

# %% tags=["nbval-check-output"]
from jemlib.diagnose import normalized_std

generator = torch.Generator().manual_seed(0)
z = torch.randn(9, 4, generator=generator, dtype=torch.float64) + 0.5
u = z / z.norm(dim=1, keepdim=True)
pairs = (u[:, None] - u).square().sum(dim=2)
verify("the spread is 1 - |mean direction|^2", directional_spread(z), 1 - u.mean(dim=0).square().sum())
verify("the spread is half the mean squared distance of pairs", directional_spread(z), pairs.mean() / 2)
verify("it is at least the square of the normalised std", directional_spread(z) >= normalized_std(z) ** 2)
verify("on the hand clouds: 0, 1, 1", [float(directional_spread(hand[k])) for k in list(hand)[:3]], [0, 1, 1])

# %% [markdown]
# ### A number for type 2, as a loop
#
# How many directions are in use? The *participation ratio* answers with a number between 1 and $\min(N, D)$:
#
# $$\text{PR} = \frac{\big(\sum_b |z_b|^2\big)^2}{\sum_b\sum_{b'} (z_b \cdot z_{b'})^2} .$$
#
# By hand: on the *type 2* cloud each $|z_b|^2$ is 2, so the numerator is $8^2 = 64$. All 16 products are $\pm 2$, so the
# denominator is $16 \cdot 4 = 64$. The ratio is 1: one direction. On *healthy* half of the products are 0, and it is 2.
#
# The formula does not centre, as the well-known RankMe does not. A constant then counts as one direction.
#
# {{exercise:participation_ratio_loop}}
#
# Write both sums as you read them, with loops over $b$ and $b'$.


# %% exercise="participation_ratio_loop"
def participation_ratio_loop(z):
    """(sum_b |z_b|^2)^2 / sum_b sum_b' (z_b . z_b')^2, by loops."""
    ### BEGIN SOLUTION
    lengths, products = z.new_zeros(()), z.new_zeros(())
    for b in range(len(z)):
        lengths = lengths + z[b] @ z[b]
        for other in range(len(z)):
            products = products + (z[b] @ z[other]) ** 2
    return lengths**2 / products
    ### END SOLUTION


# %% check="participation_ratio_loop"
participation_ratio_loop = check(participation_ratio_loop)

# %% tags=["nbval-check-output"]
for name, cloud in hand.items():
    print(f"{name:24s} {float(participation_ratio_loop(cloud)):.2f}")

# %% [markdown]
# The last line shows what "not centred" means: an offset is one strong direction, and it hides the others.
#
# ### The same from the singular values
#
# Let $\sigma_k$ be the singular values of $Z$ and $\lambda_k = \sigma_k^2$. The squared lengths of the rows add up to
# $\sum_k \lambda_k$ (the trace of $Z Z^\top$), and the squared products to $\sum_k \lambda_k^2$ (the trace of its
# square). So
#
# $$\text{PR} = \frac{\big(\sum_k \lambda_k\big)^2}{\sum_k \lambda_k^2} .$$
#
# {{exercise:participation_ratio}}


# %% exercise="participation_ratio"
def participation_ratio(z):
    """(sum lambda)^2 / sum lambda^2, where lambda are the squared singular values of z."""
    ### BEGIN SOLUTION
    squared = torch.linalg.svdvals(z).square()
    return squared.sum().square() / squared.square().sum()
    ### END SOLUTION


# %% check="participation_ratio"
participation_ratio = check(participation_ratio)

# %% [markdown]
# There is a family of such counts. Each replaces "how many $\lambda_k$ are not zero" by something smoother. With the
# entropy $H(p) = -\sum_k p_k \log p_k$ of the shares:
#
# $$1 \le \text{PR} \le e^{H(\lambda / \sum\lambda)} \le \underbrace{e^{H(\sigma / \sum\sigma)}}_{\text{RankMe}}
# \le \text{rank} .$$
#
# Squaring makes large shares larger, and the squares of PR do it once more. So PR is the strictest, RankMe the mildest.

# %% tags=["nbval-check-output"]
from jemlib.diagnose import rankme


def entropy_rank(shares):
    return torch.special.entr(shares / shares.sum()).sum().exp()


verify("loop and singular values agree", participation_ratio_loop(z), participation_ratio(z))
chains = []
for _ in range(200):
    stretch = torch.rand(5, generator=generator, dtype=torch.float64) ** 3
    cloud = torch.randn(8, 5, generator=generator, dtype=torch.float64) * stretch
    svdvals = torch.linalg.svdvals(cloud)
    ranks = [participation_ratio(cloud), entropy_rank(svdvals**2), rankme(cloud), torch.linalg.matrix_rank(cloud)]
    chains.append(torch.stack([torch.ones(()).double(), *(rank.double() for rank in ranks)]))
steps_up = torch.stack(chains).diff(dim=1)
verify("the chain holds for 200 random clouds (RankMe's own eps allowed for)", steps_up.min() > -1e-4)
verify("RankMe is the entropy rank of sigma", rankme(cloud), entropy_rank(svdvals), tolerance=1e-4)
two = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
verify("diag(3, 1): PR = (9 + 1)^2 / (81 + 1)", participation_ratio(two), 100 / 82)

# %% [markdown]
# ### The whole spectrum
#
# One number is short; the spectrum shows all. Centre, take the covariance, and sort its eigenvalues, largest first:
#
# $$\text{Cov} = \frac{1}{N-1}\sum_b (z_b - \bar z)(z_b - \bar z)^\top .$$
#
# Centring matters here: we ask along which directions samples *differ*.
#
# {{exercise:covariance_spectrum}}
#
# Return all $D$ eigenvalues, also those that are 0.


# %% exercise="covariance_spectrum"
def covariance_spectrum(z):
    """The D eigenvalues of the centred covariance (divided by N - 1), largest first."""
    ### BEGIN SOLUTION
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / (len(z) - 1)
    return torch.linalg.eigvalsh(covariance).flip(0)
    ### END SOLUTION


# %% check="covariance_spectrum"
covariance_spectrum = check(covariance_spectrum)

# %% tags=["nbval-check-output"]
rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))
spectrum = covariance_spectrum(z)
verify("the eigenvalues add up to the variances of the columns", spectrum.sum(), z.var(dim=0).sum())
verify("a rotation and an offset change nothing", covariance_spectrum(z @ rotation + 7), spectrum)
verify(
    "the largest is the variance along its direction", spectrum[0], (z @ torch.linalg.eigh(z.T.cov())[1][:, -1]).var()
)
verify("three samples leave at most two directions", covariance_spectrum(z[:3])[2:], 0)

# %% [markdown]
# ### A rule that names the collapse
#
# Put two numbers together. With a threshold $t = 0.1$, which is a convention:
#
# 1. directional spread below $t$: **type 1**, code 1;
# 2. otherwise, the participation ratio of the *centred* batch below $1 + t\,(m - 1)$: **type 2**, code 2.
#    Here $m = \min(N - 1, D)$ is the most that this ratio can be;
# 3. otherwise none is seen, code 0.
#
# The order matters. A constant with a little noise *along one line* has a small spread and a small centred rank. It
# is type 1: all embeddings nearly coincide. Ask for the rank first, and you call it type 2.
#
# {{exercise:name_collapse}}
#
# Return the code as a scalar tensor of the type of `z`, such as `z.new_tensor(1.0)`.


# %% exercise="name_collapse"
def name_collapse(z, threshold=0.1):
    """0 no collapse seen, 1 type 1 (complete), 2 type 2 (dimensional)."""
    ### BEGIN SOLUTION
    if directional_spread(z) < threshold:
        return z.new_tensor(1.0)
    most = min(len(z) - 1, z.shape[1])
    if participation_ratio(z - z.mean(dim=0)) < 1 + threshold * (most - 1):
        return z.new_tensor(2.0)
    return z.new_tensor(0.0)
    ### END SOLUTION


# %% check="name_collapse"
name_collapse = check(name_collapse)

# %% [markdown]
# ## Derivation: which number is blind to what
#
# Ten clouds, made by hand, $N = 400$ samples in $D = 16$ dimensions. Then every number on every cloud.
# Two more numbers join in. *Alignment* is the mean squared distance of two views on the sphere: here view B is the same
# cloud plus a little noise of 5 % of its spread. *Uniformity* is $\log$ of the mean of $e^{-2|u_i - u_j|^2}$ over pairs:
# 0 when all directions coincide, about $-4$ when they are spread over a sphere of many dimensions.

# %% tags=["nbval-check-output"]
from jemlib.diagnose import alignment, correlation_offdiagonal, uniformity

n, d = 400, 16


def normal(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


sign = normal(n, 1).sign()
clouds = {
    "healthy": normal(n, d),
    "healthy, offset 3": normal(n, d) + 3,
    "healthy, 1000 times smaller": normal(n, d) / 1000,
    "constant (type 1)": torch.full((n, d), 0.5, dtype=torch.float64),
    "constant + noise (type 1)": 0.5 + 0.001 * normal(n, d),
    "constant + noise, a line (type 1)": 0.5 + 0.001 * normal(n, 1) * normal(1, d),
    "one direction, many lengths": normal(n, 1).exp() * torch.ones(1, d, dtype=torch.float64),
    "points ±(1,...,1) (type 2)": sign.expand(n, d),
    "points ±(1,0,...,0) (type 2)": torch.cat([sign, torch.zeros(n, d - 1).double()], dim=1),
    "two directions (type 2)": normal(n, 2) @ normal(2, d),
}
codes = [float(name_collapse(cloud)) for cloud in clouds.values()]
for name, code in zip(clouds, codes):
    print(f"{name:34s} name_collapse says {code:.0f}")

# %% [markdown]
# The second cloud gets code 1 although its samples differ in every direction: the rule asks for directions as seen from
# the origin. A loss of angles would agree with the rule. For VICReg, which ignores offsets, centre `z` before you ask.
#
# *One direction, many lengths* gets code 1 as well. For a loss of angles all these embeddings are one and the same.

# %%
print(f"{'':34s} norm.std  spread  RankMe    PR  PR,centred  rms corr.  align.  unif.  raw std")
for name, cloud in clouds.items():
    view_b = cloud + 0.05 * cloud.std(dim=0).mean() * normal(n, d)
    numbers = [normalized_std(cloud), directional_spread(cloud), rankme(cloud), participation_ratio(cloud)]
    centred = cloud - cloud.mean(dim=0)
    # A constant, centred, is 0: it has no direction left, and 0/0 tells nothing.
    numbers += [participation_ratio(centred) if centred.any() else torch.tensor(torch.nan)]
    numbers += [correlation_offdiagonal(cloud), alignment(cloud, view_b), uniformity(cloud), cloud.std(dim=0).mean()]
    print(
        f"{name:34s}"
        + "".join(
            f"{float(x):{w}}"
            for x, w in zip(numbers, ("9.3f", "8.3f", "8.1f", "6.1f", "12.1f", "11.2f", "8.3f", "7.2f", "9.4f"))
        )
    )

# %% [markdown]
# Read it by columns.
#
# | number | sees type 1 | sees type 2 | is misled by |
# | --- | --- | --- | --- |
# | normalised std | yes | **no**: 1.0 on a diagonal line | the axes: $1/\sqrt D$ for the same line turned onto one axis |
# | directional spread | yes | **no** | an offset; it does not see the scale |
# | RankMe, PR (not centred) | as rank 1, yes | yes | an offset: a healthy cloud looks poor |
# | PR, centred; spectrum of the covariance | **no**: noise around a constant is full rank | yes | few samples ($N - 1 < D$) |
# | rms correlation of dimensions | **no** | yes when dimensions are copies, **no** when they are dead | chance, $1/\sqrt N$ |
# | alignment | **no**: it is at its best | **no** | |
# | uniformity | yes | partly | an offset |
# | raw std | if the loss fixes the scale; **no** for losses of angles | **no** | lengths, which may differ along one direction |
#
# Every row has a "no", or something that misleads it. Log at least two numbers, one for each type.
# The cell verifies the extreme entries. The first is worth remembering.

# %% tags=["nbval-check-output"]
line, axis = clouds["points ±(1,...,1) (type 2)"], clouds["points ±(1,0,...,0) (type 2)"]
balanced = torch.cat([line[:1], -line[:1]]).repeat(50, 1)
noisy, offset = clouds["constant + noise (type 1)"], clouds["healthy, offset 3"]
verify("normalised std 1 in one direction", normalized_std(balanced), 1)
verify("and its participation ratio is 1", participation_ratio(balanced), 1)
verify("the same points on one axis: less than a third", normalized_std(axis) < 1 / 3)
verify(
    "noise around a constant: centred, it has over 14 of 16 directions", participation_ratio(noisy - noisy.mean(0)) > 14
)
verify("a healthy cloud with an offset loses a third of its RankMe", rankme(offset) < 0.67 * rankme(clouds["healthy"]))
verify("uncentred PR calls it one direction and a bit", participation_ratio(offset) < 2)
verify(
    "alignment is 0 at collapse, its best value", alignment(clouds["constant (type 1)"], clouds["constant (type 1)"]), 0
)
verify("uniformity is 0 at collapse, its worst value", uniformity(clouds["constant (type 1)"]), 0)
verify("dead dimensions have no correlation to see", correlation_offdiagonal(axis), 0)
lengths, thin = clouds["one direction, many lengths"], clouds["constant + noise, a line (type 1)"]
verify("one direction, many lengths: no spread of directions", directional_spread(lengths), 0)
verify("and yet the raw std is larger than that of the healthy cloud", lengths.std(dim=0).mean() > 1)
verify("noise along a line: asked first, the rank would say type 2", participation_ratio(thin - thin.mean(0)), 1)
verify("the spread, asked first, says type 1", name_collapse(thin), 1)

# %% [markdown]
# **And the value of the loss?** It says something only if you know its value at the constant. InfoNCE at $\log N$,
# Barlow Twins at $D$ and VICReg at its hinge have a high loss there, and you would notice. It is no ceiling, only the
# top of a hill: views that disagree, or a wide cloud of copies, cost more. BYOL at 0 and SimSiam at $-1$ are at their
# best. There a perfect loss curve is the symptom.

# %% tags=["nbval-check-output"]
cloud, rest = clouds["healthy"], clouds["constant (type 1)"]
for name, loss in {
    "InfoNCE": lambda a, b: losses.info_nce(a, b).total,
    "Barlow Twins": lambda a, b: losses.barlow_twins(a, b).total,
    "VICReg": lambda a, b: losses.vicreg(a, b).total,
}.items():
    verify(f"{name}: opposite views cost more than the constant", loss(cloud, -cloud) > loss(rest, rest))
for name, loss in {"BYOL": losses.byol, "SimSiam": losses.simsiam}.items():
    verify(
        f"{name}: no loss is lower than at the constant",
        loss(cloud, -cloud, cloud, -cloud).total > loss(*[rest] * 4).total,
    )

# %% [markdown]
# ## Predict, then run: a std of one
#
# A colleague shows embeddings with $D = 64$. The normalised std is 0.99 and rises. "No collapse", says the colleague.
#
# **Question.** How many directions do the embeddings use *at least*? Write down a number, then run the cell.

# %% tags=["nbval-check-output"]
strength = torch.where(torch.arange(500) % 2 == 0, 1.0, -1.0).double()[:, None]
shown = strength * torch.ones(1, 64).double() + 0.05 * normal(500, 64)
print(f"normalised std {float(normalized_std(shown)):.2f}")
print(f"participation ratio {float(participation_ratio(shown)):.1f} of 64")

# %% [markdown]
# <details><summary>Why</summary>
#
# One. The normalised std looks at one dimension after the other, and never compares two. Sixty-four copies of one good
# dimension have sixty-four good stds. Lesson 02 and lesson 04 contain the two terms that compare dimensions: the
# redundancy of Barlow Twins and the covariance of VICReg.
#
# </details>

# %% [markdown]
# ## Derivation: at the exact constant, what moves?
#
# Let all embeddings be equal, $z_b = c$, in both views. Let $g_b = \partial L / \partial z_b$.
#
# **Step 1: all $g_b$ are equal.** The loss does not change when samples change places. Where all samples are equal,
# changing places changes nothing, so no sample can be pushed differently from another: $g_b = g$.
#
# **Step 2: when is $g = 0$?** It depends on what else the loss ignores.
#
# - VICReg and Barlow Twins ignore a common shift of both views. So $\sum_b g_b = 0$, hence $N g = 0$.
# - Losses of cosines ignore the length of each row, so $g_b \cdot z_b = 0$, hence $g \cdot c = 0$. They also ignore a
#   rotation of everything, and that makes $\sum_b z_b g_b^\top$ symmetric. At the constant this matrix is $N c\, g^\top$.
#   It is symmetric only if $g$ is a multiple of $c$. Orthogonal to $c$ *and* a multiple of it: $g = 0$.
#
# So the condition is: **blind to a common shift, or blind to length and rotation.** A loss that is neither may push.
# (The symmetry, in one line: let the rotation be $e^{tA}$ with $A$ antisymmetric. The loss stands still, so
# $0 = \sum_b g_b^\top A z_b = \mathrm{tr}(A \sum_b z_b g_b^\top)$ for every such $A$, and only symmetric matrices do that.)
#
# First verify the four facts that were used, at embeddings that are not collapsed.

# %% tags=["nbval-check-output"]
from jemlib.theory import trivial_start, vicreg_variance_hinge

shift_blind = {
    "vicreg": lambda z: losses.vicreg(z, z).total,
    "vicreg, variance hinge": lambda z: vicreg_variance_hinge(z, z).total,
    "barlow_twins": lambda z: losses.barlow_twins(z, z).total,
}
angles_only = {
    "info_nce": lambda z: losses.info_nce(z, z).total,
    "nt_xent": lambda z: losses.nt_xent(z, z).total,
    "decoupled_info_nce": lambda z: losses.decoupled_info_nce(z, z, 0.2).total,
    "uniformity": uniformity,
    "simsiam": lambda z: losses.simsiam(z, z, z, z).total,
    "byol": lambda z: losses.byol(z, z, z, z).total,
}


def gradient_of(loss, at):
    leaf = at.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf), leaf)[0]


z = normal(6, 3) + 0.5
order = torch.tensor([3, 0, 5, 1, 4, 2])
everything = {**shift_blind, **angles_only}
verify("samples may change places", [float(loss(z[order]) - loss(z)) for loss in everything.values()], 0)
shift_sums = torch.stack([gradient_of(loss, z).sum(dim=0) for loss in shift_blind.values()])
verify("shift ignored: the g_b add up to 0", shift_sums, 0)
radial = torch.stack([(gradient_of(loss, z) * z).sum(dim=1) for loss in angles_only.values()])
verify("lengths ignored: each g_b is orthogonal to z_b", radial, 0)
moments = torch.stack([z.T @ gradient_of(loss, z) for loss in angles_only.values()])
verify("rotations ignored: the sum of z_b g_b^T is symmetric", moments, moments.transpose(1, 2))

# %% [markdown]
# Now the conclusion, for each of them, at several constants.

# %% tags=["nbval-check-output"]
for name, loss in everything.items():
    constants = [trivial_start(5, 3, normal(3), dtype=torch.float64) for _ in range(10)]
    verify(f"{name}: zero gradient at ten exact constants", torch.stack([gradient_of(loss, c) for c in constants]), 0)

# %% [markdown]
# **The exceptions.** Step 1 holds for all, step 2 not.
#
# - SIGReg pulls embeddings towards one certain Gaussian, of mean 0. It ignores neither shifts nor lengths. All samples
#   are pushed alike, and not at all only at $c = 0$.
# - BYOL and SimSiam *with a predictor* ignore lengths. But a predictor is a map of its own, and rotating its input does
#   not rotate its output. All samples get the push that turns $c$ to where the predictor's output agrees with it.
# - SwAV and DINO see *scores* over $K$ prototypes or outputs. Their common push vanishes where all scores are equal.
#
# A common push moves the constant. It does not spread the embeddings.

# %% tags=["nbval-check-output"]
preferred = {
    "sigreg": lambda z: losses.epps_pulley_exact(z).mean(),
    "swav": lambda z: losses.swav(z, z).total,
    "dino": lambda z: losses.dino([z, z], [z, z], z.detach().mean(dim=0)).total,
}
for name, loss in preferred.items():
    elsewhere = gradient_of(loss, trivial_start(5, 4, 0.3 * normal(4), dtype=torch.float64))
    zero = gradient_of(loss, torch.zeros(5, 4, dtype=torch.float64))
    verify(f"{name}: no push at 0", zero, 0)
    verify(f"{name}: elsewhere all samples are pushed alike", elsewhere, elsewhere[:1].expand(5, 4))
    verify(f"{name}: and they are pushed", elsewhere.norm() > 1e-3)

# A linear predictor, drawn at random; the target is z itself behind the stop-gradient, as in SimSiam.
predictor = normal(3, 3) / math.sqrt(3)
with_predictor = {
    "simsiam": lambda z: losses.simsiam(z @ predictor, z @ predictor, z, z).total,
    "byol": lambda z: losses.byol(z @ predictor, z @ predictor, z, z).total,
}
for name, loss in with_predictor.items():
    pushes = [gradient_of(loss, trivial_start(5, 3, normal(3), dtype=torch.float64)) for _ in range(10)]
    sizes = [float(push.norm()) for push in pushes]
    alike = torch.stack([push[:1].expand(5, 3) for push in pushes])
    verify(f"{name} with a predictor: all samples are pushed alike", torch.stack(pushes), alike)
    verify(f"{name} with a predictor: and they are pushed, at each of ten constants", min(sizes) > 1e-3)
    print(f"  norm of the gradient: {min(sizes):.2f} to {max(sizes):.2f}")

# %% [markdown]
# **From embeddings to weights.** Let the last layer be $z_b = W^\top h_b + a$ with $W = 0$. Then
# $\partial L / \partial W = \sum_b h_b\, g_b^\top$, and below it $\partial L / \partial h_b = W g_b$. With $g_b = 0$
# both vanish: no weight of the network moves. (SIGReg at $c \ne 0$, and a predictor, are exceptions again. All $g_b$
# are alike, but $\sum_b h_b$ is not zero. So $W$ moves, and different images move differently.)

# %% tags=["nbval-check-output"]
h, a = torch.rand(5, 4, generator=generator, dtype=torch.float64), normal(3)
zeros = torch.zeros(4, 3, dtype=torch.float64)
slopes = torch.stack([gradient_of(lambda w, loss=loss: loss(h @ w + a), zeros) for loss in everything.values()])
verify("no weight of the last layer moves", slopes, 0)
below = torch.stack([gradient_of(lambda x, loss=loss: loss(x @ zeros + a), h) for loss in everything.values()])
verify("and nothing below it", below, 0)
push = gradient_of(lambda z: preferred["sigreg"](z), a.expand(5, 3))
slope = gradient_of(lambda w: preferred["sigreg"](h @ w + a), zeros)
verify("SIGReg: the weights get sum_b h_b times the common push", slope, torch.outer(h.sum(dim=0), push[0]))
verify("so one step makes the samples differ", (h @ slope).std(dim=0).max() > 1e-3)
for name, loss in with_predictor.items():
    slope = gradient_of(lambda w, loss=loss: loss(h @ w + a), zeros)
    verify(f"{name} with a predictor: so it is there", (h @ slope).std(dim=0).max() > 1e-3)

# %% [markdown]
# So a zero gradient at the constant does not tell the dangerous objectives from the others. InfoNCE and VICReg have it.
# BYOL and SimSiam have it without a predictor, and lose it with one.
# A ball on the top of a hill has no gradient either. What counts is which way the ground bends.

# %% [markdown]
# ## Derivation: the curvature at the constant
#
# Move away from the constant a little: $z_b = c + h\, v_b$, in both views. The value of the loss is
# $L(c) + 0 \cdot h + \tfrac12 h^2\, v^\top H v + \dots$, with the Hessian $H$ at the constant. A negative eigenvalue
# means: there is a direction in which the loss falls, and any noise finds it. A constant with such a direction is
# *unstable*.
#
# For InfoNCE we can say what the term is. Write $u_i$ for the direction of $z_i$. From
# $u_i \cdot u_j = 1 - \tfrac12 |u_i - u_j|^2$ the loss is
#
# $$L = \frac1N\sum_i \log\sum_j e^{-|u_i - u_j|^2/2\tau}
# = \log N - \frac{1}{2\tau}\,\frac{1}{N^2}\sum_{i,j}|u_i - u_j|^2 + \dots$$
#
# because $e^{-x} \approx 1 - x$ and $\log(1 - x) \approx -x$ for small $x$. A mean of squared distances over all pairs
# is twice a variance. And near $c$ the direction turns by $w_b / |c|$, where $w_b$ is $v_b - \bar v$ without its part
# along $c$. Together:
#
# $$L(c + h v) = \log N + h^2\, \text{bend} + O(h^3), \qquad
# \text{bend} = -\frac{1}{\tau N |c|^2}\sum_b |w_b|^2 .$$
#
# {{exercise:info_nce_bend}}
#
# `v` has shape $(N, D)$ and `c` has shape $(D,)$; $c$ need not have length 1.


# %% exercise="info_nce_bend"
def info_nce_bend(v, c, temperature=0.2):
    """The coefficient of h^2 of InfoNCE at z_b = c + h v_b, both views alike."""
    ### BEGIN SOLUTION
    w = v - v.mean(dim=0)
    w = w - torch.outer(w @ c, c) / (c @ c)
    return -w.square().sum() / (temperature * len(v) * (c @ c))
    ### END SOLUTION


# %% check="info_nce_bend"
info_nce_bend = check(info_nce_bend)

# %% [markdown]
# Verify against the loss itself: half of its second derivative along $v$, by automatic differentiation.

# %% tags=["nbval-check-output"]
v, c, temperature = normal(6, 4), 2 * normal(4), 0.3


def along(step):
    return losses.info_nce(c + step * v, c + step * v, temperature).total


step = torch.zeros((), dtype=torch.float64)
second = torch.autograd.functional.hessian(along, step)
verify("half the second derivative of InfoNCE", info_nce_bend(v, c, temperature), second / 2)
verify("its value at the constant is log N", along(step), math.log(6))
verify("moving all samples alike: no bend", info_nce_bend(torch.ones(6, 1).double() * normal(1, 4), c), 0)
verify("moving along c: no bend", info_nce_bend(torch.outer(normal(6), c), c), 0)

# %% [markdown]
# The eigenvalues follow. The term is $\tfrac12 v^\top H v$, so $H$ has the eigenvalue $-2/(\tau N |c|^2)$ for every
# $v$ that has mean 0 and is orthogonal to $c$. There are $(N-1)(D-1)$ such directions. All others have 0.
#
# The other objectives expand in the same way. $V_j$ is the variance of dimension $j$.
#
# | loss, both views alike | value at the constant | expansion | lowest eigenvalue | times |
# | --- | --- | --- | --- | --- |
# | InfoNCE | $\log N$ | above | $-2/(\tau N\lvert c\rvert^2)$ | $(N-1)(D-1)$ |
# | uniformity, $t = 2$ | $0$, its highest | $-t\,\overline{\lvert u_i - u_j\rvert^2}$ over pairs | $-4t/((N-1)\lvert c\rvert^2)$ | $(N-1)(D-1)$ |
# | VICReg, hinge on the std | $\mu(1 - \sqrt\epsilon)$ | $\sqrt{V_j + \epsilon} \approx \sqrt\epsilon + V_j/2\sqrt\epsilon$ | $-\mu/(D\sqrt\epsilon\,(N-1))$ | $(N-1)D$ |
# | VICReg, hinge on the variance | $\mu$ | $V_j$ | $-2\mu/(D(N-1))$ | $(N-1)D$ |
# | Barlow Twins | $D$ | $(1 - C_{jj})^2 \approx 1 - 2V_j/\epsilon$ | $-4/(N\epsilon)$ | $(N-1)D$ |
# | SIGReg, one slice, at $c = 0$ | positive | repulsion against the pull to 0 | $\sqrt\pi - 2\sqrt{2\pi}$ | $N-1$ |
# | SimSiam and BYOL, no predictor | $-1$ and $0$, their lowest | nothing to expand: the views agree | $0$ | all |
#
# In the row of Barlow Twins $V_j$ is the biased variance, divided by $N$; in those of VICReg it is unbiased.
# `curvature` computes the whole Hessian by automatic differentiation and returns its eigenvalues over perturbations of
# mean 0. Each row is verified, the multiplicity too.

# %% tags=["nbval-check-output"]
from jemlib.theory import curvature

n, d = 5, 3
c = torch.tensor([1.0, 2.0, -2.0], dtype=torch.float64)  # of length 3
norm2, tau, t, mu, eps = float(c @ c), 0.2, 2.0, 25.0, 1e-4
table = {
    "info_nce": (everything["info_nce"], math.log(n), -2 / (tau * n * norm2), (n - 1) * (d - 1)),
    "uniformity": (uniformity, 0.0, -4 * t / ((n - 1) * norm2), (n - 1) * (d - 1)),
    "vicreg": (everything["vicreg"], mu * (1 - eps**0.5), -mu / (d * eps**0.5 * (n - 1)), (n - 1) * d),
    "vicreg, variance hinge": (everything["vicreg, variance hinge"], mu, -2 * mu / (d * (n - 1)), (n - 1) * d),
    "barlow_twins": (everything["barlow_twins"], d, -4 / (n * 1e-5), (n - 1) * d),
}
for name, (loss, value, eigenvalue, times) in table.items():
    at = trivial_start(n, d, c, dtype=torch.float64)
    expected = torch.zeros((n - 1) * d, dtype=torch.float64)
    expected[:times] = eigenvalue
    verify(f"{name}: value at the constant", loss(at), value)
    verify(f"{name}: eigenvalue and multiplicity", curvature(loss, at), expected)

# %% [markdown]
# SIGReg is one-dimensional here (one slice), at $c = 0$. It has a positive eigenvalue too, for the common shift: the
# mean is pulled back to 0. BYOL and SimSiam have a stop-gradient. The second derivative of their value is not what
# training feels, so `curvature` takes differences of the gradient that training follows (that is what `step` does).

# %% tags=["nbval-check-output"]
slice_at_0 = torch.zeros(n, 1, dtype=torch.float64)
root = math.sqrt(math.pi)
verify("sigreg: differences", curvature(preferred["sigreg"], slice_at_0), root - 2 * root * 2**0.5)
verify("sigreg: common shift", curvature(preferred["sigreg"], slice_at_0, zero_mean=False)[-1], root)
for name in ("simsiam", "byol"):
    flat = curvature(everything[name], trivial_start(n, d, c, dtype=torch.float64), step=1e-5)
    verify(f"{name}: flat, as long as both views are alike", flat, 0, tolerance=1e-6)

# %% [markdown]
# **DINO and SwAV**, at scores that are alike for all $K$ outputs: the gradient is the prediction minus the target. Both
# are near $1/K$, and they respond to a small change of the scores with $1/K$ over their temperature. So the sign is
# that of $1/\tau_{\text{prediction}} - 1/\tau_{\text{target}}$: uniform codes are left when the target is *sharper*.
# (These are statements about scores. A network must first find something to amplify, and that can take long.)

# %% tags=["nbval-check-output"]


def distilled(name, target):
    """DINO or SwAV with prediction at temperature 0.1, target at `target`, as a function of one batch of scores."""
    if name == "dino":
        return lambda z: losses.dino([z, z], [z, z], z.detach().mean(dim=0), 0.1, target).total
    return lambda z: losses.swav(z, z, temperature=0.1, epsilon=target).total


for name in ("dino", "swav"):
    for target in (0.04, 0.3):
        found = curvature(distilled(name, target), torch.zeros(n, 4, dtype=torch.float64), step=1e-5)
        expected = torch.zeros((n - 1) * 4, dtype=torch.float64)
        expected[: (n - 1) * 3] = (1 / 0.1 - 1 / target) / (n * 4 * 0.1)
        verify(
            f"{name}, target at {target}: (1/0.1 - 1/target) / (0.1 N K)", found, expected.sort().values, tolerance=1e-5
        )

# %% [markdown]
# ### With augmentation
#
# So far both views were alike. Let each view add its own noise: $z = c + s\,(u + e)$, where $u$ is the signal (variance 1
# in each dimension), $e$ is what augmentation adds (variance $n_2$, drawn for each view), and $s$ is the size of the
# cloud. Now shrinking has an advantage: the invariance term falls.
#
# For **VICReg** both are of second order in $s$. In the scale of the official code:
# $\lambda \cdot 2 n_2 s^2$ from invariance against $\mu\,(1 + n_2)\,s^2 / 2\sqrt\epsilon$ from the hinge on the std, or
# against $\mu\,(1 + n_2)\,s^2$ from a hinge on the variance. Lesson 04 derives these terms. With
# $\lambda = \mu$ the variance hinge loses as soon as $n_2 > 1$: then the constant is a valley. The std hinge, with
# $\epsilon = 10^{-4}$, never loses: $2 n_2 < 50\,(1 + n_2)$ for every $n_2$.
#
# For **InfoNCE** the positive is as far away as the augmentation makes it, $2 n_2$ for each dimension, and a negative is
# as far as that *and* the signal: $2 n_2 + 2$. What is left of the difference is the signal alone, $2 > 0$.
# No amount of noise makes the constant stable, as long as there is a signal.
#
# For **BYOL and SimSiam** without a predictor nothing stands against shrinking. With noise the flat ground becomes a
# valley.

# %% tags=["nbval-check-output"]
from jemlib.theory import scale_coefficient

n, d, s = 400, 8, 1e-3
# signal and both noises: centred, of variance 1, uncorrelated with each other within this batch
basis = torch.linalg.qr(torch.cat([torch.ones(n, 1).double(), normal(n, 3 * d)], dim=1))[0][:, 1:] * math.sqrt(n - 1)
signal, noise_a, noise_b = basis.split(d, dim=1)
c = torch.ones(d, dtype=torch.float64)


def second_order(loss, n2):
    """(L(s) - L(0)) / s^2 for a small s."""
    views = [c + s * (signal + math.sqrt(n2) * e) for e in (noise_a, noise_b)]
    at_rest = c.expand(n, d)
    return float((loss(*views) - loss(at_rest, at_rest)) / s**2)


for n2 in (0.5, 2.0):
    pull = 2 * n2 * (1 - 1 / n)  # a mean over N of squares, where the unbiased variance is 1
    found = second_order(lambda a, b: vicreg_variance_hinge(a, b).total, n2)
    verify(f"variance hinge, noise {n2}: 25 (2 n2 - (1 + n2))", found, 25 * (pull - (1 + n2)), tolerance=1e-4)
    verify(f"the library, for large N, noise {n2}", scale_coefficient(n2, d, hinge="variance"), found, tolerance=0.02)
    found = second_order(lambda a, b: losses.vicreg(a, b).total, n2)
    verify(f"std hinge, noise {n2}: 25 (2 n2 - 50 (1 + n2))", found, 25 * (pull - 50 * (1 + n2)), tolerance=0.02)
    verify(f"InfoNCE falls with noise {n2}", second_order(lambda a, b: losses.info_nce(a, b).total, n2) < -1)
    verify(
        f"SimSiam without predictor rises with noise {n2}",
        second_order(lambda a, b: losses.simsiam(a, b, a, b).total, n2) > 0,
    )

# %% [markdown]
# ## Predict, then run: two starts at the constant
#
# A linear encoder $z = W^\top h + a$, trained by plain gradient descent. Its inputs get fresh noise in each view and
# step. Two objectives: VICReg, and BYOL without a predictor. Two starts: $W = 0$, the exact constant, and $W$ with
# entries of size $10^{-3}$.
#
# **Question.** Which of the four runs moves away from the constant? Write it down before you run the cell.

# %% tags=["nbval-check-output"]


def descend(loss, noise, steps=400, rate=0.02):
    """The spread of the embeddings before and after gradient descent; it is the raw std, mean over dimensions."""
    source = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=source, dtype=torch.float64)
    inputs = draw(32, 4)
    w, a = (noise * draw(4, 3)).requires_grad_(), torch.ones(3, dtype=torch.float64, requires_grad=True)
    before = float((inputs @ w.detach()).std(dim=0).mean())
    for _ in range(steps):
        z_a, z_b = ((inputs + 0.3 * draw(32, 4)) @ w + a for _ in range(2))
        slopes = torch.autograd.grad(loss(z_a, z_b), (w, a))
        with torch.no_grad():
            for weight, slope in zip((w, a), slopes):
                weight -= rate * slope
    return before, float((inputs @ w.detach()).std(dim=0).mean())


vicreg_loss = lambda a, b: losses.vicreg(a, b).total
byol_loss = lambda a, b: losses.byol(a, b, a, b).total
for name, loss in (("VICReg", vicreg_loss), ("BYOL without predictor", byol_loss)):
    for noise in (0.0, 1e-3):
        before, after = descend(loss, noise)
        grown = "stays" if after < 1e-12 else "grows" if after > 10 * before else "shrinks" if after < before else "?"
        print(f"{name:24s} start {'exact constant' if noise == 0 else 'constant + noise':18s} the spread {grown}")

# %% [markdown]
# <details><summary>Why</summary>
#
# At the exact constant neither moves: the gradient is zero for both. With noise VICReg is on the side of a hill and BYOL
# without a predictor is in a valley. The noise itself is tiny in both. So what made the difference was not the gradient at
# the constant but the bend around it.
#
# </details>

# %% [markdown]
# ## Derivation: strong augmentation kills directions
#
# Instability of the constant rules out type 1, not type 2. Contrastive learning, too, loses directions. The simplest
# model that shows it is linear: $z_i = W x_i$, with InfoNCE on squared distances, summed over the samples:
#
# $$L = -\sum_i \log\frac{e^{-|z_i - z_i'|^2/2}}{e^{-|z_i - z_i'|^2/2} + \sum_{j\ne i} e^{-|z_i - z_j|^2/2}} .$$
#
# The negatives are the other anchors $z_j$, not their views. Let $\alpha_{ij}$ be the softmax weight of sample $j$ for
# anchor $i$, and $\alpha_{ii}$ that of the positive. Differentiating gives
#
# $$\frac{dL}{dW} = -W X, \qquad X = \underbrace{\sum_{i\ne j}\alpha_{ij}(x_i - x_j)(x_i - x_j)^\top}_{\Sigma_0}
# - \underbrace{\sum_i (1 - \alpha_{ii})(x_i' - x_i)(x_i' - x_i)^\top}_{\Sigma_1} .$$
#
# $\Sigma_0$ is how inputs differ, $\Sigma_1$ is how augmentation moves them. Descent goes along $W X$. Where $X$ has a
# negative eigenvalue, $W$ shrinks: along that direction augmentation moves inputs more than they differ.
#
# {{exercise:contrastive_gradient_matrix}}
#
# Inputs: `x` and `x_prime` of shape $(N, D_{in})$, `w` of shape $(D, D_{in})$. Return $X$, in float64 like the inputs.


# %% exercise="contrastive_gradient_matrix"
def contrastive_gradient_matrix(x, x_prime, w):
    """X = Sigma_0 - Sigma_1 with dL/dW = -W X, shape (D_in, D_in)."""
    ### BEGIN SOLUTION
    z, z_prime = x @ w.T, x_prime @ w.T
    distances = (z[:, None] - z).square().sum(dim=2)
    distances = distances + torch.diag((z - z_prime).square().sum(dim=1))
    alpha = torch.softmax(-distances / 2, dim=1)
    others = alpha - torch.diag(alpha.diagonal())
    between, moved = x[:, None] - x, x_prime - x
    sigma_0 = torch.einsum("ij,ijk,ijl->kl", others, between, between)
    sigma_1 = moved.T @ ((1 - alpha.diagonal())[:, None] * moved)
    return sigma_0 - sigma_1
    ### END SOLUTION


# %% check="contrastive_gradient_matrix"
contrastive_gradient_matrix = check(contrastive_gradient_matrix)

# %% [markdown]
# At $W = 0$ all weights are $1/N$. Then $X$ is simple: $N$ times twice the covariance of the inputs, minus that of the
# augmentation. The cell verifies this, and the gradient formula itself against automatic differentiation.

# %% tags=["nbval-check-output"]
from jemlib.theory import linear_contrastive_loss

n = 40
x = normal(n, 4) * torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
x_prime = x + normal(n, 4) * torch.tensor([0.1, 3.0, 3.0, 0.1], dtype=torch.float64)
w = 0.3 * normal(2, 4)
slope = gradient_of(lambda w: linear_contrastive_loss(x, x_prime, w), w)
verify("dL/dW = -W X", slope, -w @ contrastive_gradient_matrix(x, x_prime, w))
at_zero = contrastive_gradient_matrix(x, x_prime, torch.zeros(2, 4, dtype=torch.float64))
centred, moved = x - x.mean(dim=0), x_prime - x
verify(
    "at W = 0: spread of the inputs minus spread of the augmentation",
    at_zero,
    2 * centred.T @ centred - (1 - 1 / n) * moved.T @ moved,
)
verify("strong augmentation: X has negative eigenvalues", torch.linalg.eigvalsh(at_zero).min() < 0)

# %% [markdown]
# **Where the negatives come from matters.** This model takes them from un-augmented anchors. SimCLR compares with the
# other *views*. Then a negative is as far away as signal *and* augmentation put it, and the augmentation cancels:
# at $W = 0$ what is left is twice the covariance of the signal, up to chance. So SimCLR's negatives do not kill noisy
# directions at the start; they merely do not grow them. (That is this course's own remark, verified below.)

# %% tags=["nbval-check-output"]


def cross_view_loss(w):
    """The same loss, negatives from the other view."""
    z, z_prime = x @ w.T, x_prime @ w.T
    logits = -(z[:, None] - z_prime).square().sum(dim=2) / 2
    return (logits.logsumexp(dim=1) - logits.diagonal()).sum()


# L = N log N - (1/2) tr(W X W^T) + ..., so X is minus the Hessian at W = 0 of one row of W
hessian = torch.autograd.functional.hessian(cross_view_loss, torch.zeros(1, 4, dtype=torch.float64))
across = -hessian.reshape(4, 4)
differences = x[:, None] - x_prime
every_pair = torch.einsum("ijk,ijl->kl", differences, differences) / n
verify("X = mean over all pairs minus the positives", across, every_pair - moved.T @ moved)
# Signal and augmentation are uncorrelated only up to chance; for the exact statement make them so.
mixed = torch.linalg.qr(torch.cat([torch.ones(n, 1).double(), centred[:, :2], moved], dim=1))[0][:, 1:]
x = torch.cat([mixed[:, :2], torch.zeros(n, 2, dtype=torch.float64)], dim=1)
x_prime = x + 3 * mixed[:, 2:]
across = -torch.autograd.functional.hessian(cross_view_loss, torch.zeros(1, 4, dtype=torch.float64)).reshape(4, 4)
verify("other views as negatives: twice the scatter of the signal, no augmentation in it", across, 2 * x.T @ x)
own = contrastive_gradient_matrix(x, x_prime, torch.zeros(1, 4, dtype=torch.float64))
verify(
    "anchors as negatives: the augmentation is subtracted", own, 2 * x.T @ x - (1 - 1 / n) * 9 * torch.eye(4).double()
)

# %% [markdown]
# ## Derivation: depth loses directions too
#
# Now two linear layers, $z = W_2 W_1 x$, and no augmentation worth the name. The chain rule gives
# $W_1' = W_2^\top W_2 W_1 X$ for gradient descent in continuous time (the prime is a time derivative). Training aligns
# adjacent layers, so let them be aligned: $W_1 = Q\,\text{diag}(\sigma_1)\,V^\top$ and
# $W_2 = P\,\text{diag}(\sigma_2)\,Q^\top$. Then direction $k$ obeys
#
# $$\sigma_{1k}' = \sigma_{1k}\,\sigma_{2k}^2\; v_k^\top X v_k .$$
#
# One layer would have $\sigma_k' = \sigma_k\, v_k^\top X v_k$: all directions grow at rates set by $X$. With two layers
# the rate contains the squared singular value of the neighbour. Small directions grow slowest, and the rest of the
# training leaves them behind.

# %% tags=["nbval-check-output"]
x = normal(20, 4)
x_prime = x + 0.1 * normal(20, 4)
p, q, right = (torch.linalg.qr(normal(4, 4))[0] for _ in range(3))
sigma_1, sigma_2 = (torch.rand(4, generator=generator, dtype=torch.float64) for _ in range(2))
w_1, w_2 = q @ torch.diag(sigma_1) @ right.T, p @ torch.diag(sigma_2) @ q.T
speed = -gradient_of(lambda w: linear_contrastive_loss(x, x_prime, w_2 @ w), w_1)
driving = contrastive_gradient_matrix(x, x_prime, w_2 @ w_1)
verify("W_1' = W_2^T W_2 W_1 X", speed, w_2.T @ w_2 @ w_1 @ driving)
along_k = (right.T @ driving @ right).diagonal()
verify("direction k: sigma_1 sigma_2^2 v^T X v", (q.T @ speed @ right).diagonal(), sigma_1 * sigma_2**2 * along_k)

# %% [markdown]
# Both mechanisms at work, for the whole time of training: 48 inputs in 8 dimensions. Strong augmentation adds noise of
# size 3 to four of them; weak augmentation adds 0.1 to all.

# %%
from jemlib.theory import linear_contrastive_dynamics

x, noise = normal(48, 8), normal(48, 8)
strong = noise * torch.tensor([0.1] * 4 + [3.0] * 4, dtype=torch.float64)
first, second = 0.1 * normal(8, 8), 0.1 * normal(8, 8)
single = 0.3 * normal(8, 8)
runs = {
    "one layer, weak augmentation": linear_contrastive_dynamics(x, x + 0.1 * noise, [single], steps=300, dt=0.05),
    "one layer, strong augmentation": linear_contrastive_dynamics(x, x + strong, [single], steps=300, dt=0.05),
    "one layer, small start": linear_contrastive_dynamics(x, x + 0.1 * noise, [second @ first], steps=300, dt=0.05),
    "two layers, same product": linear_contrastive_dynamics(x, x + 0.1 * noise, [first, second], steps=300, dt=0.05),
}
figures.singular_values(runs)

# %% [markdown]
# Is the integration fine enough? Along a gradient flow the loss cannot rise. When the time step is too long it does.

# %% tags=["nbval-check-output"]
for name, flow in runs.items():
    verify(f"{name}: the loss never rises", flow.loss.diff().max() <= 1e-9)

# %% [markdown]
# Second panel: four singular values go to zero. Fourth panel: it starts from the same product as the third, and the small
# ones stay small. **Claim**, with the fifth singular value over the fourth for the augmentation, and the participation
# ratio of the final singular values for depth:

# %%
weak, strong_one, small_start, two_layers = (flow.singular_values[-1] for flow in runs.values())
claim(
    "collapse.augmentation-and-depth-lose-directions",
    weak=weak[4] / weak[3],
    strong=strong_one[4] / strong_one[3],
    one_layer=participation_ratio(small_start.diag()),
    two_layers=participation_ratio(two_layers.diag()),
)

# %% [markdown]
# How much of this carries over to deep nonlinear networks is not settled by a linear model. It shows that no bug and no
# bad loss is needed to lose directions.

# %% [markdown]
# ## Experiment: start a network from the trivial solution
#
# The lecture notes have a paragraph on **initialisation**. A network that starts at a trivial solution will never work,
# they say: the gradient is zero there, so it can never escape. You have seen for which objectives the gradient is zero.
# Now test the word *never* on real networks.
#
# `start_collapsed` replaces the last linear layer: its bias is 1 everywhere, and its weights are multiplied by `noise`.
# With 0 every image gets exactly the embedding $(1, \dots, 1)$. With 0.01 they differ a hundred times less than usual.
# Each method also gets its *ordinary* start: the control, with the same backbone, data, seed and number of steps.
# There is no batch norm behind the projector, because it would blow the noise up to variance 1.
#
# Two details keep the experiment clean. Training runs in float32: in bfloat16, 1 plus a small number is 1.
# And SimSiam with a predictor gets the noise only: the batch norm in its predictor would divide by a variance of zero.
#
# **Predict** for each row: will the directional spread rise?

# These are a dozen variants. They are scored on the *validation* split, and so are the claims: whoever compares variants
# on the test split chooses by it.
#
# The spread along the way is that of a batch, with batch norm in training mode. In evaluation mode batch norm would use
# running statistics, which start at 0 and 1 and need dozens of steps to become those of the activations.

# %%
from jemlib.course.lessons.lesson05_collapse.claims import (
    BATCHES,
    CONSTANTS,
    gradient_at_the_constant,
    in_training,
)
from jemlib.data import load
from jemlib.diagnose import centered_rankme
from jemlib.evaluate import backbone_knn, embeddings
from jemlib.experiments.removals import start_collapsed
from jemlib.methods import build
from jemlib.scales import adjusted_scale
from jemlib.train import fit

images = load(scale.data, "train", limit=scale.limit)
held_out = load(scale.data, "validation", limit=None if scale.name != "smoke" else 200)
steps = max(1, scale.total_steps(len(images)) // 6)
short = adjusted_scale(scale, steps=steps, warmup=min(scale.warmup, steps // 5), precision="float32")
few = held_out.subset(slice(0, 256))
bank = load(scale.data, "train", limit=min(4000, len(images)))  # for kNN: enough to compare runs


def run(name, noise=None, seed=0, **settings):
    """Train from the constant plus noise; None is the ordinary start. Returns the method and what was seen."""
    method = build(name, seed=seed, scale=scale, normalize_output=False, **settings)
    if noise is not None:
        start_collapsed(method, noise=noise)
    seen = ([0], [float(directional_spread(in_training(method, few)))])

    def record(method, row):
        seen[0].append(int(row["step"]))
        seen[1].append(float(directional_spread(in_training(method, few))))

    history = fit(method, images, scale=short, seed=seed, log_every=max(1, steps // 12), on_log=record)
    z = embeddings(method, held_out)
    row = {"std": float(z.std(dim=0).mean()), "spread": float(directional_spread(z)), "rank": float(centered_rankme(z))}
    return z, seen, {**row, "knn": backbone_knn(method.backbone, bank, held_out), "loss": history.rows[-1]["total"]}


starts = {
    "VICReg, ordinary": ("vicreg", None, {}),
    "VICReg, exact constant": ("vicreg", 0.0, {}),
    "VICReg, constant + noise": ("vicreg", 0.01, {}),
    "SimCLR, ordinary": ("simclr", None, {}),
    "SimCLR, exact constant": ("simclr", 0.0, {}),
    "SimCLR, constant + noise": ("simclr", 0.01, {}),
    "SimSiam without predictor, ordinary": ("simsiam", None, {"predictor": "none"}),
    "SimSiam without predictor, exact constant": ("simsiam", 0.0, {"predictor": "none"}),
    "SimSiam without predictor, constant + noise": ("simsiam", 0.01, {"predictor": "none"}),
    "SimSiam, constant + noise": ("simsiam", 0.01, {}),
}
ends, paths, outputs = {}, {}, {}
for label, (name, noise, settings) in starts.items():
    outputs[label], paths[label], ends[label] = run(name, noise, **settings)
print(f"{'':44s} raw std  spread   c.RankMe kNN    loss")
for label, row in ends.items():
    print(f"{label:44s} {row['std']:7.1e} {row['spread']:8.1e} {row['rank']:6.1f} {row['knn']:6.3f} {row['loss']:8.3f}")

# %%
figures.traces(paths, "directional spread")

# %% [markdown]
# Zeros lie on the lower edge. *c.RankMe* is RankMe of the centred embeddings: the directions along which images differ.
#
# Look at *SimCLR, exact constant*. Exact arithmetic says 0 for ever. In float32 the sums over the batch round, the
# rounded gradient is not exactly 0, and Adam divides by its size. Rounding is noise as well, and this constant is
# unstable. How soon it shows depends on the machine, so no claim rests on that row.
#
# The rows of VICReg owe their rest to luck as well. They start at 1 with a batch that is a power of two, and there the
# mean of equal numbers is exact. With another constant or another batch it is not:

# %% tags=["nbval-check-output"]
print("constant  batch   float32: mean - constant     float64")
for constant in (0.3, 1.0, 3.3, 7.0):
    for images_in_batch in (256, 250):
        off = [
            float(torch.full((images_in_batch,), constant, dtype=dtype).mean() - torch.tensor(constant, dtype=dtype))
            for dtype in (torch.float32, torch.float64)
        ]
        print(
            f"{constant:8.1f} {images_in_batch:6d} {'exact' if off[0] == 0 else f'{off[0]:.0e}':>26s} "
            f"{'exact' if abs(off[1]) == 0 else 'below 1e-14' if abs(off[1]) < 1e-14 else 'off':>12s}"
        )

# %% [markdown]
# So the claim about the exact constant is not measured by training in float32. It takes the gradient itself, in double
# precision, at four constants and two sizes of batch that are no powers of two. SIGReg stands beside the two, so that
# you see what the same measure says where there is a gradient.

# %%
for name in ("vicreg", "simsiam", "sigreg"):
    sizes = [gradient_at_the_constant(0, scale, name, c, count) for c in CONSTANTS for count in BATCHES]
    label = f"{name}, no predictor" if name == "simsiam" else name
    print(f"{label:24s} largest gradient norm of a parameter: {min(sizes):.0e} to {max(sizes):.0e}")

# %%
claim("collapse.exact-constant-stays")
claim(
    "collapse.noise-is-enough-to-leave",
    vicreg_start=paths["VICReg, constant + noise"][1][0],
    vicreg=ends["VICReg, constant + noise"]["spread"],
    simclr_start=paths["SimCLR, constant + noise"][1][0],
    simclr=ends["SimCLR, constant + noise"]["spread"],
)
claim(
    "collapse.leaving-is-not-arriving",
    noise=ends["VICReg, constant + noise"]["rank"],
    ordinary=ends["VICReg, ordinary"]["rank"],
)
claim(
    "collapse.constant-attracts-without-predictor",
    noise=ends["SimSiam without predictor, constant + noise"]["spread"],
    ordinary=ends["SimSiam without predictor, ordinary"]["spread"],
)

# %% [markdown]
# ### An anomaly: why does SimSiam without predictor rise first?
#
# Look at *SimSiam without predictor, constant + noise* again. It ends near the constant, as the theory says. But first
# its spread rises, a hundredfold and more. Without a predictor nothing in the loss wants that. What does it?
#
# Three short runs from that start, 64 images a batch: one with the learning rate at practically 0, one with SGD, one
# with Adam, as above. The spread is measured twice: in training mode and in evaluation mode.

# %%
trial_images = images.subset(slice(0, 2048))
trial_steps = 60 if scale.name != "smoke" else 8
trials = {
    "nothing learned": {"learning_rate": 1e-30},
    "SGD": {"optimizer": "sgd", "learning_rate": 0.05},
    "Adam": {},
}


def both_spreads(**changes):
    """Start, peak and end of the spread of SimSiam without predictor, in training mode and in evaluation mode."""
    trial_scale = adjusted_scale(short, batch_size=64, steps=trial_steps, warmup=trial_steps // 5, **changes)
    method = build("simsiam", seed=0, scale=scale, normalize_output=False, predictor="none")
    start_collapsed(method, noise=0.01)
    seen = []

    def record(method, row=None):
        seen.append([float(directional_spread(view(method, few))) for view in (in_training, embeddings)])

    record(method)
    fit(method, trial_images, scale=trial_scale, log_every=2, on_log=record)
    return [(values[0], max(values), values[-1]) for values in zip(*seen)]


print(f"{'':16s} {'training mode':>34s} {'evaluation mode':>34s}")
print(f"{'':16s}" + f"{'start':>13s}{'peak':>11s}{'end':>11s}" * 2)
for label, changes in trials.items():
    columns = both_spreads(**changes)
    print(f"{label:16s}" + "".join(f"{a:13.1e}{b:11.1e}{c:11.1e}" for a, b, c in columns))

# %% [markdown]
# <details><summary>What was measured, and what is not known</summary>
#
# Two things rise, and neither is the loss.
#
# 1. *Evaluation mode.* Nothing was learned in the first run, and its spread in evaluation mode rises by orders of
#    magnitude all the same. Running statistics catch up with the activations, and the same weights look different. In
#    training mode that run stands still. An earlier version of this lesson drew the curve in evaluation mode.
# 2. *Adam.* In training mode SGD falls from the start, as the curvature says. Adam rises, and falls later. It divides each
#    gradient by its own recent size. So its first steps have full length however small the gradient is, and a small
#    gradient of a noisy batch points mostly at random.
#
# That it is this division, and not something else in which Adam differs from SGD, was not tested. How high the peak is
# was measured and not derived. What the theory says is about gradient descent near the constant. It says nothing about
# how far an optimiser jumps before it gets there.
#
# </details>

# %% [markdown]
# Three lessons from one table.
#
# - The exact constant is a rest for these three, in exact arithmetic. Noise is enough to tell them apart.
# - Leaving is not arriving. From the constant VICReg grows along whichever directions come first. At these few steps it
#   has traded type 1 for type 2: compare the centred RankMe and kNN with the ordinary start. (The uncentred one would be
#   unfair: the constant is still there as an offset, and lowers it.) Read off SimCLR's rows as well.
# - A constant that attracts does not need a bad start. SimSiam without its predictor falls into it from anywhere.
#   The row *with* predictor is not explained by this lesson's theory, which has no predictor. The lesson on BYOL has one.
#
# So the lecture's advice is right in practice (do not start there), and its reason is not the one that matters.
#
# At scale `smoke` the runs have a step or two, and the tables above show nothing but that the code runs.

# %% [markdown]
# ### The recorded removals
#
# `jem collapse` takes from each method what keeps it from collapsing, trains, and notes which diagnostic sees it and
# which one does not. Running all of it takes long, so here is the record: three seeds of 300 steps each.

# %%
import json

from IPython.display import Markdown

from jemlib.course.machinery.exercises import repository_root
from jemlib.experiments.removals import table as removals_table

root = repository_root()
recorded = root / "results" / "collapse.json" if root else None
have = recorded is not None and recorded.is_file()
Markdown(removals_table(json.loads(recorded.read_text(encoding="utf-8"))) if have else "No record here.")

# %% [markdown]
# Read it critically. In every row the sighted number falls below its threshold while the blind one gives no alarm.
# "Blind: loss" means that the loss ended as low as that of the intact method, or lower: *better* by the only number that
# many people watch. SimSiam's intact run, without the batch norm at its output, has not learned in so few steps either:
# its kNN is at chance with and without the part. Those rows show a collapse; they do not show a loss of accuracy.
#
# *std_ratio* is the raw std over that of the intact run. Without VICReg's variance term, or SIGReg, embeddings shrink
# along all directions at once. Their directions need not coincide on the way, so no number of directions tells, and the
# raw std does. The rule is that of the other rows, a tenth, and it was fixed before it was measured.

# %% [markdown]
# ### The blind test
#
# Four short runs of methods that you know, shuffled. Three had a part removed. You see the spectrum, the raw std of
# each dimension, numbers, and the final value of the loss (of different losses, so compare it with care).
#
# Write down for A, B, C and D: healthy, type 1, type 2, or something else? And which number told you?
# (At scale `smoke` none of the four has learned to stand; the test needs `cpu`.)

# %%
hidden = {
    "VICReg, intact": outputs["VICReg, ordinary"],
    "VICReg without the covariance term": None,
    "VICReg without the variance term": None,
    "SimCLR without negatives": None,
}
removed = [("vicreg", {"covariance": 0.0}), ("vicreg", {"variance": 0.0}), ("simclr", {"negatives": False})]
final_losses = {"VICReg, intact": ends["VICReg, ordinary"]["loss"]}
for label, (name, settings) in zip(list(hidden)[1:], removed):
    hidden[label], _, row = run(name, **settings)
    final_losses[label] = row["loss"]
shuffled = torch.randperm(4, generator=torch.Generator().manual_seed(5)).tolist()
order = [list(hidden)[i] for i in shuffled]
panels = {letter: hidden[label] for letter, label in zip("ABCD", order)}
figures.blind_panels(panels, {letter: final_losses[label] for letter, label in zip("ABCD", order)})

# %% [markdown]
# Written down? Then ask your own rule, and reveal. The rule is asked twice, with two thresholds.

# %%
meaning = {0: "no collapse seen", 1: "type 1", 2: "type 2"}
for letter, label in zip("ABCD", order):
    z = panels[letter]
    said = [meaning[int(name_collapse(z, threshold=t))] for t in (0.1, 0.03)]
    limits = [f"{1 + t * (min(len(z) - 1, z.shape[1]) - 1):.1f}" for t in (0.1, 0.03)]
    print(
        f"{letter}: {label:36s} rule at 0.1: {said[0]:18s} at 0.03: {said[1]:18s} centred PR {float(participation_ratio(z - z.mean(0))):5.1f} (limits {limits[0]}, {limits[1]})"
    )

# %% [markdown]
# Did the threshold matter? With 256 dimensions (scale `cpu`) $t = 0.1$ asks for more than 26 directions, by the
# strictest count of the chain. A short run may be healthy and have fewer. A threshold belongs to one number, one width
# and one length of training. Calibrate it on a run that you trust, before you let it judge others.
#
# <details><summary>What to look for</summary>
#
# - *Without negatives* the directions coincide: normalised std and spread near 0, and a loss at its very best,
#   $-1/\tau$. Type 1. The raw std need not be small: the loss does not see lengths, and they still differ.
# - *Without covariance* a few eigenvalues carry everything, and the raw std of the dimensions is what the hinge asks
#   for. Type 2.
# - *Without variance* the embeddings shrink, in all directions at once. The raw std is tiny, and the loss is nearly 0.
#   But shrinking changes no direction: RankMe may come out *higher* than that of the healthy run, and the rule that you
#   wrote need not call it type 1. That is what it is all the same, on its way to the constant. The raw std and the
#   loss tell, but only to somebody who knows that the hinge should have held the std near 1.
#
# No rule replaces knowing which scale your loss fixes.
#
# </details>
#
# ### On photographs, and on a GPU
#
# ```
# jem train vicreg --data cifar10 --scale cpu            # downloads CIFAR-10 once
# jem train vicreg --data folder:PATH --scale cpu        # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train vicreg --scale gpu                           # ResNet-18, 200 epochs, one GPU
# jem collapse --help                                    # the removals of the table above
# ```
#
# `normalized_std` and `rankme` stand in the `metrics.json` of every run.

# %% [markdown]
# ## Widget: the landscape around the constant
#
# The loss along the size $s$ of the cloud $z = c + s\,(u + e)$, in closed form for many samples, beside jemlib's loss on
# a drawn cloud of 256 samples in 64 dimensions. (For InfoNCE the closed form takes lengths to be equal and similarities
# to be Gaussian, which holds for many dimensions.) The triangle is your start; it points downhill. Look for four things.
#
# 1. `vicreg, variance hinge`: move `augmentation` across 1. The hill becomes a valley.
# 2. `vicreg, std hinge`: it stays a hill for the choices here. Make `eps` small: the hill sharpens into a kink.
# 3. `barlow_twins`: the hill is as narrow as $\sqrt\epsilon$. Start beyond it, and the ground is flat: standardising has
#    removed the scale.
# 4. `info_nce`: augmentation lifts the far ends and leaves the top of the hill as it is.

# %%
figures.landscape_widget()

# %% [markdown]
# The same picture for readers on paper: a hill first, then a valley.

# %%
figures.landscape("vicreg, std hinge", augmentation=2.0, eps=1e-4, start=0.01)

# %%
figures.landscape("vicreg, variance hinge", augmentation=2.0, eps=1e-4, start=0.01)

# %% [markdown]
# ## What the sources got wrong
#
# The numbers are those of the course's list of errata.
#
# **E25 (lecture notes): a zero gradient is not the reason.** The notes say that a trivial start gives "a zero gradient and
# thus, can never escape". At the exact constant this holds for every loss that is blind to a common shift, or to length
# and rotation: contrastive ones included. With a predictor, and for SIGReg, it does not even hold. So it cannot explain
# why some methods are in danger and others are not. What tells them apart is stability: for InfoNCE,
# VICReg and Barlow Twins the constant is unstable, and a generic perturbation leaves. For BYOL, SimSiam without
# predictor, and DINO without centring it is a lowest point of the loss.

# %% tags=["nbval-check-output"]
at = trivial_start(6, 3, 1.0, dtype=torch.float64)
nudge = 1e-3 * normal(6, 3)
for name in ("info_nce", "vicreg", "barlow_twins"):
    verify(f"{name}: zero gradient at the constant", gradient_of(everything[name], at), 0)
    verify(f"{name}: yet a nudge lowers the loss", everything[name](at + nudge) < everything[name](at))
verify("BYOL: 0 at the constant, and no loss is below 0", everything["byol"](at), 0)
nudged = [at + 1e-3 * normal(6, 3) for _ in range(2)]
verify("views that differ by a nudge cost something", losses.byol(*nudged, *nudged).total > 0)
one_output = torch.zeros(6, 4, dtype=torch.float64)
one_output[:, 2] = 30.0
centre = torch.zeros(4, dtype=torch.float64)
verify(
    "DINO without centring: one output for all costs nothing",
    losses.dino([one_output] * 2, [one_output] * 2, centre).total,
    0,
)

# %% [markdown]
# **E25, second half.** The notes go on that otherwise the training dynamics are such that these methods "never converge".
# Taken literally, training would never end anywhere. What is meant: *the training dynamics keep them away from the
# collapsed basin*. And *basin* is the right word for BYOL and SimSiam only. With weight decay the constant attracts what
# starts near it, also with a predictor; the lesson on BYOL computes how near, in a linear model. There initialisation
# does matter, and the lecture's advice stands.
#
# **E16 (lecture notes): a covariance that is not centred.** With the notes' $C = H^\top H / N$ a constant output of ones
# satisfies the variance term. That is lesson 04's; here is only the witness.

# %% tags=["nbval-check-output"]
ones = torch.ones(8, 3, dtype=torch.float64)
verify("not centred: a constant has 'variance' 1", (ones.T @ ones / 8).diagonal(), 1)
verify("centred: it has none", covariance_spectrum(ones), 0)

# %% [markdown]
# **P13 (a common way to write uniformity): `torch.pdist` at collapse.** Its gradient is 0 where two points coincide, by
# convention, and there its second derivative comes out wrong. Automatic differentiation then calls the constant flat,
# while it is a hill. Squared distances from inner products have no such trouble.

# %% tags=["nbval-check-output"]


def uniformity_by_pdist(z):
    u = z / z.norm(dim=1, keepdim=True)
    return torch.pdist(u).square().mul(-2).exp().mean().log()


cloud = normal(6, 3)
verify("away from collapse both agree", uniformity_by_pdist(cloud), uniformity(cloud))
verify("at collapse pdist reports a flat ground", curvature(uniformity_by_pdist, at), 0)
verify("inner products report the hill, -8 / ((N-1) |c|^2)", curvature(uniformity, at)[0], -8 / (5 * 3))
by_differences = curvature(uniformity_by_pdist, at, step=1e-4)[0]
verify("and so do differences of pdist's own gradient", by_differences, -8 / (5 * 3), tolerance=1e-4)

# %% [markdown]
# ## Take-away
#
# - Type 1: all embeddings alike. Type 2: few directions. No single number sees both; log one for each.
# - The normalised std is blind to type 2, a centred rank to type 1, uncentred ranks are misled by an offset, and alignment
#   is best at collapse. The raw std sees type 1 only where the loss fixes the scale.
# - At the exact constant a loss that is blind to a common shift, or to length and rotation, has zero gradient. SIGReg has
#   one, and so have BYOL and SimSiam with a predictor: the same for all samples. Neither tells who is in danger.
# - Single precision is noise too: a "constant" may leave by rounding alone. Running statistics and Adam move what you
#   measure as well.
# - The curvature tells: negative for InfoNCE, VICReg, Barlow Twins and SIGReg; zero, and positive with augmentation, for
#   BYOL and SimSiam without a predictor.
# - Leaving the constant is not learning: what grows first may be few directions.
# - Strong augmentation and depth lose directions without any collapse of the loss.
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("05_collapse")

# %% [markdown]
# The table of objectives so far. The third column is this lesson's question.

# %%
objectives_so_far("simclr", "barlow_twins", "vicreg")

# %% [markdown]
# Next: lesson 06 keeps embeddings from the constant in another way, by asking that prototypes are used equally (SwAV).

# %% [markdown]
# ## Quiz
#
# **1.** A run with InfoNCE and a batch of $N$ shows a loss of $\log N$ for a hundred steps. What do you suspect?
#
# <details><summary>Answer</summary>
#
# That is the value at the constant: all similarities are alike, and the softmax is uniform. The constant is a hill, so
# look for what keeps the ball there: a start that is too close to it, low precision that rounds the differences away, or
# a learning rate that is practically zero.
#
# </details>
#
# **2.** Loss near its minimum, alignment 0.000, kNN at chance. Which methods can show this, and what do you check?
#
# <details><summary>Answer</summary>
#
# Those whose lowest loss contains the constant: BYOL, SimSiam, DINO without centring, or anything that lost its
# repulsive term. Check the directional spread or the normalised std. Alignment 0 is not good news by itself.
#
# </details>
#
# **3.** RankMe fell from 60 to 20 after you added a bias to the last layer. Are directions lost?
#
# <details><summary>Answer</summary>
#
# Not necessarily. RankMe does not centre, and an offset is one strong direction that takes a share of the spectrum away
# from the others. Look at the spectrum of the covariance, which centres.
#
# </details>
#
# **4.** Why does VICReg with a hinge on the std leave the constant for any augmentation, and with a hinge on the variance
# only for some?
#
# <details><summary>Answer</summary>
#
# Both the invariance term and the variance are of second order in the size $s$, so it depends on their coefficients: the
# augmentation decides. The std is of first order, down to $s \approx \sqrt\epsilon$; below that the coefficient of its
# second order is large, $1/2\sqrt\epsilon = 50$, which the invariance term with equal weight does not reach.
#
# </details>
#
# **5.** Every direction of the constant of InfoNCE along $c$ itself has curvature 0. May a network drift there?
#
# <details><summary>Answer</summary>
#
# Yes: moving along $c$ changes lengths, and cosine similarity does not see lengths. It does no harm to the loss, but it
# makes the hill flatter: the curvature goes with $1/|c|^2$.
#
# </details>
#
# **6.** In the linear model a direction has signal variance 1 and augmentation variance 4. What happens to it at small
# $W$, with anchors as negatives, and with other views as negatives?
#
# <details><summary>Answer</summary>
#
# With anchors $X = 2 \cdot 1 - 4 < 0$: the direction shrinks. With other views the augmentation cancels and
# $X = 2 \cdot 1 > 0$: it grows. Per sample, up to chance.
#
# </details>

# %% [markdown]
# ## References
#
# - L. Jing, P. Vincent, Y. LeCun, Y. Tian: *Understanding Dimensional Collapse in Contrastive Self-supervised Learning*,
#   ICLR 2022, arXiv:2110.09348. The linear model, strong augmentation, depth. The formulas were derived again here.
# - Y. Tian, X. Chen, S. Ganguli: *Understanding Self-Supervised Learning Dynamics without Contrastive Pairs*, ICML 2021,
#   arXiv:2102.06810. Why a predictor with stop-gradient need not collapse, and the basin of collapse (the lesson on BYOL).
# - X. Chen, K. He: *Exploring Simple Siamese Representation Learning*, CVPR 2021, arXiv:2011.10566. The normalised std.
# - Q. Garrido, R. Balestriero, L. Najman, Y. LeCun: *RankMe: Assessing the Downstream Performance of Pretrained
#   Self-Supervised Representations by Their Rank*, ICML 2023, arXiv:2210.02885.
# - T. Wang, P. Isola: *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere*, ICML 2020, arXiv:2005.10242. Alignment and uniformity.
# - A. Bardes, J. Ponce, Y. LeCun: *VICReg*, ICLR 2022, arXiv:2105.04906. Variance and covariance terms: eq. 1 to 6.
# - A. Canziani, J. Zhu, scribe S. C. Akula: *Joint Embedding Methods - Regularised*, lecture notes, 2022. The two types of
#   collapse and the paragraph on initialisation.
