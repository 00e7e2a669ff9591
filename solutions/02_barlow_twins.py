# %% [markdown] edition="2"
# # 02 · Barlow Twins: make the cross-correlation matrix the identity
#
# Two views of one image go through one network. Barlow Twins asks two things of the embeddings that come out.
# Each dimension should say the same about both views. And no two dimensions should say the same thing.
# Both requests fit into one matrix. You derive that matrix, implement it, train a network with *your* loss, and then
# break it on purpose.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. *standardise* embeddings over the batch, and say why it is the batch and not the features (exercise 2.1);
# 2. *compute* the cross-correlation matrix, by loops and as one matrix product (exercises 2.2 and 2.3);
# 3. *write* both terms of the loss and the loss itself (exercises 2.4, 2.5 and 2.6);
# 4. *derive* its gradient, through the standardisation too (exercises 2.7 and 2.8);
# 5. *compare* the loss with InfoNCE, term by term, in one notation;
# 6. *bound* the loss from below when there are more dimensions than samples (exercise 2.9);
# 7. *repair* a training step that runs and learns nothing (exercise 2.10);
# 8. *measure* whether dimensions repeat each other (exercise 2.11), remove each term, and explain what goes wrong.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (matrix products, eigenvalues), some PyTorch (tensors, `backward`), and the picture of
# lesson 00: an image, two random views of it, an encoder that maps each view to an embedding.
# Nothing else from the course is required. The lesson runs on a laptop without a GPU and without a network.
#
# **Time.** Two to two and a half hours, with reading and runs: the ladder and the loss 50 minutes, the gradient 40,
# the floor 15, the experiments 40 (the runs take a few minutes of it). Stop after any section; `jem progress` in a
# terminal shows what is done.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(standardize)` gives one hint at a time, and `solution(standardize)` shows the answer.

# %%
import torch

from jemlib import plots
from jemlib.course import check, claim, hint, objectives_so_far, recorded, recorded_claims, solution, verify
from jemlib.train import current_scale

scale = current_scale()
print(f"Scale {scale.name}. Set the environment variable JEMLIB_SCALE to smoke, cpu or gpu to change it.")

# %% [markdown]
# ## Notation
#
# {{symbols: N D Z_A Z_B Z_hat eps C lambda L_bt G mu_eig tau}}
#
# Indices: $b$ counts samples, $i$ and $j$ count dimensions. A hat means *standardised*. Row $b$ of both views belongs
# to image $b$.

# %% [markdown]
# ## Ladder: from hand numbers to the library
#
# Each step goes the same way: small numbers that you can check by hand, then a loop that mirrors the sum, then one
# line of tensor algebra, then the library. Here are the small numbers: $N = 4$ samples, $D = 2$ dimensions.

# %%
h = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
print(h)
print("mean over the batch:", h.mean(dim=0).tolist())
print("inner product of the two columns:", float(h[:, 0] @ h[:, 1]))

# %% [markdown]
# Both columns have mean 0 and variance 1, and they are uncorrelated. This batch is perfect in the eyes of Barlow Twins.
# Any distance from it should cost something.

# %% [markdown]
# ### Standardise over the batch
#
# A correlation must not depend on the units of a dimension. So we remove the mean and the scale of each dimension,
# over the batch:
#
# $$\hat z_{bi} = \frac{z_{bi} - \mu_i}{\sqrt{\sigma_i^2 + \epsilon}}, \qquad
# \mu_i = \frac{1}{N}\sum_b z_{bi}, \qquad \sigma_i^2 = \frac{1}{N}\sum_b (z_{bi} - \mu_i)^2 .$$
#
# The variance is the biased one: divide by $N$, not by $N-1$. This is what batch normalisation does during training.
#
# {{exercise:standardize}}
#
# Write `standardize(z, eps)`. Input and output have shape $(N, D)$.


# %% exercise="standardize"
def standardize(z, eps=1e-5):
    """Centre each dimension over the batch and divide by its standard deviation."""
    ### BEGIN SOLUTION
    centred = z - z.mean(dim=0)
    variance = centred.square().mean(dim=0)
    return centred / torch.sqrt(variance + eps)
    ### END SOLUTION


# %% check="standardize"
standardize = check(standardize)

# %% [markdown]
# Verify: shift and stretch each dimension as you like, and the result stays the same.

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(0)
z = torch.randn(6, 3, generator=generator, dtype=torch.float64)
stretched = z * torch.tensor([2.0, 0.1, 30.0], dtype=torch.float64) + 5
verify("the mean over the batch is 0", standardize(z, 0.0).mean(dim=0), 0)
verify("the biased variance is 1", standardize(z, 0.0).var(dim=0, correction=0), 1)
verify("a shift and a stretch of each dimension change nothing", standardize(z, 0.0), standardize(stretched, 0.0))

# %% [markdown]
# ### The cross-correlation matrix, as a loop
#
# $$C_{ij} = \frac{1}{N}\sum_b \hat z^A_{bi}\, \hat z^B_{bj} .$$
#
# Entry $(i, j)$ compares dimension $i$ of view A with dimension $j$ of view B, over the samples.
# It lies between $-1$ and $1$ and has no unit.
#
# {{exercise:cross_correlation_loop}}
#
# Write the sum as you read it: three nested loops over $i$, $j$ and $b$. Slow is fine here.


# %% exercise="cross_correlation_loop"
def cross_correlation_loop(z_a, z_b, eps=1e-5):
    """The (D, D) cross-correlation matrix, by loops over i, j and b."""
    ### BEGIN SOLUTION
    a, b = standardize(z_a, eps), standardize(z_b, eps)
    n, d = a.shape
    c = torch.zeros(d, d, dtype=a.dtype)
    for i in range(d):
        for j in range(d):
            for sample in range(n):
                c[i, j] = c[i, j] + a[sample, i] * b[sample, j] / n
    return c
    ### END SOLUTION


# %% check="cross_correlation_loop"
cross_correlation_loop = check(cross_correlation_loop)

# %% [markdown]
# On the hand numbers: the batch against itself gives the identity. With the two columns of view B swapped, the ones
# leave the diagonal.

# %% tags=["nbval-check-output"]
print(cross_correlation_loop(h, h, 0.0))
print(cross_correlation_loop(h, h.flip(1), 0.0))

# %% [markdown]
# ### The same matrix in one line
#
# A sum over $b$ of products $\hat z^A_{bi} \hat z^B_{bj}$ is a matrix product: $C = \frac{1}{N} \hat Z_A^\top \hat Z_B$.
# The transpose stands on the first factor. Then samples meet samples, and what remains is dimensions by dimensions.
#
# {{exercise:cross_correlation}}


# %% exercise="cross_correlation"
def cross_correlation(z_a, z_b, eps=1e-5):
    """The (D, D) cross-correlation matrix, as one matrix product."""
    ### BEGIN SOLUTION
    return standardize(z_a, eps).T @ standardize(z_b, eps) / len(z_a)
    ### END SOLUTION


# %% check="cross_correlation"
cross_correlation = check(cross_correlation)

# %% tags=["nbval-check-output"]
z_a = torch.randn(7, 3, generator=generator, dtype=torch.float64)
z_b = z_a + 0.5 * torch.randn(7, 3, generator=generator, dtype=torch.float64)
verify("loop and product agree", cross_correlation_loop(z_a, z_b), cross_correlation(z_a, z_b))
verify("swapping the views transposes C", cross_correlation(z_b, z_a), cross_correlation(z_a, z_b).T)
verify("no entry is beyond 1", cross_correlation(z_a, z_b).abs().max() <= 1)

# %% [markdown]
# ## Derivation: the two terms
#
# What should $C$ be? Its diagonal tells how well a dimension agrees with itself across views: we want $C_{ii} = 1$.
# Off the diagonal it tells how much dimension $j$ repeats what dimension $i$ says: we want $C_{ij} = 0$.
# So the target is the identity matrix. The loss is the squared distance to it, with a weight on the second part:
#
# $$L = \underbrace{\sum_i (1 - C_{ii})^2}_{\text{invariance}} +
# \lambda \underbrace{\sum_i \sum_{j \neq i} C_{ij}^2}_{\text{redundancy}} .$$
#
# Both are sums, not means. There are $D$ diagonal entries and $D(D-1)$ others, so the right $\lambda$ depends on $D$.
#
# {{exercise:invariance_term}}


# %% exercise="invariance_term"
def invariance_term(c):
    """sum_i (1 - C_ii)^2 for a (D, D) matrix."""
    ### BEGIN SOLUTION
    return (1 - c.diagonal()).square().sum()
    ### END SOLUTION


# %% check="invariance_term"
invariance_term = check(invariance_term)

# %% [markdown]
# {{exercise:redundancy_term}}


# %% exercise="redundancy_term"
def redundancy_term(c):
    """sum_i sum_{j != i} C_ij^2 for a (D, D) matrix."""
    ### BEGIN SOLUTION
    return c.square().sum() - c.diagonal().square().sum()
    ### END SOLUTION


# %% check="redundancy_term"
redundancy_term = check(redundancy_term)

# %% [markdown]
# Verify on a matrix whose terms you can add up in your head.

# %% tags=["nbval-check-output"]
c = torch.tensor([[1.0, 0.5], [-0.5, 0.0]], dtype=torch.float64)
verify("the invariance is 0^2 + 1^2 = 1", invariance_term(c), 1)
verify("the redundancy is 2 x 0.5^2 = 0.5", redundancy_term(c), 0.5)

# %% [markdown]
# {{exercise:barlow_twins}}
#
# Return three scalars: the total, the invariance and the redundancy (the last two without weights). A tuple will do.


# %% exercise="barlow_twins"
def barlow_twins(z_a, z_b, lambd=5e-3):
    """(total, invariance, redundancy) of two views, each (N, D)."""
    ### BEGIN SOLUTION
    c = cross_correlation(z_a, z_b)
    invariance, redundancy = invariance_term(c), redundancy_term(c)
    return invariance + lambd * redundancy, invariance, redundancy
    ### END SOLUTION


# %% check="barlow_twins"
barlow_twins = check(barlow_twins)

# %% [markdown]
# Five batches whose loss you can say before you run the cell. Cover the right column, and guess.

# %% tags=["nbval-check-output"]
copies = h[:, :1].expand(-1, 2)
constant = torch.full((4, 2), 3.0, dtype=torch.float64)
batches = {
    "perfect": (h, h),
    "columns of B swapped": (h, h.flip(1)),
    "B is minus A": (h, -h),
    "two copies of one dimension": (copies, copies),
    "everything constant": (constant, constant),
}
for name, (view_a, view_b) in batches.items():
    total = float(barlow_twins(view_a, view_b, 0.01)[0])
    print(f"{name:28s} {total:.4f}")

# %% [markdown]
# The third row is a hair below 8, because $\epsilon$ keeps every $|C_{ii}|$ a hair below 1.
# The last row is complete collapse: all embeddings coincide. Nothing correlates with anything, $C = 0$, and $L = D$.
# That is a high value, but the gradient there is exactly zero. Lesson 05 shows why a network still gets away from it.
#
# ## Derivation: what the loss cannot see
#
# Whatever leaves $C$ alone leaves the loss alone. Standardising removes shift and scale of each dimension, in each view
# by itself. Flipping the sign of a dimension in *both* views changes $C_{ij}$ to $\pm C_{ij}$, and the diagonal keeps
# its sign. Reordering dimensions in both views reorders the entries.

# %% tags=["nbval-check-output"]
from jemlib import losses

order = torch.tensor([2, 0, 1])
signs = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)


def loss_of(view_a, view_b):
    return losses.barlow_twins(view_a, view_b, 0.1, eps=0.0).total


reference = loss_of(z_a, z_b)
verify("each view may have its own shift and scale", loss_of(3 * z_a + 1, 0.2 * z_b - 7), reference)
verify("signs may be flipped in both views", loss_of(z_a * signs, z_b * signs), reference)
verify("dimensions may be reordered in both views", loss_of(z_a[:, order], z_b[:, order]), reference)
verify("signs flipped in one view only cost something", loss_of(z_a * signs, z_b) > reference)

# %% [markdown]
# ## Predict, then run: a rotation
#
# InfoNCE with cosine similarity does not change when one rotation is applied to all embeddings of both views.
#
# **Question.** Does Barlow Twins? Write down *yes* or *no* and one reason, then run the cell.

# %% tags=["nbval-check-output"]
rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))


def change_by_rotation(loss):
    return bool(torch.isclose(loss(z_a @ rotation, z_b @ rotation), loss(z_a, z_b)))


print("InfoNCE unchanged:", change_by_rotation(lambda a, b: losses.info_nce(a, b).total))
print("Barlow Twins unchanged:", change_by_rotation(loss_of))

# %% [markdown]
# <details><summary>Why</summary>
#
# Cosine similarity compares whole rows, and a rotation keeps all angles between rows. Barlow Twins compares columns, one
# by one. A rotation mixes columns, and mixed columns have other variances, so they are standardised differently.
# The coordinate axes mean something to Barlow Twins; to InfoNCE they do not.
#
# </details>

# %% [markdown]
# ## Derivation: the gradient
#
# Three steps lead from the loss back to the embeddings: to $C$, to the standardised values, to the raw values. The last
# one is new. Let some loss have the gradient $\hat g_{bi}$ with respect to $\hat z_{bi}$. What is it with respect to
# $z_{bi}$? Take one dimension and leave out $i$. Every $\hat z_{b'}$ depends on $z_b$ in three ways: directly, through
# $\mu$, and through $\sigma$. With $\partial\mu/\partial z_b = 1/N$ and
# $\partial\sigma/\partial z_b = \hat z_b/N$,
#
# $$\frac{\partial \hat z_{b'}}{\partial z_b} = \frac{1}{\sigma}\Big[\mathbb 1_{b=b'} - \frac1N -
# \frac{\hat z_{b'}\,\hat z_b}{N}\Big] .$$
#
# The last part comes from the quotient: $-(z_{b'} - \mu)/\sigma^2$ times $\hat z_b/N$. Now multiply by
# $\hat g_{b'}$ and sum over $b'$. That is your formula. In it, two directions are taken away from $\hat g$: the ones
# that standardising cannot see, the shift and the scale of a dimension. It is also the backward pass of batch
# normalisation.
#
# {{exercise:standardize_gradient}}
#
# Write `standardize_gradient(g, z)`: `g` is $\hat g$, and both are $(N, D)$. Use $\epsilon = 0$ and no automatic
# differentiation.


# %% exercise="standardize_gradient"
def standardize_gradient(g, z):
    """The gradient for z, from the gradient g for the standardised values: (N, D)."""
    ### BEGIN SOLUTION
    centred = z - z.mean(dim=0)
    sigma = centred.square().mean(dim=0).sqrt()
    a = centred / sigma
    return (g - g.mean(dim=0) - a * (a * g).mean(dim=0)) / sigma
    ### END SOLUTION


# %% check="standardize_gradient"
standardize_gradient = check(standardize_gradient)

# %% tags=["nbval-check-output"]
g = torch.randn(7, 3, generator=generator, dtype=torch.float64)
leaf = z_a.clone().requires_grad_()
(g * losses.standardize(leaf, 0.0)).sum().backward()
verify("it is what backward computes", standardize_gradient(g, z_a), leaf.grad)
verify("a common shift of g is taken away", standardize_gradient(g + 5, z_a), leaf.grad)
a_hat = losses.standardize(z_a, 0.0)
verify("and so is the part along the standardised values", standardize_gradient(g + 5 * a_hat, z_a), leaf.grad)

# %% [markdown]
# The other two steps are short. Let $G = \partial L / \partial C$. Differentiating the two sums gives
#
# $$G_{ii} = -2 (1 - C_{ii}), \qquad G_{ij} = 2 \lambda C_{ij} \quad (i \neq j) .$$
#
# And $C$ is linear in $\hat Z_A$, so $\hat G = \partial L / \partial \hat Z_A = \frac{1}{N} \hat Z_B G^\top$:
# in components, $\hat g_{bi} = \frac1N\sum_j G_{ij}\,\hat z^B_{bj}$.
#
# {{exercise:barlow_twins_gradient}}
#
# Put the three steps together: the gradient with respect to `z_a`, shape $(N, D)$, without automatic differentiation.
# Use $\epsilon = 0$.


# %% exercise="barlow_twins_gradient"
def barlow_twins_gradient(z_a, z_b, lambd=5e-3):
    """dL/dz_a in closed form, (N, D)."""
    ### BEGIN SOLUTION
    n = len(z_a)
    a, b = standardize(z_a, 0.0), standardize(z_b, 0.0)
    c = a.T @ b / n
    g_c = 2 * lambd * c
    g_c = g_c - torch.diag(g_c.diagonal()) - 2 * torch.diag(1 - c.diagonal())
    g_a = b @ g_c.T / n
    return standardize_gradient(g_a, z_a)
    ### END SOLUTION


# %% check="barlow_twins_gradient"
barlow_twins_gradient = check(barlow_twins_gradient)

# %% [markdown]
# Two identities follow. For each dimension, the gradient sums to zero over the batch, because a common shift changes
# nothing. And it is orthogonal to the centred dimension, because a common stretch changes nothing.
# Smaller embeddings have a larger gradient: ten times smaller, ten times larger.

# %% tags=["nbval-check-output"]
gradient = barlow_twins_gradient(z_a, z_b, 0.1)
leaf = z_a.clone().requires_grad_()
losses.barlow_twins(leaf, z_b, 0.1, eps=0.0).total.backward()
verify("the closed form is what backward computes", gradient, leaf.grad)
verify("it sums to zero over the batch", gradient.sum(dim=0), 0)
verify("it is orthogonal to the centred dimension", ((z_a - z_a.mean(dim=0)) * gradient).sum(dim=0), 0)
verify("ten times smaller, ten times larger", barlow_twins_gradient(z_a / 10, z_b, 0.1), 10 * gradient)

# %% [markdown]
# ## Derivation: beside InfoNCE, term by term
#
# Write both losses with inner products. Below, $\langle u, v\rangle_b$ sums over the batch and $\langle u, v\rangle_i$
# over the dimensions. Rows and columns change places:
#
# | | InfoNCE, in the form that Barlow Twins compares with | Barlow Twins |
# | --- | --- | --- |
# | compares | row $b$ of A with row $b'$ of B | column $i$ of A with column $j$ of B |
# | normalises | each row, over the features | each column, over the batch |
# | same with same | $-\sum_b \langle z_b^A, z_b^B\rangle_i / \tau$: similarity | $\sum_i (1 - C_{ii})^2$: invariance |
# | same with others | $\sum_b \log \sum_{b' \ne b} e^{\langle z_b^A, z_{b'}^B\rangle_i/\tau}$: contrast | $\sum_i\sum_{j\ne i} C_{ij}^2$: redundancy |
# | spreads out | samples on the sphere | dimensions, to be uncorrelated |
# | knob | $\tau$: how much the nearest others count | $\lambda$: how much redundancy counts |
# | size of the matrix | $N \times N$ | $D \times D$ |
#
# The first form leaves the positive out of the logarithm (`decoupled_info_nce`). The usual InfoNCE has it inside
# (`info_nce`). For each sample the two are linked by $L_{\text{usual}} = \log(1 + e^{L_{\text{decoupled}}})$.
#
# The cell checks the exchange of rows and columns: the matrix of InfoNCE is the matrix of Barlow Twins of the transposed
# batch, once rows and columns are normalised alike.

# %% tags=["nbval-check-output"]
import torch.nn.functional as F

# Rows are centred over their features here, so that a cosine of rows is a correlation of columns of the transpose.
rows_a, rows_b = z_a - z_a.mean(dim=1, keepdim=True), z_b - z_b.mean(dim=1, keepdim=True)
similarity = F.normalize(rows_a, dim=1) @ F.normalize(rows_b, dim=1).T
correlation = cross_correlation(rows_a.T, rows_b.T, 0.0)
verify("both are the same matrix, samples by samples", similarity, correlation)
per_sample = [losses.decoupled_info_nce(z_a, z_b, 0.3).total, losses.info_nce(z_a, z_b, 0.3).total]
scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / 0.3
others = scores.masked_fill(torch.eye(7, dtype=torch.bool), float("-inf")).logsumexp(dim=1) - scores.diagonal()
verify("the mean of the decoupled form", others.mean(), per_sample[0])
verify("the mean of log(1 + e^decoupled) is InfoNCE", F.softplus(others).mean(), per_sample[1])

# %% [markdown]
# ## Widget: what the loss is made of
#
# Embeddings without any structure: view A is Gaussian noise, view B is A plus a little more noise. Move $\lambda$, the
# batch size $N$ and the dimension $D$, and look for three things.
#
# 1. The off-diagonal entries are not zero. Chance alone gives them variance $1/N$, so the redundancy is about $D^2/N$.
# 2. When $D$ doubles, the number of off-diagonal entries grows fourfold. Keep the balance: halve $\lambda$.
# 3. When $D > N - 1$, a third bar appears: a floor under the redundancy of identical views. The next section derives
#    it.
#
# Below the widget is the same picture for readers on paper, at one setting with a floor: $N = 64$, $D = 256$.

# %%
from jemlib.course.lessons.lesson02_barlow_twins import figures

figures.budget_widget()

# %% alt="Left: C with a red diagonal on pale noise. Middle: off-diagonal entries follow the bell of chance, variance 1/N. Right: bars of both terms, and the floor, three quarters as high as the redundancy."
figures.budget(lambd=0.004, batch_size=64, dimensions=256, noise=0.3)

# %% [markdown]
# ## Derivation: the rank floor
#
# A batch of $N$ samples, centred, spans at most $N - 1$ directions. Let the two views be identical, and let $r$ be the
# rank of $\hat Z$. Then $C$ is symmetric, has ones on its diagonal, trace $D$, and at most $r$ eigenvalues $\mu_k$ that
# are not zero. The sum of squared entries of a symmetric matrix is the sum of its squared eigenvalues.
#
# {{exercise:redundancy_of_eigenvalues}}
#
# Write the redundancy $\sum_{i \ne j} C_{ij}^2$ of such a matrix as a function of its $D$ eigenvalues alone.


# %% exercise="redundancy_of_eigenvalues"
def redundancy_of_eigenvalues(mu):
    """sum_{i != j} C_ij^2 of a symmetric C with ones on its diagonal, from its eigenvalues mu, (D,)."""
    ### BEGIN SOLUTION
    return mu.square().sum() - len(mu)
    ### END SOLUTION


# %% check="redundancy_of_eigenvalues"
redundancy_of_eigenvalues = check(redundancy_of_eigenvalues)

# %% [markdown]
# For a fixed sum $\sum_k \mu_k = D$ over $r$ eigenvalues, the squares are smallest when all are equal, $\mu_k = D/r$:
#
# $$\sum_{i \ne j} C_{ij}^2 = \sum_k \mu_k^2 - D \ \ge\ \frac{D^2}{r} - D .$$
#
# This is Welch's bound. With $D > N - 1$ the loss of identical views cannot reach zero. A *tight frame* attains the
# floor: $D$ columns of equal length in $N - 1$ dimensions that spread evenly over all of them. The cell builds one from
# cosines and sines.
#
# **A little lower.** This floor takes $C_{ii} = 1$ for granted. Two views that differ can go below it. Any $C$ has rank
# $N - 1$ at most, and with $t$ for the mean of its diagonal, Cauchy-Schwarz gives
# $\sum_{i,j} C_{ij}^2 \ge (Dt)^2/(N-1)$. For $\lambda < 1$ the rest is best when all $C_{ii}$ are equal, so
#
# $$L \ \ge\ D(1-t)^2 + \lambda F t^2, \qquad F = \frac{D^2}{N-1} - D ,$$
#
# which is smallest at $t = 1/(1 + \lambda F/D)$. There it is $\lambda F\,t$: giving up a little invariance saves more
# redundancy. The cell lets two free views descend, and they stop exactly there.

# %% tags=["nbval-check-output"]
n, d = 5, 16
# Orthonormal columns orthogonal to the vector of ones: a basis of the centred space, n - 1 directions.
basis = torch.linalg.qr(torch.cat([torch.ones(n, 1), torch.eye(n)[:, : n - 1]], dim=1).double())[0][:, 1:]
# A harmonic tight frame in n - 1 = 4 dimensions: two frequencies of cosine and sine, d columns of equal length.
angles = 2 * torch.pi * torch.arange(d, dtype=torch.float64) / d
frame = torch.stack([angles.cos(), angles.sin(), (2 * angles).cos(), (2 * angles).sin()])
tight = basis @ frame
c = cross_correlation(tight, tight, 0.0)
floor = d**2 / (n - 1) - d
print(f"floor D^2/(N-1) - D = {floor:.0f}")
verify("a tight frame attains the floor", redundancy_term(c), floor)
verify("its eigenvalues say the same", redundancy_of_eigenvalues(torch.linalg.eigvalsh(c)), floor)
free = [torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(100)]
above = [redundancy_term(cross_correlation(z, z, 0.0)) > floor for z in free]
verify("100 random batches stay above it", all(above))


def lowest(n, d, lambd):
    """lambda F, the floor of identical views, and lambda F t, that of any two views."""
    weighted = lambd * (d**2 / (n - 1) - d)
    return weighted, weighted / (1 + weighted / d)


views = [torch.randn(n, d, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)]
descent = torch.optim.LBFGS(
    views, max_iter=300, tolerance_grad=1e-10, tolerance_change=0, line_search_fn="strong_wolfe"
)


def evaluated():
    descent.zero_grad()
    total = losses.barlow_twins(*views, 0.2, eps=0.0).total
    total.backward()
    return total


descent.step(evaluated)
identical, different = lowest(n, d, 0.2)
verify("two free views stop at lambda F t", evaluated(), different, tolerance=1e-6)
verify("below the floor of identical views", different < identical)
print(
    "N = 64, D = 512, lambda = 0.0051: {:.2f} for identical views, {:.2f} for any two".format(*lowest(64, 512, 0.0051))
)

# %% [markdown]
# ## Experiment: watch the matrix become the identity
#
# Now train. The data are `motifs`: generated images of ten patterns whose other factors (hues, position, rotation, noise
# and more) are drawn at random. The class is the pattern, and no label is used in training. While we choose and compare
# we score on *validation* images, `held_out`; the test split is for figures that are reported once, at the end.

# %% alt="Ten images of different patterns, and below each two views of it: cropped, recoloured, some mirrored or blurred."
from jemlib.data import load
from jemlib.views import denormalize, make_views

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
shown = images.pixels[:10]
pair = make_views(shown, "vicreg", generator=torch.Generator().manual_seed(0))
plots.image_grid([shown, denormalize(pair[0]), denormalize(pair[1])], ["image", "view A", "view B"])

# %% [markdown]
# ### A step that runs and learns nothing
#
# Before the real network, the smallest one: linear, $z = xW$, on pixels averaged over blocks. Somebody wrote its step
# like this: the rows of both views below each other, one product for all of them, then apart again. It runs. The loss is
# a number, gradients flow, nothing warns. Look at its symptom.

# %% alt="The cross-correlation between views after training with the broken step: the diagonal is as pale as the rest."
import torch.nn.functional as F


def broken_loss(x, w, lambd=5e-3):
    z = x @ w
    return barlow_twins(z[0::2], z[1::2], lambd)


def train_linear(loss, steps=150, dimensions=16):
    """Full batches of 512 pairs through z = x W; the terms before and after, and C between the two views."""
    views = make_views(images.pixels[:512], "vicreg", generator=torch.Generator().manual_seed(2))
    x = torch.cat([F.avg_pool2d(view, 4).flatten(1) for view in views]).double()  # view A of all, then view B
    w = torch.randn(x.shape[1], dimensions, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    w = (w / x.shape[1] ** 0.5).requires_grad_()
    optimizer = torch.optim.Adam([w], lr=0.01)
    for step in range(steps + 1):
        total, invariance, redundancy = loss(x, w, 0.05)
        if step in (0, steps):
            print(f"step {step:3d}: invariance {float(invariance):6.2f}, redundancy {float(redundancy):6.2f}")
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    with torch.no_grad():
        z_a, z_b = (x @ w).chunk(2)
        return cross_correlation(z_a, z_b)


broken = train_linear(broken_loss)
plots.matrices([broken], ["broken step"])

# %% [markdown]
# The curve of this loss would look healthy: the invariance falls. But compare two things. It is a sum over 16
# dimensions, $(1 - C_{ii})^2$ each, and at step 0 it is near 16: what is paired there has nothing in common, although
# two views of an image have much in common even for an untrained network. And the matrix, which pairs the two views of
# the *same* images, has no diagonal after training. The step learned its wrong pairs by heart.
#
# {{exercise:paired_loss}}
#
# `x` is $(2N, P)$: the $N$ rows of view A, then those of view B. `w` is $(P, D)$. Write the step that
# `broken_loss` should have been, with your `barlow_twins`.


# %% exercise="paired_loss"
def paired_loss(x, w, lambd=5e-3):
    """(total, invariance, redundancy) of a linear network on two views that stand below each other."""
    ### BEGIN SOLUTION
    z = x @ w
    n = len(z) // 2
    return barlow_twins(z[:n], z[n:], lambd)
    ### END SOLUTION


# %% check="paired_loss"
paired_loss = check(paired_loss)

# %% alt="Two matrices between the views: without a visible diagonal for the broken step, with a red one for the right step."
plots.matrices([broken, train_linear(paired_loss)], ["broken step", "your step"])

# %% [markdown]
# ### Your loss trains a network
#
# Now the convolutional network, with the function that you wrote. The loop calls `record` every few steps. It computes
# $C$ on the same 512 pairs of views each time. Then two pictures: the first 48 dimensions of $C$ at four moments (red is
# $+1$, white is $0$, blue is $-1$), and the loss with its two terms over the steps.

# %%
from jemlib.methods import build
from jemlib.nets import evaluating
from jemlib.train import fit

probe = make_views(images.pixels[:512], "vicreg", generator=torch.Generator().manual_seed(1))
steps = scale.steps or 2000
log_every = max(1, steps // 70)
snapshots = {}


def record(method, row):
    with evaluating(method):
        device = next(method.parameters()).device
        z_a, z_b = (method.embed(view.to(device)).float().cpu() for view in probe)
    snapshots[int(row["step"])] = cross_correlation(z_a, z_b)


method = build("barlow_twins", scale=scale, loss=barlow_twins)
print(f"This network is trained by {method.whose_loss}.")
history = fit(method, images, scale=scale, log_every=log_every, on_log=record, steps=steps)

# %% tags=["readme"] alt="C at four moments of training: first blocks of red and blue everywhere, at the end a red diagonal on a pale ground."
logged = sorted(snapshots)
moments = sorted({logged[0], logged[len(logged) // 14], logged[len(logged) // 4], logged[-1]})
plots.matrices([snapshots[step][:48, :48] for step in moments], [f"step {step}" for step in moments])

# %% alt="The loss, its invariance term and its redundancy term over the steps of training; all three fall."
plots.curves(history)

# %% [markdown]
# **What was learned, and the control.** A number means little alone. Beside the trained backbone stand the raw pixels
# and the *same backbone untrained*: the control of equal size. kNN asks whether images of one pattern lie close together
# in the features.
#
# The features are those of the *backbone*; the projector is thrown away after training. The loss makes the projector's
# output blind to whatever the views change, and a later task may need some of that; the features in front of it keep
# more. (Bordes, Balestriero and Vincent, arXiv:2206.13378, measure it.)

# %%
from jemlib.evaluate import embeddings, knn
from jemlib.nets import features
from jemlib.views import normalize


def knn_of(module, scored=held_out):
    return knn(features(module, images), images.labels, features(module, scored), scored.labels, k=min(20, len(images)))


untrained = build("barlow_twins", scale=scale).backbone
raw = knn(
    normalize(images.pixels).flatten(1), images.labels, normalize(held_out.pixels).flatten(1), held_out.labels, k=20
)
accuracy = {"raw pixels": raw, "untrained backbone": knn_of(untrained), "Barlow Twins": knn_of(method.backbone)}
for name, value in accuracy.items():
    print(f"{name:20s} kNN {value:.3f} on validation images")
test = load("motifs", "test", limit=None if scale.name != "smoke" else 200)
print(f"{'to report':20s} kNN {knn_of(method.backbone, test):.3f} on test images, trained by {method.whose_loss}")
claim("barlow_twins.learns", trained=accuracy["Barlow Twins"], untrained=accuracy["untrained backbone"])

# %% [markdown]
# A last tool before we judge and break things. The redundancy term looks *across* the views. Whether dimensions repeat
# each other *within* one view is another question, and its answer will matter.
#
# {{exercise:correlation_offdiagonal}}
#
# Write the root mean square of the correlations between different dimensions of one batch `z`. Your
# `cross_correlation` and `redundancy_term` do most of it; take $\epsilon = 0$.


# %% exercise="correlation_offdiagonal"
def correlation_offdiagonal(z):
    """Root mean square of the off-diagonal correlations of one batch, (N, D) -> a number in [0, 1]."""
    ### BEGIN SOLUTION
    d = z.shape[1]
    return torch.sqrt(redundancy_term(cross_correlation(z, z, 0.0)) / (d * (d - 1)))
    ### END SOLUTION


# %% check="correlation_offdiagonal"
correlation_offdiagonal = check(correlation_offdiagonal)

# %% alt="Diagnosis panel of the embeddings: a spectrum of some thirty large eigenvalues and a steep drop, correlations with a red diagonal, numbers."
z = embeddings(method, held_out)
print(f"rms correlation within one view: {float(correlation_offdiagonal(z)):.2f}")
plots.diagnose(z, title="Barlow Twins, embeddings of validation images")

# %% [markdown]
# ### What you should see
#
# The diagonal of $C$ turns red within the first quarter of the run, and the blocks around it fade. The redundancy jumps
# up in the first steps and then falls: what the dimensions agree on first is one and the same thing, which is why the
# early matrix has blocks. kNN of the trained backbone is far above both controls. The embeddings still repeat each other
# more than chance would: the run is short.

# %%
recorded(
    "Over all seeds, kNN of the trained backbone is {barlow_twins.learns: trained}, of the same backbone untrained "
    "{barlow_twins.learns: untrained}. After a third of the steps the rms correlation within a view is "
    "{barlow_twins.redundancy-prevents-copies: both}; independent dimensions would have $1/\\sqrt N$, about two "
    "hundredths on these images."
)

# %% [markdown]
# ## Experiment: remove each term
#
# Three short runs that differ in one thing only: both terms, no redundancy term, no invariance term.
# They share backbone, data, seed, number of steps, and your loss.
#
# **Predict.** Which removal hurts kNN more? Which one lets dimensions copy each other?

# %%
from jemlib.diagnose import rankme

variants = {
    "both terms": {},
    "no redundancy term": {"lambd": 0.0},
    "no invariance term": {"invariance": 0.0},
}
ablation = {}
for name, settings in variants.items():
    short = build("barlow_twins", scale=scale, loss=barlow_twins, **settings)
    fit(short, images, scale=scale, steps=max(1, steps // 3), log_every=log_every)
    z = embeddings(short, held_out)
    ablation[name] = {
        "knn": knn_of(short.backbone),
        "rankme": float(rankme(z)),
        "correlation": float(correlation_offdiagonal(z)),
    }
    with evaluating(short):
        c = cross_correlation(*(short.embed(view.to(next(short.parameters()).device)).cpu() for view in probe))
    d = len(c)
    ablation[name] |= {"agree": float(c.diagonal().mean()), "across": float(redundancy_term(c) / (d * (d - 1))) ** 0.5}
print(f"{'':20s} {'kNN':>6s} {'RankMe':>7s} {'rms within':>11s} {'rms across':>11s} {'mean C_ii':>10s}")
for name, row in ablation.items():
    numbers = f"{row['correlation']:11.3f} {row['across']:11.3f} {row['agree']:10.3f}"
    print(f"{name:20s} {row['knn']:6.3f} {row['rankme']:7.1f} {numbers}")
print(f"{'untrained':20s} {accuracy['untrained backbone']:6.3f}")

# %%
both, no_redundancy, no_invariance = ablation.values()
claim("barlow_twins.redundancy-prevents-copies", both=both["correlation"], removed=no_redundancy["correlation"])
claim("barlow_twins.redundancy-keeps-rank", both=both["rankme"], removed=no_redundancy["rankme"])
claim("barlow_twins.invariance-carries-the-learning", both=both["knn"], removed=no_invariance["knn"])
claim("barlow_twins.both-removals-allow-copies", both=both["correlation"], removed=no_invariance["correlation"])
claim(
    "barlow_twins.no-invariance-is-below-untrained",
    untrained=accuracy["untrained backbone"],
    removed=no_invariance["knn"],
)

# %% [markdown]
# ### What you should see
#
# **Which removal hurts kNN more?** That of the invariance term.
#
# **Which one lets dimensions copy each other?** Both do, for different reasons. Without the redundancy term one good
# dimension is enough; the others may copy it, and the loss is content. Without the invariance term one might expect
# uncorrelated dimensions. But the redundancy term compares *across* views: $C_{ij}$ pairs dimension $i$ of view A with
# dimension $j$ of view B. The cheapest way to make all of these 0 is to have the two views say nothing about each other.
# Then copies *within* a view cost nothing. Take one noise for all dimensions of A and another for all of B: the
# redundancy is near 0, and each view has rank 1. The last three columns of the table show it: compare "within" with
# "across" for this run, and its mean $C_{ii}$ with that of the others.
#
# **Why is that run below the untrained network?** An untrained network keeps much of an image in both views, pattern
# included. This one is paid for making its two views unrelated. So it gains by following what the augmentation draws at
# random (the crop, the colours) and by dropping what the views share. The pattern is what they share.

# %%
recorded(
    "kNN: both terms {barlow_twins.invariance-carries-the-learning: both}, without the invariance term "
    "{barlow_twins.invariance-carries-the-learning: removed}, untrained "
    "{barlow_twins.learns: untrained}.\n\n"
    "rms correlation within a view: both terms {barlow_twins.redundancy-prevents-copies: both}, without the redundancy "
    "term {barlow_twins.redundancy-prevents-copies: removed}, without the invariance term "
    "{barlow_twins.both-removals-allow-copies: removed}.\n\n"
    "RankMe: both terms {barlow_twins.redundancy-keeps-rank: both}, without the redundancy term "
    "{barlow_twins.redundancy-keeps-rank: removed}."
)

# %% [markdown]
# ## Take-away
#
# - Barlow Twins compares *columns* over the batch; InfoNCE compares *rows* over the features.
# - The diagonal of $C$ asks for invariance, the rest asks for no repetition *across* views. Only together do they keep
#   dimensions apart within a view.
# - Standardising over the batch makes the loss blind to shift and scale of each dimension, and that gives the gradient
#   its two identities.
# - Axes matter: a rotation changes the loss.
# - With $D > N - 1$ there is a floor, $\lambda(D^2/(N-1) - D)$ for identical views, a little less for two that
#   differ.
# - $\lambda$ belongs to a $D$. Change one and you change the other.
# - A step that runs may still pair the wrong things. Look at the terms at step 0: are they what an untrained network
#   should have?
#
# ### On photographs, and on a GPU
#
# The same code trains on CIFAR-10. From a terminal in the course folder:
#
# ```
# jem train barlow_twins --data cifar10 --scale cpu            # downloads CIFAR-10 once
# jem train barlow_twins --data folder:PATH --scale cpu        # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train barlow_twins --scale gpu                           # ResNet-18, 200 epochs, one GPU
# ```
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("02_barlow_twins")

# %% [markdown]
# The table of objectives so far. Each lesson adds its rows.

# %%
objectives_so_far("simclr", "barlow_twins")

# %% [markdown]
# Next: lesson 03 asks where this loss comes from (the information bottleneck); lesson 04 takes the two terms apart and
# adds a third (VICReg); lesson 05 is the laboratory of collapses.

# %% [markdown]
# ## Quiz
#
# **1.** All embeddings are multiplied by 100. What happens to the loss, and to its gradient?
#
# <details><summary>Answer</summary>
#
# The loss stays the same (up to $\epsilon$), because each dimension is divided by its standard deviation. The gradient
# becomes 100 times smaller, because a step of a given size is now a smaller relative change.
#
# </details>
#
# **2.** Somebody divides both sums by $D$ and keeps $\lambda$. Is it the same objective?
#
# <details><summary>Answer</summary>
#
# Yes up to a constant factor, so the optimum is the same; but the gradient is $D$ times smaller. Adam hardly notices a
# constant factor. SGD does: the learning rate would have to grow by $D$. Dividing each sum by its own number of entries
# ($D$ and $D(D-1)$) is another matter: the balance is then that of a $\lambda$ divided by $D - 1$.
#
# </details>
#
# **3.** The loss of a run with identical views, $N = 64$ and $D = 512$, stops at a positive value. A bug?
#
# <details><summary>Answer</summary>
#
# Not necessarily. 64 centred samples span at most 63 directions, and Welch's bound leaves
# $\lambda(512^2/63 - 512)$ under the redundancy term where $C_{ii} = 1$, and a little less where $C_{ii} < 1$.
#
# </details>
#
# **4.** Why does complete collapse cost $D$ and not $0$?
#
# <details><summary>Answer</summary>
#
# A constant dimension has variance 0. With $\epsilon > 0$ it is standardised to zeros, so $C_{ii} = 0$ and each of the
# $D$ diagonal entries pays $(1 - 0)^2$. This is the variance term of VICReg in disguise: standardising fixes the scale.
#
# </details>
#
# **5.** Your off-diagonal entries are around $\pm 0.06$ with a batch of 256. Are your dimensions redundant?
#
# <details><summary>Answer</summary>
#
# That is chance: independent dimensions give entries with standard deviation $1/\sqrt{256} \approx 0.06$.
#
# </details>

# %% [markdown]
# ## References
#
# - J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny: *Barlow Twins: Self-Supervised Learning via Redundancy Reduction*,
#   ICML 2021, arXiv:2103.03230. Loss: eq. 1; cross-correlation: eq. 2; comparison with InfoNCE: section 5.1;
#   ablations: table 5. Official code: facebookresearch/barlowtwins.
# - A. van den Oord, Y. Li, O. Vinyals: *Representation Learning with Contrastive Predictive Coding*, arXiv:1807.03748.
#   InfoNCE: eq. 4.
# - L. Welch: *Lower bounds on the maximum cross correlation of signals*, IEEE Transactions on Information Theory 20(3),
#   1974. The rank floor.
# - F. Bordes, R. Balestriero, P. Vincent: *Guillotine Regularization*, arXiv:2206.13378. Why the projector goes.
# - H. Barlow: *Possible principles underlying the transformations of sensory messages*, 1961. Redundancy reduction.

# %% [markdown]
# ## What the sources got wrong
#
# Optional: for readers who have the papers, the official code or the course's source notes beside them. The page
# [errata](errata.md) says what these notes are, and lists the corrections of all lessons. The cells below verify each.
#
# <details><summary>E1, E2, P1, P2</summary>
#
# **E1 (hand-written notes): the square is missing.** They print the redundancy term as $\lambda\sum_{i\neq j} C_{ij}$.
# Without the square the term *rewards* anti-correlated dimensions. Take a batch whose second dimension is minus the
# first. The paper's term calls it redundant. The notes' term calls it better than perfect.
#
# **E2 (hand-written notes): the temperature is missing.** They compare with InfoNCE but leave $\tau$ out of both terms.
# With $\tau = 1$ all others count almost alike; with a small $\tau$ the nearest one decides. It sets the scale.
#
# **P1 (paper): two conventions in one line.** Algorithm 1 divides by the unbiased standard deviation ($N - 1$) and
# then by $N$. For identical views that gives $C_{ii} = (N-1)/N$, so a perfect batch still pays $D/N^2$.
# The official code uses batch normalisation (biased) and has no such floor.
#
# **P2 (paper and code): constants.** The text gives $\lambda = 0.005$ and weight decay $1.5\cdot10^{-6}$; the code has
# $0.0051$ and $10^{-6}$. Neither has to carry over to another $D$: see point 2 of the widget.
#
# </details>

# %% tags=["optional", "nbval-check-output"]
# E1
mirrored = torch.cat([h[:, :1], -h[:, :1]], dim=1)
c = cross_correlation(mirrored, mirrored, 0.0)
verify("with the square, this batch pays 2", redundancy_term(c), 2)
verify("without it, the batch is rewarded with -2", c.sum() - c.diagonal().sum(), -2)

# %% tags=["optional", "nbval-check-output"]
# E2
for temperature in (1.0, 0.2, 0.05):
    print(f"tau = {temperature:4.2f}: decoupled InfoNCE {losses.decoupled_info_nce(z_a, z_b, temperature).total:7.3f}")

# %% tags=["optional", "nbval-check-output"]
# P1
algorithm_1 = (h / h.std(dim=0)).T @ (h / h.std(dim=0)) / 4
verify("Algorithm 1 charges the perfect batch D/N^2", invariance_term(algorithm_1), 2 / 4**2)
verify("the official code charges nothing", invariance_term(cross_correlation(h, h, 0.0)), 0)

# %% tags=["optional"]
# P2: what the course's runs on motifs use
print("lambd =", method.settings["lambd"], "at D =", scale.widths[-1])
