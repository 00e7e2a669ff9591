# %% [markdown]
# # 02 · Barlow Twins: make the cross-correlation matrix the identity
#
# Two views of one image go through one network. Barlow Twins asks two things of the embeddings that come out.
# Each dimension should say the same about both views. And no two dimensions should say the same thing.
# Both requests fit into one matrix. You derive that matrix, implement it, train with it, and then break it on purpose.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. standardise embeddings over the batch, and say why it is the batch and not the features (exercise 2.1);
# 2. compute the cross-correlation matrix, by loops and as one matrix product (exercises 2.2 and 2.3);
# 3. write both terms of the loss and say which one pulls views together and which one prevents copies
#    (exercises 2.4, 2.5 and 2.6);
# 4. derive its gradient and the two identities that it obeys (exercise 2.7);
# 5. set the loss beside InfoNCE, term by term, in one notation;
# 6. say what the loss cannot see, and below what value it cannot go;
# 7. remove each term and measure what goes wrong.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (matrix products, eigenvalues), some PyTorch (tensors, `backward`), and the picture of
# lesson 00: an image, two random views of it, an encoder that maps each view to an embedding.
# Nothing else from the course is required. The lesson runs on a laptop without a GPU and without a network.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(standardize)` gives one hint at a time, and `solution(standardize)` shows the answer.

# %%
import torch

from jemlib import plots
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
# | $Z^A$ | `z_a` | $(N, D)$ | embeddings of view A; row $b$ belongs to image $b$ |
# | $Z^B$ | `z_b` | $(N, D)$ | embeddings of view B of the same images, in the same order |
# | $\hat Z$ | `standardize` | $(N, D)$ | the embeddings, each dimension centred and scaled over the batch |
# | $\epsilon$ | `eps` | number | added to the variance, so that nothing is divided by zero |
# | $C$ | `cross_correlation` | $(D, D)$ | correlation of dimension $i$ of A with dimension $j$ of B |
# | $\lambda$ | `lambd` | number | weight of the redundancy term (`lambda` is a reserved word in Python) |
# | $L$ | `barlow_twins` | number | the loss |
# | $\tau$ | `temperature` | number | temperature of InfoNCE, for the comparison |
#
# Indices: $b$ counts samples, $i$ and $j$ count dimensions. A hat means *standardised*.

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

# %% [markdown]
# ## Derivation: the gradient
#
# Let $G = \partial L / \partial C$. Differentiating the two sums gives
#
# $$G_{ii} = -2 (1 - C_{ii}), \qquad G_{ij} = 2 \lambda C_{ij} \quad (i \neq j) .$$
#
# $C$ is linear in $\hat Z_A$, so $\hat G = \partial L / \partial \hat Z_A = \frac{1}{N} \hat Z_B G^\top$.
# The last step goes back through the standardisation. It takes away the two directions that standardising ignores,
# the shift and the scale of each dimension:
#
# $$\frac{\partial L}{\partial z_{bi}} = \frac{1}{\sigma_i}\Big[\hat g_{bi}
# - \frac1N\sum_{b'} \hat g_{b'i} - \hat z_{bi}\, \frac1N\sum_{b'} \hat z_{b'i}\,\hat g_{b'i}\Big] .$$
#
# The second term is zero here on its own: $\hat g$ is a combination of the columns of $\hat Z_B$, and these are centred.
# It stands in the formula because it belongs to standardising, whatever comes after.
#
# {{exercise:barlow_twins_gradient}}
#
# Return the gradient with respect to `z_a`, shape $(N, D)$, without automatic differentiation. Use $\epsilon = 0$.


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
    projected = g_a - g_a.mean(dim=0) - a * (a * g_a).mean(dim=0)
    return projected / z_a.std(dim=0, correction=0)
    ### END SOLUTION


# %% check="barlow_twins_gradient"
barlow_twins_gradient = check(barlow_twins_gradient)

# %% [markdown]
# Two identities follow. For each dimension, the gradient sums to zero over the batch, because a common shift changes
# nothing. And it is orthogonal to the centred dimension, because a common stretch changes nothing.
# Smaller embeddings have a larger gradient: ten times smaller, ten times larger.

# %% tags=["nbval-check-output"]
from jemlib import losses

gradient = barlow_twins_gradient(z_a, z_b, 0.1)
leaf = z_a.clone().requires_grad_()
losses.barlow_twins(leaf, z_b, 0.1, eps=0.0).total.backward()
verify("the closed form is what backward computes", gradient, leaf.grad)
verify("it sums to zero over the batch", gradient.sum(dim=0), 0)
verify("it is orthogonal to the centred dimension", ((z_a - z_a.mean(dim=0)) * gradient).sum(dim=0), 0)
verify("ten times smaller, ten times larger", barlow_twins_gradient(z_a / 10, z_b, 0.1), 10 * gradient)

# %% [markdown]
# ## Derivation: what the loss cannot see
#
# Whatever leaves $C$ alone leaves the loss alone. Standardising removes shift and scale of each dimension, in each view
# by itself. Flipping the sign of a dimension in *both* views changes $C_{ij}$ to $\pm C_{ij}$, and the diagonal keeps
# its sign. Reordering dimensions in both views reorders the entries.

# %% tags=["nbval-check-output"]
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
# ## Derivation: the rank floor
#
# A batch of $N$ samples, centred, spans at most $N - 1$ directions. Let the two views be identical, and let $r$ be the
# rank of $\hat Z$. Then $C$ is symmetric, has trace $D$ and at most $r$ eigenvalues $\mu_k$ that are not zero.
# The sum of squared entries of a symmetric matrix is the sum of its squared eigenvalues, and for a fixed sum these are
# smallest when all are equal:
#
# $$\sum_{i,j} C_{ij}^2 = \sum_k \mu_k^2 \ \ge\ \frac{D^2}{r}, \qquad\text{so}\qquad
# \sum_{i \ne j} C_{ij}^2 \ \ge\ \frac{D^2}{r} - D .$$
#
# This is Welch's bound. With $D > N - 1$ the loss cannot reach zero. A *tight frame* attains the floor: $D$ columns of
# equal length in $N - 1$ dimensions that spread evenly over all of them. The cell builds one from cosines and sines.

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
free = [torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(100)]
above = [redundancy_term(cross_correlation(z, z, 0.0)) > floor for z in free]
verify("100 random batches stay above it", all(above))

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
# ## Experiment: watch the matrix become the identity
#
# Now train. The data are `motifs`: generated images of ten patterns whose other factors (hues, position, rotation, noise
# and more) are drawn at random. The class is the pattern, and no label is used in training.

# %%
from jemlib.data import load
from jemlib.views import denormalize, make_views

images = load("motifs", "train", limit=scale.limit)
test = load("motifs", "test", limit=None if scale.name != "smoke" else 200)
shown = images.pixels[:10]
pair = make_views(shown, "vicreg", generator=torch.Generator().manual_seed(0))
plots.image_grid([shown, denormalize(pair[0]), denormalize(pair[1])], ["image", "view A", "view B"])

# %% [markdown]
# The loop calls `record` every few steps. It computes $C$ on the same 512 pairs of views each time.

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


method = build("barlow_twins", scale=scale)
history = fit(method, images, scale=scale, log_every=log_every, on_log=record, steps=steps)

# %% [markdown]
# The first 48 dimensions of $C$ at four moments. Red is $+1$, white is $0$, blue is $-1$.

# %% tags=["readme"]
logged = sorted(snapshots)
moments = sorted({logged[0], logged[len(logged) // 14], logged[len(logged) // 4], logged[-1]})
plots.matrices([snapshots[step][:48, :48] for step in moments], [f"step {step}" for step in moments])

# %% [markdown]
# The loss and its two terms over the same steps:

# %%
plots.curves(history)

# %% [markdown]
# ### What was learned, and the control
#
# A number means little alone. Beside the trained backbone stand the raw pixels and the *same backbone untrained*: the
# control of equal size. kNN asks whether images of one pattern lie close together in the features.

# %%
from jemlib.evaluate import knn
from jemlib.nets import features
from jemlib.views import normalize


def knn_of(module):
    return knn(features(module, images), images.labels, features(module, test), test.labels, k=min(20, len(images)))


raw = knn(normalize(images.pixels).flatten(1), images.labels, normalize(test.pixels).flatten(1), test.labels)
untrained = build("barlow_twins", scale=scale).backbone
accuracy = {"raw pixels": raw, "untrained backbone": knn_of(untrained), "Barlow Twins": knn_of(method.backbone)}
for name, value in accuracy.items():
    print(f"{name:20s} kNN {value:.3f}")

# %% [markdown]
# **Claim**, tested here and over three seeds by `jem claims`:

# %%
claim("barlow_twins.learns", trained=accuracy["Barlow Twins"], untrained=accuracy["untrained backbone"])

# %% [markdown]
# The diagnosis panel of the embeddings says how many directions they use and whether dimensions repeat each other.

# %%
from torch import nn

embed = nn.Sequential(method.backbone, method.projector)
plots.diagnose(features(embed, test), title="Barlow Twins, embeddings of test images")

# %% [markdown]
# ### Break it: remove each term
#
# Three short runs that differ in one thing only: both terms, no redundancy term, no invariance term.
# They share backbone, data, seed and number of steps.
#
# **Predict.** Which removal hurts kNN more? Which one lets dimensions copy each other?

# %%
from jemlib.diagnose import correlation_offdiagonal, rankme

variants = {
    "both terms": {},
    "no redundancy term": {"lambd": 0.0},
    "no invariance term": {"invariance": 0.0},
}
ablation = {}
for name, settings in variants.items():
    short = build("barlow_twins", scale=scale, **settings)
    fit(short, images, scale=scale, steps=max(1, steps // 3), log_every=log_every)
    z = features(nn.Sequential(short.backbone, short.projector), test)
    ablation[name] = {
        "knn": knn_of(short.backbone),
        "rankme": float(rankme(z)),
        "correlation": float(correlation_offdiagonal(z)),
    }
print(f"{'':20s} {'kNN':>6s} {'RankMe':>7s} {'rms correlation':>16s}")
for name, row in ablation.items():
    print(f"{name:20s} {row['knn']:6.3f} {row['rankme']:7.1f} {row['correlation']:16.3f}")

# %%
both, no_redundancy, no_invariance = ablation.values()
claim("barlow_twins.redundancy-prevents-copies", both=both["correlation"], removed=no_redundancy["correlation"])
claim("barlow_twins.redundancy-keeps-rank", both=both["rankme"], removed=no_redundancy["rankme"])
claim("barlow_twins.invariance-carries-the-learning", both=both["knn"], removed=no_invariance["knn"])

# %% [markdown]
# Without the redundancy term, one good dimension is enough: the others may copy it, and the loss is content.
# Without the invariance term, uncorrelated noise is enough: nothing asks that a dimension means the same in both views.
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

# %% [markdown]
# ## Widget: what the loss is made of
#
# Embeddings without any structure: view A is Gaussian noise, view B is A plus a little more noise. Move $\lambda$, the
# batch size $N$ and the dimension $D$, and look for three things.
#
# 1. The off-diagonal entries are not zero. Chance alone gives them variance $1/N$, so the redundancy is about $D^2/N$.
# 2. When $D$ doubles, the number of off-diagonal entries grows fourfold. Keep the balance: halve $\lambda$.
# 3. When $D > N - 1$, the floor of the last section appears.

# %%
from jemlib.course.lessons.lesson02_barlow_twins import figures

figures.budget_widget()

# %% [markdown]
# The same picture for readers on paper, at one setting with a floor: $N = 64$, $D = 256$.

# %%
figures.budget(lambd=0.004, batch_size=64, dimensions=256, noise=0.3)

# %% [markdown]
# ## What the sources got wrong
#
# The numbers are those of the course's list of errata.
#
# **E1: the square is missing.** The hand-written notes print the redundancy term as $\lambda\sum_{i\neq j} C_{ij}$.
# Without the square the term *rewards* anti-correlated dimensions. The batch below has a second dimension that is minus
# the first. The paper's term calls it redundant. The notes' term calls it better than perfect.

# %% tags=["nbval-check-output"]
mirrored = torch.cat([h[:, :1], -h[:, :1]], dim=1)
c = cross_correlation(mirrored, mirrored, 0.0)
verify("with the square, this batch pays 2", redundancy_term(c), 2)
verify("without it, the batch is rewarded with -2", c.sum() - c.diagonal().sum(), -2)

# %% [markdown]
# **E2: the temperature is missing.** The notes compare with InfoNCE but leave $\tau$ out of both terms. With $\tau = 1$
# all others count almost alike; with a small $\tau$ the nearest one decides. It is not a detail: it sets the scale.

# %% tags=["nbval-check-output"]
for temperature in (1.0, 0.2, 0.05):
    print(f"tau = {temperature:4.2f}: decoupled InfoNCE {losses.decoupled_info_nce(z_a, z_b, temperature).total:7.3f}")

# %% [markdown]
# **P1: two conventions in one line.** The paper's Algorithm 1 divides by the unbiased standard deviation ($N - 1$) and
# then by $N$. For identical views that gives $C_{ii} = (N-1)/N$, so a perfect batch still pays $D/N^2$.
# The official code uses batch normalisation (biased) and has no such floor.

# %% tags=["nbval-check-output"]
algorithm_1 = (h / h.std(dim=0)).T @ (h / h.std(dim=0)) / 4
verify("Algorithm 1 charges the perfect batch D/N^2", invariance_term(algorithm_1), 2 / 4**2)
verify("the official code charges nothing", invariance_term(cross_correlation(h, h, 0.0)), 0)

# %% [markdown]
# **P2: constants.** The text gives $\lambda = 0.005$ and weight decay $1.5\cdot10^{-6}$; the code has $0.0051$ and
# $10^{-6}$. Neither has to carry over to another $D$: see point 2 of the widget. The course's runs on motifs use:

# %%
print("lambd =", method.settings["lambd"], "at D =", scale.widths[-1])

# %% [markdown]
# ## Take-away
#
# - Barlow Twins compares *columns* over the batch; InfoNCE compares *rows* over the features.
# - The diagonal of $C$ asks for invariance, the rest asks for no repetition. Each prevents what the other allows.
# - Standardising over the batch makes the loss blind to shift and scale of each dimension, and that gives the gradient
#   its two identities.
# - Axes matter: a rotation changes the loss.
# - With $D > N - 1$ there is a floor, $\lambda(D^2/(N-1) - D)$ for identical views.
# - $\lambda$ belongs to a $D$. Change one and you change the other.
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
# $\lambda(512^2/63 - 512)$ under the redundancy term.
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
# - H. Barlow: *Possible principles underlying the transformations of sensory messages*, 1961. Redundancy reduction.
