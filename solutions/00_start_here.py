# %% [markdown]
# # 00 · Start here: two views, one network, and how to tell that it learned something
#
# This course teaches networks from images without labels. One idea carries all of it: two views of the same image
# should get embeddings that fit together. This lesson shows the idea, the images, the views, how exercises work,
# and how a result is measured. All later lessons build on it.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. draw the picture behind every method of the course, and say what an energy is (exercise 0.1);
# 2. use the exercises: their three answers, the hints, the solutions;
# 3. say what each operation of a view changes in an image and what it leaves alone (exercise 0.2);
# 4. measure features with nearest neighbours, and say what must stand beside such a number
#    (exercises 0.3, 0.4 and 0.5);
# 5. tell two kinds of collapse by two numbers, and say what each number cannot see (exercises 0.6 and 0.7);
# 6. read a result beside its controls: raw pixels, the untrained network, training with labels;
# 7. test an opinion about augmentations instead of repeating it.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (matrix products, singular values) and some PyTorch (tensors, `backward`). Nothing else.
# The lesson runs on a laptop without a GPU and without a network.
#
# **How the lessons fit together.** Each derives one family of methods, trains it, and breaks it. After this one you
# can take them in any order. 01: contrastive losses. 02: Barlow Twins. 03: the information bottleneck. 04: VICReg.
# 05: a laboratory of collapses. 06: SwAV and Sinkhorn. Others follow.
#
# **How long things take.** One setting decides, the scale. `smoke` takes seconds and only shows that everything runs.
# `cpu` is for learning: a minute or less for a training run. `gpu` trains a ResNet-18 for 200 epochs.
# Set the environment variable `JEMLIB_SCALE` before you start Jupyter, or leave it: without a GPU you get `cpu`.
#
# **Where help is.** In the notebook: `hint(f)` and `solution(f)`, see below. About a function: `help(f)`. If something
# is not installed as it should be, `jem check-env` in a terminal says what, and what to do.

# %%
import torch

from jemlib import plots
from jemlib.course import check, claim, examine, hint, objectives_so_far, recorded_claims, solution, verify
from jemlib.train import current_scale

scale = current_scale()
print(f"Scale {scale.name}. Set the environment variable JEMLIB_SCALE to smoke, cpu or gpu to change it.")

# %% [markdown]
# ## Notation
#
# | symbol | in code | shape | meaning |
# | --- | --- | --- | --- |
# | $N$ | `n` | number | samples: images in a batch, or rows of a bank |
# | $D$ | `d` | number | dimensions of an embedding or a feature |
# | $x$ | `x` | $(N, 3, 32, 32)$ | images: three channels, 32 x 32 pixels |
# | $f$ | `backbone` | | encoder: a view to features $h$, $(N, D)$ |
# | $g$ | `projector` | | features to embeddings |
# | $Z^A$ | `z_a` | $(N, D)$ | embeddings of view A; row $i$ belongs to image $i$ |
# | $Z^B$ | `z_b` | $(N, D)$ | embeddings of view B of the same images, in the same order |
# | $E$ | `energy` | number | how badly the pairs fit together |
# | $u$ | `u` | $(N, D)$ | embeddings with each row divided by its length |
# | $s_{ij}$ | `similarity` | $(M, N)$ | cosine of query $i$ and bank row $j$, for $M$ queries |
# | $\ell_j$ | `labels` | $(N,)$ | class of bank row $j$, a whole number from 0 |
# | $V_{ic}$ | `votes` | $(M, \text{classes})$ | votes that query $i$ gets for class $c$ |
# | $k$ | `k` | number | neighbours that vote |
# | $\tau$ | `temperature` | number | how much nearer neighbours count more |
# | $\sigma_r$ | `sigma` | $\min(N, D)$ | singular values of a batch of embeddings |
# | $p_r$ | `p` | $\min(N, D)$ | share of each singular value in their sum |
# | $\epsilon$ | `eps` | number | added to each share, so that no logarithm is infinite |
#
# Indices: $i$ counts images, $j$ bank rows or dimensions (the sum says which), $c$ counts classes.

# %% [markdown]
# ## Ladder: from hand numbers to the library
#
# ### The picture
#
# Take an image. Make two random **views** of it: crop it, mirror it, change its colours, each time with other numbers.
# Send both through the same **encoder** $f$, a network that turns pictures into vectors, the features $h$.
# A small network on top, the **projector** $g$, turns features into embeddings $z$.
# The **energy** $E$ of the two embeddings says how badly they fit together.

# %%
from jemlib.course.lessons.lesson00_start_here import figures

figures.joint_embedding()

# %% [markdown]
# Two views of one image are *compatible*: their energy should be low. Views of different images are not: their energy
# should be higher. Training looks for weights that make it so. The loss is computed on $z$. What one uses afterwards is
# $h$; the projector is thrown away.
#
# ### How exercises work
#
# You write a function; the cell below it checks it. There are three answers, and none of them is an error.
# The cell below asks for the verdict as data, with `examine`. Here the function is still open:


# %% tags=["nbval-check-output"]
def energy(z_a, z_b):
    raise NotImplementedError()


verdict = examine(energy)
print(f"{verdict.state}: {verdict.message}")

# %% [markdown]
# Here it is wrong. The function should return the mean over the pairs of the squared distance between $z^A_i$ and
# $z^B_i$. The author forgot that `mean()` also divides by the number of dimensions. The check says so, because it
# compares your results with those of mistakes that people make:


# %% tags=["nbval-check-output"]
def energy(z_a, z_b):
    return (z_a - z_b).square().mean()


verdict = examine(energy)
print(f"{verdict.state}: {verdict.message.split(' The largest')[0]}")

# %% [markdown]
# And here it is right, as a loop over the pairs. Any right way of writing it will do; only behaviour is looked at.


# %% tags=["nbval-check-output"]
def energy(z_a, z_b):
    total = 0
    for a, b in zip(z_a, z_b):
        total = total + torch.dot(a - b, a - b)
    return total / len(z_a)


verdict = examine(energy)
print(f"{verdict.state}: {verdict.message}")

# %% [markdown]
# In the lessons you call `check` instead. It prints the verdict, and hands back your function if it is right.
# Otherwise it hands back jemlib's own, so the rest of the notebook runs in any case, even if you write nothing.
# Stuck? Each call of `hint` gives one more hint. After the last one, `solution(energy)` shows the answer.

# %% tags=["nbval-check-output"]
hint(energy)

# %% [markdown]
# ### Now you
#
# $$E(Z^A, Z^B) = \frac{1}{N}\sum_i \sum_j (z^A_{ij} - z^B_{ij})^2 .$$
#
# {{exercise:energy}}
#
# Write `energy(z_a, z_b)`, this time without a loop. Both inputs have shape $(N, D)$; one number comes out.


# %% exercise="energy"
def energy(z_a, z_b):
    """Mean over the pairs of the squared distance of their embeddings."""
    ### BEGIN SOLUTION
    return (z_a - z_b).square().sum(dim=1).mean()
    ### END SOLUTION


# %% check="energy"
energy = check(energy)

# %% [markdown]
# Verify on numbers that you can do in your head: pair 0 is $(1, 0)$ and $(1, 2)$, pair 1 is $(0, 0)$ and $(3, 0)$.
# The squared distances are 4 and 9.

# %% tags=["nbval-check-output"]
hand_a = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
hand_b = torch.tensor([[1.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
verify("the energy is (4 + 9) / 2", energy(hand_a, hand_b), 6.5)

# %% [markdown]
# ## Derivation: what an energy says and what it does not
#
# Many methods first scale each embedding to length 1: $u = z / |z|$. Then
#
# $$|u^A - u^B|^2 = |u^A|^2 + |u^B|^2 - 2\,u^A\!\cdot u^B = 2 - 2\cos(z^A, z^B) .$$
#
# So the energy of unit vectors and the cosine say the same. This energy has a name of its own, *alignment*.

# %% tags=["nbval-check-output"]
import torch.nn.functional as F

from jemlib import diagnose

generator = torch.Generator().manual_seed(0)
z_a = torch.randn(8, 3, generator=generator, dtype=torch.float64)
z_b = z_a + 0.5 * torch.randn(8, 3, generator=generator, dtype=torch.float64)
u_a, u_b = z_a / z_a.norm(dim=1, keepdim=True), z_b / z_b.norm(dim=1, keepdim=True)
verify("the energy of unit vectors is 2 - 2 cos", energy(u_a, u_b), 2 - 2 * F.cosine_similarity(z_a, z_b).mean())
verify("jemlib's alignment is this energy", diagnose.alignment(z_a, z_b), energy(u_a, u_b))

# %% [markdown]
# A low energy alone means nothing. A network that ignores its input gives energy 0 to every pair, compatible or not.
# This is **collapse**. No energy is lower and the gradient is zero, so training on the energy alone has no reason to
# leave.

# %% tags=["nbval-check-output"]
same_a, same_b = (torch.full((8, 3), 0.7, dtype=torch.float64, requires_grad=True) for _ in range(2))
verify("constant embeddings have energy 0 with their other view", energy(same_a, same_b), 0)
verify("and with the view of any other image", energy(same_a, same_b.roll(1, dims=0)), 0)
energy(same_a, same_b).backward()
verify("and no gradient", torch.stack([same_a.grad, same_b.grad]), 0)

# %% [markdown]
# So a method needs a second ingredient that keeps the energy of *other* pairs up. The course meets four kinds:
# push other pairs apart (contrastive, lesson 01); ask that the dimensions vary and differ (02 to 04); ask that clusters
# are used equally (06); or make the two branches unequal (predictor, stop-gradient, slow copy).
#
# What is the energy of *all* pairs? Expand the square, and average over $i$ and $i'$ separately. The mixed term becomes
# the squared mean, and what remains is twice the variance:
#
# $$\frac{1}{N^2}\sum_i\sum_{i'} |z_i - z_{i'}|^2 = 2\Big(\frac1N\sum_i |z_i|^2 - |\bar z|^2\Big) = 2\sum_j \mathrm{Var}_j,
# \qquad \bar z = \frac1N\sum_i z_i .$$
#
# For unit vectors it is $2(1 - |\bar u|^2)$. This is the yardstick: an energy of pairs is *low* when it is far below
# it.

# %% tags=["nbval-check-output"]
brute_force = sum((u_a[i] - u_a[j]).square().sum() for i in range(8) for j in range(8)) / 64
verify("the mean over all pairs is twice the variance", brute_force, 2 * u_a.var(dim=0, correction=0).sum())
verify("for unit vectors it is 2 - 2 |mean u|^2", brute_force, 2 - 2 * u_a.mean(dim=0).square().sum())

# %% [markdown]
# ### The images: motifs
#
# `motifs` are generated. Each shows a disc with one of ten patterns; the pattern is the class. Everything else is
# drawn without regard to the class: two hues, contrast, light, frequency, position, size, rotation, noise.
# These are the *factors*. They are known for every image, so one can ask what a feature depends on.
#
# Know what you look at: motifs were made so that **colour is the shortcut**. Every image draws its own two hues, and the
# class says nothing about them. So colours tell images apart at a glance, and they are no help with the class.

# %%
from jemlib.data import load
from jemlib.data.motifs import FACTORS, redraw

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
per_class = torch.stack([(images.labels == c).nonzero()[:8, 0] for c in range(10)])
plots.image_grid([images.pixels[row] for row in per_class], images.class_names, size=0.6)

# %% [markdown]
# The same object under other values of one factor, everything else kept, down to the noise:

# %%
one = images.subset([int((images.labels == 6).nonzero()[1])])
changes = {
    "as drawn": [],
    "pattern": [("pattern", c) for c in (0, 1, 3, 5, 8, 9)],
    "foreground hue": [("foreground_hue", h / 6) for h in range(6)],
    "contrast": [("contrast", c) for c in (-0.4, -0.3, -0.2, 0.2, 0.3, 0.4)],
    "rotation": [("rotation", r / 2) for r in range(-2, 4)],
    "position": [("position", (p / 5, 0.0)) for p in range(-3, 3)],
    "occlusion": [("occlusion", o / 10) for o in range(6)],
}
rows = [torch.cat([redraw(one, *step).pixels for step in steps] or [one.pixels]) for steps in changes.values()]
plots.image_grid(rows, list(changes), size=0.7)

# %% [markdown]
# Verify three properties that later lessons rely on. The images are the same each time they are drawn. Classes are
# equally frequent. And one factor can be changed without touching another: here the pattern, and with it the label.

# %% tags=["nbval-check-output"]
small = load("motifs", "validation", limit=200)
verify("drawn twice, the same", (load("motifs", "validation", limit=200).pixels == small.pixels).all())
verify("every class 20 times in 200", small.labels.bincount(), 20)
spokes = redraw(small, "pattern", 7)
kept = [torch.equal(spokes.factors[name], small.factors[name]) for name in FACTORS]
verify("another pattern, all other factors kept", all(kept))
verify("and the label follows", spokes.labels, 7)

# %% [markdown]
# ### The views
#
# The usual operations come from SimCLR, and BYOL refined them. The lecture notes list four: **random crop, flip, colour
# jitter, Gaussian blur**. The recipes add two: dropping the colours (grey) and inverting bright pixels (solarise).
# The rows below show one operation each; then all of them, as in training.

# %%
from jemlib.views import PRESETS, Recipe, denormalize, make_views

nothing = PRESETS["none"][0]
keep = {"crop_scale": None, "flip": 0.0, "jitter_probability": 0.0, "grey": 0.0}
operations = {
    "image": nothing,
    "crop": Recipe(**{**keep, "crop_scale": (0.2, 0.6)}),
    "flip": Recipe(**{**keep, "flip": 1.0}),
    "colour jitter": Recipe(**{**keep, "jitter_probability": 1.0}),
    "grey": Recipe(**{**keep, "grey": 1.0}),
    "blur": Recipe(**{**keep, "blur": 1.0, "blur_sigma": (1.0, 2.0)}),
    "solarise": Recipe(**{**keep, "solarize": 1.0}),
    "view A": PRESETS["vicreg"],
    "view B": PRESETS["vicreg"],
}
shown = images.pixels[:10]
drawn = [
    denormalize(make_views(shown, recipe, num_views=1, generator=torch.Generator().manual_seed(i))[0])
    for i, recipe in enumerate(operations.values())
]
plots.image_grid(drawn, list(operations), size=0.65)

# %% [markdown]
# {{exercise:mirror}}
#
# Write the simplest of them. `mirror(x, which)` gets images $(N, C, H, W)$ ($C$ channels, height $H$, width $W$) and
# `which`, $(N,)$ truth values. It returns the batch with the chosen images mirrored left to right.


# %% exercise="mirror"
def mirror(x, which):
    """The images (N, C, H, W), mirrored left to right where `which` (N,) says so."""
    ### BEGIN SOLUTION
    return torch.where(which.view(-1, 1, 1, 1), x.flip(3), x)
    ### END SOLUTION


# %% check="mirror"
mirror = check(mirror)

# %% [markdown]
# The library does crop, resize and flip in one step. With a box as large as the image it does nothing but your
# `mirror`. And two rules for views, whatever the recipe: the seed decides everything, and no two samples share their
# parameters (sixteen copies of one image become sixteen different views).

# %% tags=["nbval-check-output"]
from jemlib.views import crop_and_resize

x = small.pixels[:16].float() / 255
which = torch.arange(16) % 3 == 0
whole = torch.tensor([0, 0, 32, 32]).expand(16, 4)
verify("a crop of everything only mirrors", crop_and_resize(x, whole, which), mirror(x, which), tolerance=1e-6)
verify("mirroring twice gives the image back", mirror(mirror(x, which), which), x)


def views_of(pixels, seed):
    return make_views(pixels, "vicreg", generator=torch.Generator().manual_seed(seed))


copies = small.pixels[:1].expand(16, -1, -1, -1)
verify("the same seed gives the same views", views_of(copies, 5), views_of(copies, 5))
flat = views_of(copies, 5).flatten(0, 1).flatten(1)
verify("32 views of one image, no two of them equal", len(flat.unique(dim=0)), 32)

# %% [markdown]
# **Why two views?** Because what they share is what the network is asked to keep. Colours differ between the two, so
# colours do not help to match them. The pattern is in both, so it does. A pair of equal views asks for nothing: any
# network gives it energy 0 before it has learned anything. (Two is the least; SwAV and DINO draw more.)

# %% tags=["nbval-check-output"]
from jemlib.methods import build
from jemlib.nets import evaluating

newborn = build("simclr")
with evaluating(newborn):
    equal = [newborn.embed(view) for view in make_views(small.pixels[:16], "none")]
    different = [newborn.embed(view) for view in views_of(small.pixels[:16], 5)]
verify("equal views have energy 0 under an untrained network", energy(*equal), 0)
verify("different views do not", energy(*different) > 0)

# %% [markdown]
# ### Nearest neighbours, step 1: similarities
#
# Now the measuring. Freeze the encoder and compute features of labelled images, the *bank*. To classify a new image,
# look at the bank rows most similar to it. Similarity is the cosine:
#
# $$s_{ij} = \frac{q_i \cdot b_j}{|q_i|\,|b_j|}, \qquad |q_i| = \sqrt{q_i \cdot q_i} .$$
#
# Here $q_i$ is a query, row $i$ of an $(M, D)$ matrix (`x` in the exercise), and $b_j$ is row $j$ of the bank, $(N, D)$
# (`y` in the exercise).
#
# {{exercise:cosine_matrix_loop}}
#
# First as you read it: two loops.


# %% exercise="cosine_matrix_loop"
def cosine_matrix_loop(x, y):
    """(M, N) cosine similarities of the rows of x (M, D) with the rows of y (N, D), by loops."""
    ### BEGIN SOLUTION
    similarity = x.new_zeros(len(x), len(y))
    for i in range(len(x)):
        for j in range(len(y)):
            lengths = x[i].square().sum().sqrt() * y[j].square().sum().sqrt()
            similarity[i, j] = (x[i] * y[j]).sum() / lengths
    return similarity
    ### END SOLUTION


# %% check="cosine_matrix_loop"
cosine_matrix_loop = check(cosine_matrix_loop)

# %% [markdown]
# On hand numbers. The query $(3, 4)$ has length 5. The bank holds its own direction, a direction at right angles, and
# the opposite one.

# %% tags=["nbval-check-output"]
query = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
bank = torch.tensor([[6.0, 8.0], [-4.0, 3.0], [-3.0, -4.0], [1.0, 0.0]], dtype=torch.float64)
verify("1, 0, -1, and 3/5 with the first axis", cosine_matrix_loop(query, bank), [[1.0, 0.0, -1.0, 0.6]])

# %% [markdown]
# A cosine is the inner product of two vectors of length 1. So scale all rows first; then one matrix product does it.
#
# {{exercise:cosine_matrix}}


# %% exercise="cosine_matrix"
def cosine_matrix(x, y):
    """(M, N) cosine similarities of the rows of x (M, D) with the rows of y (N, D)."""
    ### BEGIN SOLUTION
    return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    ### END SOLUTION


# %% check="cosine_matrix"
cosine_matrix = check(cosine_matrix)

# %% tags=["nbval-check-output"]
turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
lengths = 0.1 + torch.rand(8, 1, generator=generator, dtype=torch.float64)
verify("loop and product agree", cosine_matrix_loop(z_a, z_b), cosine_matrix(z_a, z_b))
verify("the length of a row does not matter", cosine_matrix(z_a * lengths, z_b), cosine_matrix(z_a, z_b))
verify("a common rotation does not matter", cosine_matrix(z_a @ turn, z_b @ turn), cosine_matrix(z_a, z_b))

# %% [markdown]
# ### Nearest neighbours, step 2: the vote
#
# The $k$ most similar bank rows vote, each for its label $\ell_j$. A nearer one has a larger weight:
#
# $$V_{ic} = \sum_{j\,\in\,\text{the } k \text{ nearest of } i} [\,\ell_j = c\,]\; e^{s_{ij}/\tau} .$$
#
# $[\,\ell_j = c\,]$ is 1 if the label is $c$ and 0 otherwise. The class with most votes wins. With $\tau = 0.1$ a
# neighbour at cosine 0.9 weighs $e^2$, about seven times, as much as one at 0.7.
#
# {{exercise:knn_votes}}
#
# `similarity` is $(M, N)$ and `labels` $(N,)$; return the votes, $(M, \text{num\_classes})$.


# %% exercise="knn_votes"
def knn_votes(similarity, labels, num_classes=10, k=20, temperature=0.1):
    """(M, num_classes) votes of the k most similar bank rows, each with weight exp(similarity / temperature)."""
    ### BEGIN SOLUTION
    nearest, places = similarity.topk(k, dim=1)
    votes = similarity.new_zeros(len(similarity), num_classes)
    return votes.scatter_add(1, labels[places], (nearest / temperature).exp())
    ### END SOLUTION


# %% check="knn_votes"
knn_votes = check(knn_votes)

# %% [markdown]
# Hand numbers: three neighbours vote, one of class 0 and two of class 1. With $\tau = 1/\ln 2$ the weights are powers
# of two, $e^{s/\tau} = 2^s$.

# %% tags=["nbval-check-output"]
from math import log

hand = torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
votes = knn_votes(hand, torch.tensor([0, 1, 1, 1]), num_classes=2, k=3, temperature=1 / log(2))
verify("4 votes against 2 + 1: the near one outvotes the two", votes, [[4.0, 3.0]])

# %% [markdown]
# The library's `knn` is these two steps and a count of the right answers. Three checks on made-up features. Features
# in tight clusters, one for each class, give accuracy 1. Labels that have nothing to do with the features give about
# 1/10. And a trap: score the bank *on itself*, and noise gets everything right, because each row finds itself.

# %% tags=["nbval-check-output"]
from jemlib.evaluate import knn, linear_probe

labels = torch.arange(2000) % 10
centres = torch.eye(10, 16, dtype=torch.float64)
clusters = centres[labels] + 0.05 * torch.randn(2000, 16, generator=generator, dtype=torch.float64)
noise = torch.randn(2000, 16, generator=generator, dtype=torch.float64)
half = slice(0, 1000), slice(1000, 2000)


def accuracy_of(z, y):
    return knn(z[half[0]], y[half[0]], z[half[1]], y[half[1]])


mine = knn_votes(cosine_matrix(noise[half[1]], noise[half[0]]), labels[half[0]]).argmax(dim=1)
by_hand = (mine == labels[half[1]]).double().mean()
verify("the library counts what these votes decide", accuracy_of(noise, labels), by_hand)
verify("perfect clusters: accuracy 1", accuracy_of(clusters, labels), 1)
shuffled = labels[torch.randperm(2000, generator=generator)]
verify("shuffled labels: near 1/10", abs(accuracy_of(clusters, shuffled) - 0.1) < 0.03)
verify("noise, scored on its own bank: 1", knn(noise, labels, noise, labels, k=1), 1)

# %% [markdown]
# ## Derivation: three splits, two probes, one protocol
#
# The trap is why there are three splits. **train**: for training, and as the bank. **validation**: for choosing
# settings. **test**: scored once, for the number that is reported. Who chooses on the test split reports luck.
# This lesson compares recipes, so all its figures are on the validation split, and so are its claims. The table of all
# objectives at the end is on the test split.
#
# Beside kNN stands a second measure, the **linear probe**: logistic regression on the frozen features. The two can
# disagree. Four clusters at $(\pm1, 0)$ and $(0, \pm1)$; class 0 is the first pair, class 1 the second. Every point
# has its neighbours in its own class. But no straight line has more than three of the four clusters on the right
# side.

# %% tags=["nbval-check-output"]
corners = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
cross = corners.repeat(50, 1) + 0.05 * torch.randn(200, 2, generator=generator, dtype=torch.float64)
sides = torch.tensor([0, 0, 1, 1]).repeat(50)
split = cross[:100], sides[:100], cross[100:], sides[100:]
verify("kNN: 1", knn(*split, k=5), 1)
verify("linear probe: at most 3 of 4", linear_probe(*split) <= 0.75)

# %% [markdown]
# Neither is the truth. kNN asks whether images of one class lie *together*; the probe asks whether one can *read off*
# the class by a weighted sum. A number needs its **protocol**: which split, which $k$, which $\tau$, which features.

# %%
from jemlib.evaluate import protocol
from jemlib.experiments import baselines

print(protocol(images, held_out))

# %% [markdown]
# ## Derivation: two collapses, two numbers
#
# Collapse comes in two types. **Type 1**: all images get the same embedding. **Type 2**: embeddings differ, but only
# along few directions, so most dimensions are wasted. Each needs its own number.
#
# ### Type 1: the normalised standard deviation
#
# Divide each row by its length, so that only directions count: $u_i = z_i/|z_i|$. Take the standard deviation of each
# dimension over the batch, their mean, and multiply by $\sqrt D$:
#
# $$\text{std}(Z) = \sqrt{D}\;\frac1D\sum_j \text{std}_j, \qquad
# \text{std}_j = \sqrt{\tfrac1N\textstyle\sum_i (u_{ij} - \bar u_j)^2} .$$
#
# {{exercise:normalized_std}}


# %% exercise="normalized_std"
def normalized_std(z):
    """sqrt(D) times the mean over dimensions of the std over the batch of the unit rows, a number."""
    ### BEGIN SOLUTION
    u = F.normalize(z, dim=1)
    return z.shape[1] ** 0.5 * u.std(dim=0, correction=0).mean()
    ### END SOLUTION


# %% check="normalized_std"
normalized_std = check(normalized_std)

# %% [markdown]
# Why $\sqrt D$? The variances of unit vectors have a sum that we know from above: $\sum_j \text{std}_j^2 = 1 - |\bar
# u|^2$. It is at most 1. The mean of some numbers is at most the root of their mean square, so $\text{std}(Z)^2 \le 1
# - |\bar u|^2 \le 1$. The number is 0 when all rows point one way, and 1 when the mean direction is 0 and all
# dimensions spread alike.

# %% tags=["nbval-check-output"]
u = z_a / z_a.norm(dim=1, keepdim=True)
spread = 1 - u.mean(dim=0).square().sum()
verify("the variances sum to 1 - |mean u|^2", u.var(dim=0, correction=0).sum(), spread)
batches = [torch.randn(9, 4, generator=generator, dtype=torch.float64) + shift for shift in range(50)]
bounded = [normalized_std(z) ** 2 <= diagnose.directional_spread(z) <= 1 for z in batches]
verify("std^2 <= 1 - |mean u|^2 <= 1 for 50 random batches", all(bounded))
axes = torch.cat([torch.eye(4, dtype=torch.float64), -torch.eye(4, dtype=torch.float64)])
verify("both ends of each axis: 1", normalized_std(axes), 1)
verify("a constant: 0", normalized_std(torch.full((6, 4), 3.0, dtype=torch.float64)), 0)

# %% [markdown]
# ### Type 2: RankMe
#
# Along how many directions do the embeddings spread? The singular values $\sigma_1 \ge \sigma_2 \ge \dots$ of the
# matrix $Z$ say how much lies along each. Turn them into shares, take the entropy of the shares, and its exponential:
#
# $$\text{RankMe}(Z) = \exp\Big(-\sum_r p_r \log p_r\Big), \qquad p_r = \frac{\sigma_r}{\sum_s \sigma_s} + \epsilon .$$
#
# If $m$ singular values are equal and the others 0, the entropy is $\log m$ and RankMe is $m$: it counts directions.
# Conventions: $Z$ is not centred, the $\sigma_r$ are not squared, and $\epsilon = 10^{-7}$ stands outside the fraction.
#
# {{exercise:rankme}}


# %% exercise="rankme"
def rankme(z, eps=1e-7):
    """exp of the entropy of the singular values' shares, a number."""
    ### BEGIN SOLUTION
    sigma = torch.linalg.svdvals(z)
    p = sigma / sigma.sum() + eps
    return torch.exp(-(p * p.log()).sum())
    ### END SOLUTION


# %% check="rankme"
rankme = check(rankme)

# %% [markdown]
# Verify. By hand: singular values 3 and 1 have shares 3/4 and 1/4. The entropy is $\log 4 - \frac34\log 3$, so RankMe
# is $4 / 3^{3/4}$. The smallest value is 1, the largest $\min(N, D)$; scale and rotation change nothing. A common
# offset does: it makes one direction large. (The tolerance leaves room for $\epsilon$.)

# %% tags=["nbval-check-output"]
hand = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
verify("diag(3, 1): 4 / 3^(3/4)", rankme(hand), 4 / 3**0.75, tolerance=1e-5)
frame = torch.linalg.qr(torch.randn(20, 8, generator=generator, dtype=torch.float64))[0]
verify("eight orthonormal columns: 8", rankme(frame), 8, tolerance=1e-5)
verify("a constant: 1", rankme(torch.full((20, 8), 3.0, dtype=torch.float64)), 1, tolerance=1e-4)
batches = [torch.randn(6, 4, generator=generator, dtype=torch.float64) for _ in range(100)]
verify("100 random batches lie in [1, 4]", all(1 <= rankme(z) <= 4.0001 for z in batches))
verify("scale and rotation change nothing", rankme(50 * z_a @ turn), rankme(z_a))
verify("a common offset lowers it", rankme(frame + 5) < rankme(frame))

# %% [markdown]
# ## Predict, then run: a perfect score
#
# Make embeddings in $D = 64$ dimensions as follows. Half of the images get the vector $(1, 1, \dots, 1)$, the other
# half $(-1, -1, \dots, -1)$. They carry one bit, along one direction. This is Type 2 at its worst.
#
# **Question.** The normalised standard deviation lies between 0 (collapsed) and 1 (perfect). What does it say here?
# Write down a number. Then: what if the two vectors are $\pm(1, 0, \dots, 0)$ instead?

# %% tags=["nbval-check-output"]
bit = torch.where(torch.arange(100) % 2 == 0, 1.0, -1.0).double()[:, None]
first_axis = torch.zeros(1, 64, dtype=torch.float64)
first_axis[0, 0] = 1
candidates = {
    "+-(1, 1, ..., 1)": bit * torch.ones(1, 64, dtype=torch.float64),
    "+-(1, 0, ..., 0)": bit * first_axis,
    "Gaussian": torch.randn(100, 64, generator=generator, dtype=torch.float64),
    "constant": torch.ones(100, 64, dtype=torch.float64),
}
print(f"{'embeddings':18s} {'normalised std':>14s} {'RankMe':>7s}")
for name, z in candidates.items():
    print(f"{name:18s} {float(normalized_std(z)):14.2f} {float(rankme(z)):7.1f}")

# %% [markdown]
# <details><summary>Why</summary>
#
# A perfect 1. Each dimension is $\pm 1/\sqrt{64}$ in half of the batch each, so each has the standard deviation it
# should have. That all dimensions say the *same* is invisible to a number that looks at one dimension at a time. The
# very same geometry along one axis scores $1/\sqrt{64}$: this number depends on the axes, RankMe does not. So look at
# both. A normalised standard deviation near 0 shows Type 1; a RankMe near 1 shows Type 2.
#
# </details>
#
# `plots.diagnose` shows these numbers and some more in one panel. Here, one line in 64 dimensions plus a little noise:

# %%
line = bit + 0.05 * torch.randn(100, 64, generator=generator, dtype=torch.float64)
plots.diagnose(line, title="one direction, in 64 dimensions")

# %% [markdown]
# ## Predict, then run: what does a network know before it is trained?
#
# A number means little alone. These rows stand below and above every result of the course:
#
# - **raw pixels** as features: what comes without any network;
# - the **untrained** network: what comes with its architecture;
# - the same network trained with labels, **supervised**: roughly what can be had.
#
# **Question.** There are ten classes, so guessing gives 0.10. Order these four, from worst to best: kNN on raw pixels;
# linear probe on raw pixels; kNN on the untrained network; linear probe on the untrained network.

# %%
from jemlib.scales import adjusted_scale

short = max(1, scale.total_steps(len(images)) // 3)
controls = baselines(images, held_out, scale=adjusted_scale(scale, steps=short))
for name, row in controls.items():
    print(f"{name:12s} kNN {row['knn']:.3f}   linear probe {row['linear']:.3f}")

# %% [markdown]
# <details><summary>Why</summary>
#
# A weighted sum of raw pixels cannot tell the patterns apart: the linear probe is near guessing. Contrast has either
# sign equally often, and a pattern can be shifted anywhere, so the *average* image is the same for all classes. It is
# the cross of the four clusters again. Neighbours do a little better, because now and then two images nearly
# coincide. The untrained network gives about the same kNN. But its convolutions, thresholds and averages turn "some
# edge like this, anywhere" into numbers, so the probe reads off far more. That is the architecture, not learning, and
# it is why the control is the *same* network untrained. (At scale `smoke` all of these figures mean nothing.)
#
# </details>

# %% [markdown]
# ## Experiment: which operation matters most?
#
# The lecture notes say that the random crop is the most critical augmentation, and that finding good augmentations may
# help more than changing the loss. The first is said to be an empirical finding; the second is the lecturers' opinion.
# Both depend on the images. So test them on these.
#
# SimCLR (lesson 01) learns from four kinds of views: all operations; all but the crop; all but those on colours
# (jitter, grey, solarise); no operation at all. The rest is equal: network, loss, seed, a third of the usual steps.
#
# **Predict.** Which removal costs most? Will any of them end *below* the untrained network?

# %%
from dataclasses import replace

from jemlib.evaluate import backbone_knn
from jemlib.train import fit

full = PRESETS["vicreg"][0]
recipes = {
    "full": full,
    "no crop": replace(full, crop_scale=None),
    "no colours": replace(full, jitter_probability=0.0, grey=0.0, solarize=0.0),
    "none": nothing,
}


def train(recipe, name="simclr"):
    """A method after a third of the usual steps, its views drawn by this recipe."""
    method = build(name, scale=scale, views=recipe)
    fit(method, images, scale=scale, steps=short)
    return method


trained = {name: train(recipe) for name, recipe in recipes.items()}
accuracy = {name: backbone_knn(method.backbone, images, held_out) for name, method in trained.items()}
figures.bars(accuracy, lines={name: row["knn"] for name, row in controls.items()})

# %% [markdown]
# **Claims**, tested here and over three seeds by `jem claims`:

# %%
claim("start.views-teach", trained=accuracy["full"], untrained=controls["untrained"]["knn"])
claim("start.labels-teach-more", supervised=controls["supervised"]["knn"], trained=accuracy["full"])
claim("start.no-views-no-learning", full=accuracy["full"], none=accuracy["none"])
claim("start.colours-matter-more-than-crops-here", no_crop=accuracy["no crop"], no_colours=accuracy["no colours"])

# %% [markdown]
# <details><summary>Why</summary>
#
# Without changes of colour, both views of an image have the same two hues and the same brightness, and other images
# have other ones. So colours tell which views belong together, and a network that looks at nothing else solves the
# task. The pattern it can forget. This is a **shortcut**. A crop cannot close it, because a crop leaves colours
# alone. Without the crop, the colours are still disturbed, and the pattern remains the better clue. Motifs were made
# that way, so this is no discovery about images. On photographs the balance may be another one: SimCLR's authors report
# that crop and colour *together* matter most. The recipe must disturb what must not be a clue, and keep what should be.
#
# </details>
#
# Is that explanation true? First the images, without any network. Take two views of each of 200 images, drawn without
# changes of colour, and look for the partner of each view by the histogram of its colours alone. Then ask the same
# histogram for the pattern.

# %%
pair_of = {}
for name in ("no colours", "full"):
    made = make_views(images.pixels[:200], recipes[name], generator=torch.Generator().manual_seed(0))
    one_view, other_view = (figures.colour_histogram(denormalize(view).clamp(0, 1)) for view in made)
    nearest = torch.cdist(one_view, other_view).argmin(dim=1)
    pair_of[name] = float((nearest == torch.arange(200)).double().mean())
    print(f"partner found among 200 by colours alone, views {name!r}: {pair_of[name]:.2f}")
bank = images.subset(slice(0, 2000))
counts = [figures.colour_histogram(part.pixels.float() / 255) for part in (bank, held_out)]
by_colour = knn(counts[0], bank.labels, counts[1], held_out.labels)
print(f"pattern by colours alone: kNN {by_colour:.2f}, guessing 0.10")
verify("without changes of colour, colours find the partner ten times as often as chance", pair_of["no colours"] > 0.05)
verify("and more often than with them", pair_of["no colours"] > pair_of["full"])
verify("of the pattern they say little", by_colour < 0.25)

# %% [markdown]
# Now the networks. The factors are known, so it can be tested: how well can each factor be read off the
# features by a linear map? 1 is perfect, 0 is nothing. If colours are a shortcut, the network trained without changes
# of colour should know more of them than the one trained with all operations, and less of the pattern.

# %%
from jemlib.evaluate import factor_probe
from jemlib.nets import features

asked = ("pattern", "foreground_hue", "background_hue", "saturation", "contrast", "brightness", "position", "frequency")
some = images.subset(slice(0, 5000))
known = [{name: part.factors[name] for name in asked} for part in (some, held_out)]
control = build("simclr", scale=scale)
networks = {"untrained": control, "full": trained["full"], "no colours": trained["no colours"]}
read_off = {
    name: factor_probe(features(net.backbone, some), known[0], features(net.backbone, held_out), known[1])
    for name, net in networks.items()
}
plots.factor_table(read_off, title="factors in the features, by recipe")

# %%
print("trained with all operations, less untrained:")
for name in asked:
    print(f"  {name:15s} {read_off['full'][name] - read_off['untrained'][name]:+.2f}")

# %% [markdown]
# <details><summary>What you should see</summary>
#
# The pattern gains most. But look at *position* and *contrast*. Every full view changes them, and at scale cpu they
# can be read off *better* after training than before. So "what the views change,
# the network ignores" is too simple. The loss rewards agreement of the *embeddings*, behind the projector. The features
# before it may keep what the embeddings drop, and knowing where a thing lies can help to recognise it. What the views
# change stops being a *clue* to which images belong together. Whether it is forgotten must be measured.
#
# </details>

# %% [markdown]
# And the loss? The same full views, the same steps, VICReg (lesson 04) in place of SimCLR:

# %%
accuracy_vicreg = backbone_knn(train(full, "vicreg").backbone, images, held_out)
print(f"another loss, full views:   kNN changes by {accuracy_vicreg - accuracy['full']:+.2f}")
print(f"same loss, no colours:      kNN changes by {accuracy['no colours'] - accuracy['full']:+.2f}")

# %% [markdown]
# One seed, one data set, two losses: a small test, in favour of the opinion. It says nothing about the crop on
# photographs. You can run that yourself, see the end of this section.
#
# ### Did anything collapse?
#
# The panel for the embeddings $z$ of the run with all operations, and of the run without changes of colour:

# %%
from jemlib.evaluate import embeddings

plots.diagnose(embeddings(trained["full"], held_out), title="all operations")

# %%
plots.diagnose(embeddings(trained["no colours"], held_out), title="no changes of colour")

# %% [markdown]
# If neither panel reports a collapse, look at the two bars again. **Healthy embeddings can be about the wrong thing.**
# Diagnostics of collapse and accuracy answer different questions; a result needs both.
#
# ### On photographs, and on a GPU
#
# From a terminal in the course folder:
#
# ```
# jem train simclr --data cifar10 --scale cpu                  # downloads CIFAR-10 once
# jem train simclr --data cifar10 --scale cpu --set views=none # the same without augmentation
# jem train simclr --data folder:PATH --scale cpu              # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train simclr --scale gpu                                 # ResNet-18, 200 epochs, one GPU
# ```
#
# For a recipe of your own, use `train(Recipe(...))` above, with `images = load("cifar10", "train")`. The lecture
# notes name one more operation that could replace the crop: masking patches. `--set mask_ratio=0.5` tries it on a
# convolutional network, where it brings artificial edges along. A later lesson looks at that.

# %% [markdown]
# ## Widget: what moves what
#
# View A is one object. View B is the same object, changed. The bars show the energy between them, for unit features,
# divided by the energy of two images drawn at random: 0 is the same, 1 is as far apart as strangers.
# Four kinds of features: raw pixels; a histogram of the colours; the untrained network; the network trained above.
# Move one slider at a time, and look for three things.
#
# 1. `mirrored`: large for pixels, exactly 0 for the histogram, which has no positions.
# 2. `hue`: larger for the histogram than for the pixels. What does training do about it?
# 3. `pattern`: this one *should* move the features. Which features hardly notice?

# %%
figures.two_views_widget(trained["full"].backbone)

# %% [markdown]
# The same picture for readers on paper, at one setting: cropped, mirrored, another hue.

# %%
figures.two_views(crop_area=0.6, mirrored=True, hue=0.2, trained=trained["full"].backbone)

# %% [markdown]
# And for many objects, one change at a time. A good column is pale above the line and dark below it: it hardly moves
# under the changes that views make, and notices the pattern.
# No view turns the object, so nothing asks the network to ignore a turn: compare that row before and after training.

# %%
figures.what_moves_what(trained["full"].backbone)

# %% [markdown]
# ## What the sources got wrong
#
# The number is that of the course's list of errata.
#
# **E30: "the random crop is the only one that can change spatial information".** The lecture notes say so, add that
# flip does it a little, and that colour jitter and blur change channels. Test it with two questions. Is the operation
# *blind to positions*? Then shuffling the pixels before or after it gives the same result. Is it *blind to channels*?
# Then exchanging red and blue before or after it gives the same result.

# %% tags=["nbval-check-output"]
from jemlib import views

x = small.pixels[:16].double() / 255
n = len(x)
order = torch.randperm(32 * 32, generator=generator)
values = torch.linspace(0.2, 0.4, n, dtype=torch.float64)
box = torch.tensor([4, 4, 20, 20]).expand(n, 4)
never, always = torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)
operations = {
    "crop": lambda x: crop_and_resize(x, box, never).double(),
    "flip": lambda x: mirror(x, always),
    "brightness": lambda x: views.adjust_brightness(x, 1 + values),
    "contrast": lambda x: views.adjust_contrast(x, 1 + values),
    "saturation": lambda x: views.adjust_saturation(x, values),
    "hue": lambda x: views.adjust_hue(x, values),
    "grey": lambda x: views.to_grey(x, always),
    "blur": lambda x: views.blur(x, 1 + values),
}


def shuffled_pixels(x):
    return x.flatten(2)[:, :, order].view_as(x)


def exchanged_channels(x):
    return x[:, [2, 1, 0]]


def commutes(operation, change):
    return bool(torch.allclose(operation(change(x)), change(operation(x)), atol=1e-5))


print(f"{'':11s} {'blind to positions':>20s} {'blind to channels':>20s}")
for name, operation in operations.items():
    marks = ["yes" if commutes(operation, change) else "no" for change in (shuffled_pixels, exchanged_channels)]
    print(f"{name:11s} {marks[0]:>20s} {marks[1]:>20s}")

# %% [markdown]
# Three operations are spatial: crop, flip *and blur*. Blur mixes neighbours and leaves channels apart; colour jitter
# never looks at positions. So the crop is not the only one. Step by step: a flip keeps every value and only moves it;
# blur of one channel does not depend on the others; a change of colours moves no pixel.

# %% tags=["nbval-check-output"]
flipped, blurred = operations["flip"](x), operations["blur"](x)
verify("a flip keeps the values of every row", flipped.sort(dim=3).values, x.sort(dim=3).values)
verify("but moves them: spatial information changes", not torch.allclose(flipped, x))
red_only = x * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).view(3, 1, 1)
verify("blurred red does not depend on green and blue", operations["blur"](red_only)[:, 0], blurred[:, 0])
verify("blur is not blind to positions", not commutes(operations["blur"], shuffled_pixels))
jitter = [operations[name] for name in ("brightness", "contrast", "saturation", "hue")]
verify("colour jitter is", all(commutes(operation, shuffled_pixels) for operation in jitter))

# %% [markdown]
# That the crop is the *most critical* one is a hypothesis about some images. On motifs the operations on colours matter
# more. But motifs were made so that colour is the shortcut: the experiment shows that the answer depends on the images.
# It does not speak against crops on photographs, where the answer may differ: see the lesson on views in the plan of the course.

# %% [markdown]
# ## Take-away
#
# - Two views, one network, an energy that is low for compatible pairs. Low alone is collapse: the energy of other pairs
#   must stay up, and methods differ in how they see to that.
# - The mean energy of all pairs of unit vectors is $2(1 - |\bar u|^2)$. Hold the energy of compatible pairs to that.
# - What the views change is no clue any more to which images belong together; what they leave alone may become a
#   shortcut. Being no clue is not being forgotten: position and contrast stay in the features. Measure it.
# - kNN asks what lies together, the linear probe what can be read off. Choose on validation, report on test once.
# - No number without its rows: raw pixels, the same network untrained, the same network with labels.
# - Normalised std sees Type 1, RankMe sees Type 2. Neither sees healthy embeddings of the wrong thing.
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("00_start_here")

# %% [markdown]
# And the way ahead: all objectives of the course on these images, after the full number of steps, beside the three
# controls. Each lesson derives some of its rows. Note how close together most of them are, under one recipe of views.

# %%
from jemlib.methods import SELF_SUPERVISED

objectives_so_far(*SELF_SUPERVISED)

# %% [markdown]
# Next: lesson 01 keeps the energy of other pairs up by pushing them apart; lesson 02 does without other pairs.

# %% [markdown]
# ## Quiz
#
# **1.** The energy of pairs falls to a hundredth during training. Is that good?
#
# <details><summary>Answer</summary>
#
# Cannot be said. If all embeddings shrink, or all move to one place, it falls as well. Compare with the mean energy
# of all pairs under the same network: only if that did not fall along, compatible pairs have come closer than others.
#
# </details>
#
# **2.** Somebody reports kNN accuracy 0.93 and used the test split to choose the temperature. What is wrong, and what
# should they do?
#
# <details><summary>Answer</summary>
#
# They report the best of several looks at the test split, which is too high by an unknown amount. Choose the
# temperature on the validation split, then score once on the test split.
#
# </details>
#
# **3.** An untrained network has a higher linear probe than raw pixels. Has it learned something?
#
# <details><summary>Answer</summary>
#
# No. Convolution, threshold and average pooling are a fixed feature map that suits images. It is part of every result
# of this architecture, so subtract it in thought: the control is the same network untrained.
#
# </details>
#
# **4.** You want features that tell flowers apart by colour. Which operation must leave the recipe?
#
# <details><summary>Answer</summary>
#
# Those on colours: hue and saturation jitter, grey, solarise. What the views change is no clue for the loss, so nothing
# asks the network to keep it. But keep brightness and the crop, or colour in the form of light becomes a shortcut.
#
# </details>
#
# **5.** Normalised std 0.99, RankMe 2 of 128. What happened?
#
# <details><summary>Answer</summary>
#
# Collapse of Type 2. Each dimension varies as it should, but all of them follow two directions. The standard deviation
# looks at one dimension at a time and cannot see that they are copies.
#
# </details>
#
# **6.** A batch of 64 embeddings in 512 dimensions has RankMe 60. Do the embeddings use few directions?
#
# <details><summary>Answer</summary>
#
# It is almost the largest possible value: RankMe cannot exceed $\min(N, D) = 64$. Use many more samples than dimensions
# before you call a rank low.
#
# </details>

# %% [markdown]
# ## References
#
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton: *A Simple Framework for Contrastive Learning of Visual Representations*
#   (SimCLR), ICML 2020, arXiv:2002.05709. The operations, and which of them matter together: section 3.
# - J.-B. Grill and others: *Bootstrap Your Own Latent* (BYOL), NeurIPS 2020, arXiv:2006.07733. Their parameters:
#   appendix B.
# - Z. Wu, Y. Xiong, S. Yu, D. Lin: *Unsupervised Feature Learning via Non-Parametric Instance Discrimination*, CVPR 2018,
#   arXiv:1805.01978. The weighted kNN: section 3.4.
# - X. Chen, K. He: *Exploring Simple Siamese Representation Learning* (SimSiam), CVPR 2021, arXiv:2011.10566. The
#   standard deviation of unit outputs as a sign of collapse.
# - Q. Garrido, R. Balestriero, L. Najman, Y. LeCun: *RankMe*, ICML 2023, arXiv:2210.02885.
# - T. Wang, P. Isola: *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere*, ICML 2020, arXiv:2005.10242. Alignment.
# - A. Canziani, J. Zhu, scribe S. C. Akula: *Joint Embedding Methods - Regularised*, lecture notes, 12 May 2022. The list
#   of augmentations and the opinion on their weight.
