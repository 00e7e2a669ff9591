# %% [markdown] edition="2"
# # 09 · DINO and data2vec: learn from your own slow copy
#
# A student looks at one crop of an image. Its teacher looks at another. The teacher is no wiser: it is a slow copy of the
# student. The student has to say what the teacher says. What keeps the two from giving one answer for every image?
# Two things do, and each alone leads into a collapse of its own. You write both, see both collapses on a
# triangle, and train with *your* loss. Then come data2vec, which predicts features of hidden patches, and SimDINO, which
# needs neither of the two.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. *centre and sharpen* a teacher's logits, in the right order (exercise 9.1);
# 2. *write* the cross-entropy between student and teacher, and split it into entropy and divergence (exercise 9.2);
# 3. *write* DINO's loss over all pairs of crops, and train a network with it (exercise 9.3);
# 4. *derive* its gradient (exercise 9.4);
# 5. *name* the two collapses that centring and sharpening oppose, and see both;
# 6. *repair* a centre that runs and never arrives (exercise 9.5);
# 7. *derive* a centre that balances probabilities, and say why it is Sinkhorn's (exercise 9.6);
# 8. *measure* the room that a batch takes up, and replace all of this by it: SimDINO (exercises 9.7 and 9.8);
# 9. *compute* data2vec's targets, and say what a layer norm can and cannot prevent (exercises 9.9 and 9.10);
# 10. *write* two terms of DINO's heirs, KoLeo and Gram anchoring (exercises 9.11 and 9.12).

# %% [markdown]
# ## Before you start
#
# You need logarithms, the softmax and cross-entropy, some PyTorch, and the picture of lesson 00: an image, random views
# of it, an encoder that maps each view to an embedding. Nothing else from the course is required.
# The lesson runs on a laptop without a GPU and without a network.
#
# **Time.** Three to three and a half hours, with reading and runs: loss and gradient 55 minutes, the two collapses and
# the centres 50, SimDINO 35, data2vec 35, the experiments 35 (the runs take a few minutes of it). Stop after any section;
# `jem progress` in a terminal shows what is done.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(dino)` gives one hint at a time, and `solution(dino)` shows the answer.

# %%
import math

import torch
import torch.nn.functional as F

from jemlib import losses, plots
from jemlib.course import check, claim, hint, objectives_so_far, recorded, recorded_claims, solution, verify
from jemlib.course.lessons.lesson09_dino_data2vec import claims as small
from jemlib.course.lessons.lesson09_dino_data2vec import figures
from jemlib.train import current_scale

scale = current_scale()
print(f"Scale {scale.name}. Set the environment variable JEMLIB_SCALE to smoke, cpu or gpu to change it.")

# %% [markdown]
# ## Notation
#
# {{symbols: N D K_dino g_S g_T tau_S tau_T V_local c_dino rho_c P_S P_T theta_S xi_T m L_dino U_dino R_rate gamma_R eps_d
# T_pos a_block y_d2v beta_s}}
#
# Indices: $i$ counts samples, $k$ counts outputs, $t$ and $s$ count the views of teacher and student. Capital $S$ and $T$
# below a letter stand for student and teacher.
# Logarithms are natural, so the unit is the nat.

# %% [markdown]
# ## Ladder: from hand numbers to the library
#
# Each step goes the same way: small numbers that you can check by hand, then a loop or a formula, then the library.
# The network ends in $K$ numbers, the *logits*. There are no labels; the $K$ outputs are classes that the network makes
# up. A softmax turns logits into shares. Divided by a temperature first, they become sharper or flatter.
#
# Here are the small numbers: $N = 1$ sample, $K = 2$ outputs. The teacher's logits are $(0.04 \log 3,\ 0)$, its
# temperature is $0.04$. The student's logits are $(0, 0)$.

# %% tags=["nbval-check-output"]
g_t = torch.tensor([[0.04 * math.log(3), 0.0]], dtype=torch.float64)
g_s = torch.zeros(1, 2, dtype=torch.float64)
print("teacher:", [round(value, 4) for value in torch.softmax(g_t / 0.04, dim=1)[0].tolist()])
print("student:", [round(value, 4) for value in torch.softmax(g_s / 0.1, dim=1)[0].tolist()])

# %% [markdown]
# ## Derivation: centre, then sharpen
#
# The teacher's distribution is
#
# $$P_T = \operatorname{softmax}\Big(\frac{g_T - c}{\tau_T}\Big) .$$
#
# Two things happen. The *centre* $c$, one number for each output, is subtracted. It is a running mean of the teacher's
# logits: what all images have in common goes away. And the small temperature $\tau_T$ *sharpens*: differences between
# logits are multiplied by $1/\tau_T$ before the softmax.
#
# {{exercise:teacher_distribution}}
#
# `logits` is $(N, K)$, `center` is $(K,)$; the result is $(N, K)$, and rows sum to 1. It is a target: detach it.


# %% exercise="teacher_distribution"
def teacher_distribution(logits, center, temperature=0.04):
    """softmax((g - c) / tau_t), (N, K), without gradient."""
    ### BEGIN SOLUTION
    return torch.softmax((logits - center) / temperature, dim=1).detach()
    ### END SOLUTION


# %% check="teacher_distribution"
teacher_distribution = check(teacher_distribution)

# %% tags=["nbval-check-output"] alt="Bars of one row of logits at three temperatures: nearly equal at 1, two large ones at 0.1, one large one at 0.04."
nothing = torch.zeros(2, dtype=torch.float64)
verify("the hand numbers: 3/4 and 1/4", teacher_distribution(g_t, nothing), [[0.75, 0.25]])
verify("a centre equal to the logits leaves 1/K", teacher_distribution(g_t, g_t[0]), 1 / 2)
generator = torch.Generator().manual_seed(0)
g = torch.randn(6, 4, generator=generator, dtype=torch.float64)
bias = torch.tensor([3.0, 0.0, -1.0, 0.5], dtype=torch.float64)
verify(
    "a bias that the centre knows changes nothing", teacher_distribution(g + bias, bias, 0.5), torch.softmax(2 * g, 1)
)
verify(
    "one number for all outputs changes nothing",
    teacher_distribution(g, 7 * torch.ones(4), 0.5),
    torch.softmax(2 * g, 1),
)
figures.sharpened()

# %% [markdown]
# ## Derivation: cross-entropy, entropy, divergence
#
# The student has its own temperature $\tau_S$, and no centre: $P_S = \operatorname{softmax}(g_S/\tau_S)$. Its loss is the
# cross-entropy under the teacher's distribution:
#
# $$H(P_T, P_S) = -\frac1N \sum_i \sum_k P_{T,ik} \log P_{S,ik} .$$
#
# The student is trained by it. The teacher is not: no gradient reaches it (*stop-gradient*). It will follow in another
# way.
#
# {{exercise:teacher_cross_entropy}}
#
# `p` is the teacher's distribution $(N, K)$. Detach it here as well; then nobody can forget it. `student_logits` is
# $(N, K)$ and not yet divided by the temperature. Return a scalar. Very large logits must work too.


# %% exercise="teacher_cross_entropy"
def teacher_cross_entropy(p, student_logits, temperature=0.1):
    """Mean over the samples of -sum_k p_k log softmax(student_logits / temperature)_k."""
    ### BEGIN SOLUTION
    log_s = torch.log_softmax(student_logits / temperature, dim=1)
    return -(p.detach() * log_s).sum(dim=1).mean()
    ### END SOLUTION


# %% check="teacher_cross_entropy"
teacher_cross_entropy = check(teacher_cross_entropy)

# %% [markdown]
# Add and subtract $\log P_T$ inside the sum. The loss falls into two parts:
#
# $$H(P_T, P_S) = \underbrace{-\frac1N\sum_{i,k} P_{T,ik} \log P_{T,ik}}_{\text{teacher's entropy}} +
# \underbrace{\frac1N\sum_{i,k} P_{T,ik} \log \frac{P_{T,ik}}{P_{S,ik}}}_{\text{divergence}} .$$
#
# The student can lower the second part only. The first belongs to the teacher, and it tells which collapse is near:
# $\log K$ says uniform, $0$ says one-hot.

# %% tags=["nbval-check-output"]
p = teacher_distribution(g_t, nothing)
verify("the hand numbers: log 2", teacher_cross_entropy(p, g_s), math.log(2))
entropy = float(torch.special.entr(p).sum())
print(f"of which the teacher's entropy is {entropy:.4f}, and the divergence {math.log(2) - entropy:.4f}")
p, s = teacher_distribution(g, bias, 0.5), torch.randn(6, 4, generator=generator, dtype=torch.float64)
divergence = (p * (p.log() - torch.log_softmax(s / 0.3, dim=1))).sum(dim=1).mean()
verify(
    "cross-entropy = entropy + divergence",
    teacher_cross_entropy(p, s, 0.3),
    torch.special.entr(p).sum(dim=1).mean() + divergence,
)
verify("and the divergence is never negative", divergence >= 0)

# %% [markdown]
# ## Derivation: many crops, one loss
#
# DINO cuts several views from an image. Two are *global*: they show most of it. Others are *local*: small crops. The
# student sees all of them, the teacher the global ones only. So the student has to say from a corner what the teacher
# says from the whole. With $V$ local crops there are $2(V + 2)$ pairs. The two in which teacher and student saw the very
# same view are skipped. That leaves $2(V + 1)$.

# %% alt="Eight images of patterns, below each two global views, and two small local crops that show a part of it."
from jemlib.data import load
from jemlib.views import LOCAL_CROP, denormalize, make_views

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
shown = images.pixels[:8]
views = make_views(shown, "dino", generator=torch.Generator().manual_seed(0))
local = make_views(shown, LOCAL_CROP, num_views=2, size=16, generator=torch.Generator().manual_seed(1))
rows = [shown, *denormalize(views), *(F.interpolate(denormalize(crop), scale_factor=2) for crop in local)]
plots.image_grid(rows, ["image", "global", "global", "local", "local"])

# %% [markdown]
# The loss is the mean of the cross-entropies over these pairs $(t, s)$, $t \neq s$. The teacher's views come first in
# both lists, in one order, so view $t$ of the teacher is view $t$ of the student.
#
# {{exercise:dino}}
#
# `student_logits` and `teacher_logits` are *lists* of $(N, K)$, one tensor for each view. Return three scalars: the
# total, the teacher's entropy (the mean over its views and samples), and their difference, the divergence, which jemlib
# calls `kl`. No gradient reaches the teacher. Its shares may be exactly 0, and $0 \log 0$ counts as 0. This function will
# train your network.


# %% exercise="dino"
def dino(student_logits, teacher_logits, center, student_temperature=0.1, teacher_temperature=0.04):
    """(total, teacher's entropy, divergence) over all pairs of different views."""
    ### BEGIN SOLUTION
    targets = [teacher_distribution(g, center, teacher_temperature) for g in teacher_logits]
    pairs = [
        teacher_cross_entropy(p, logits, student_temperature)
        for t, p in enumerate(targets)
        for s, logits in enumerate(student_logits)
        if s != t
    ]
    total = torch.stack(pairs).mean()
    entropy = torch.stack([torch.special.entr(p).sum(dim=1).mean() for p in targets]).mean()
    return total, entropy, total - entropy
    ### END SOLUTION


# %% check="dino"
dino = check(dino)

# %% tags=["nbval-check-output"]
students = [torch.randn(5, 4, generator=generator, dtype=torch.float64) for _ in range(4)]
teachers = [torch.randn(5, 4, generator=generator, dtype=torch.float64) for _ in range(2)]
c = 0.1 * torch.randn(4, generator=generator, dtype=torch.float64)
ours, library = dino(students, teachers, c, 0.5, 0.2), losses.dino(students, teachers, c, 0.5, 0.2)
verify("your total is that of the library", ours[0], library[0])
pairs = [(t, s) for t in range(2) for s in range(4) if s != t]
verify("2 global and 2 local crops: 2 (2 + 1) pairs", len(pairs), 6)
zeros = [torch.zeros(5, 4, dtype=torch.float64)] * 2
verify("zero logits: log K", dino(zeros, zeros, torch.zeros(4, dtype=torch.float64))[0], math.log(4))
shifted = [view + torch.randn(5, 1, generator=generator, dtype=torch.float64) for view in students]
verify("a number added to all logits of a sample changes nothing", dino(shifted, teachers, c, 0.5, 0.2)[0], ours[0])

# %% [markdown]
# ## Derivation: the gradient
#
# Take one sample, and write $x = g_S/\tau_S$. The log-softmax is $\log P_{S,k} = x_k - \log\sum_j e^{x_j}$, so its
# derivative with respect to $x_j$ is $\mathbb 1[j = k] - P_{S,j}$. Multiply by $-P_{T,k}$ and sum over $k$. The shares
# $P_{T,k}$ sum to 1, and what is left is $P_{S,j} - P_{T,j}$: prediction minus target. The inner derivative is
# $1/\tau_S$, and the mean brings $1/N$.
#
# {{exercise:dino_gradient}}
#
# Return the gradient of `teacher_cross_entropy(p, student_logits, temperature)` with respect to the student's logits,
# $(N, K)$, as a formula.


# %% exercise="dino_gradient"
def dino_gradient(p, student_logits, temperature=0.1):
    """d teacher_cross_entropy / d student_logits in closed form, (N, K)."""
    ### BEGIN SOLUTION
    predicted = torch.softmax(student_logits / temperature, dim=1)
    return (predicted - p) / (temperature * len(p))
    ### END SOLUTION


# %% check="dino_gradient"
dino_gradient = check(dino_gradient)

# %% tags=["nbval-check-output"]
leaf = s.clone().requires_grad_()
teacher_cross_entropy(p, leaf, 0.3).backward()
verify("the closed form is what backward computes", dino_gradient(p, s, 0.3), leaf.grad)
verify("its rows sum to 0", dino_gradient(p, s, 0.3).sum(dim=1), 0)
flat = torch.full((6, 4), 0.25, dtype=torch.float64)
verify("uniform meets uniform: no gradient", dino_gradient(flat, torch.zeros_like(flat)), 0)
one = F.one_hot(torch.zeros(6, dtype=torch.int64), 4).double()
verify("one-hot meets one-hot: no gradient", dino_gradient(one, 100 * one), 0)

# %% [markdown]
# ## Predict, then run: two collapses on a triangle
#
# There are no negatives: nothing pushes two images apart. The last two lines above are a warning. Two kinds of agreement
# have no gradient, so the student rests there: all say *uniform*, or all say *the same one output*. With $K = 3$ one can
# see it. A distribution over three outputs is a point of a triangle. A corner is one-hot, the middle is uniform. Sixty
# points of three groups go through one linear layer, and your loss trains it. Nobody tells it the groups. Output 1 is a
# little ahead at the start.
#
# **Questions.** Where do the points go (a) with a sharp teacher and no centre; (b) with a centre and a teacher as warm as
# the student, $\tau_T = \tau_S = 0.1$; (c) with both, centre and $\tau_T = 0.04$? Write down *one corner*, *the middle*
# or *three corners* for each. Then run the cell.

# %% alt="Three triangles. Without a centre all points sit in one corner. Without sharpening they crowd the middle. With both, each of three groups has a corner. Below: the teacher's entropy at 0, at log 3, and low."
triangles = {
    "(a) no centre": figures.simplex_run("none", 0.04, steps=200, loss=dino),
    "(b) no sharpening": figures.simplex_run("mean", 0.1, steps=200, loss=dino),
    "(c) both": figures.simplex_run("mean", 0.04, steps=200, loss=dino),
}
ends = [run.end for run in triangles.values()]
most = [int(end.argmax(dim=1).bincount(minlength=3).max()) for end in ends]
mean_entropy = [float(torch.special.entr(end).sum(dim=1).mean()) / math.log(3) for end in ends]
verify("(a) one output takes all 60 points", most[0] == 60 and mean_entropy[0] < 0.1)
verify("(b) all points are nearly uniform", mean_entropy[1] > 0.9)
verify("(c) each output takes about a third, and is sure of it", most[2] <= 25 and mean_entropy[2] < 0.4)
figures.simplexes(triangles)

# %% [markdown]
# <details><summary>Why</summary>
#
# (a) *One corner.* A sharp teacher exaggerates whatever is ahead. Output 1 is a little ahead for all points, so the
# teacher says output 1, the student learns it, and the teacher follows. The loss ends at 0, the least possible: this
# collapse is a minimum.
#
# (b) *The middle.* The centre takes away what all points share. What is left is small, a warm teacher does not enlarge
# it, and under noise the student's best answer is flatter still. Round by round everything fades. The loss ends at
# $\log 3$. It is high, and nothing pulls away from it.
#
# (c) *Three corners.* The centre forbids one corner for all; sharpening forbids the middle. The paper says it in this
# way: centring prevents one dimension from dominating but encourages collapse to the uniform distribution, sharpening
# does the opposite.
#
# </details>
#
# ## Widget: the triangle
#
# Look for four things.
#
# 1. With `centering` "none", lower `teacher_temperature` step by step. From where on does one corner win?
# 2. With "mean", raise it. From where on do the groups melt into the middle?
# 3. Set `momentum` to 1: the teacher stays as it started. What can the student learn from it?
# 4. "balanced" is a centre that you will derive below. Compare it with "mean".
#
# Below the widget is the same picture for readers on paper, at one setting.

# %%
figures.simplex_widget()

# %% alt="A triangle with three groups of points, each in a corner of its own; below it the teacher's entropy falls from log 3 to a low value, and the divergence rises and falls."
figures.simplex(centering="balanced", teacher_temperature=0.04, momentum=0.9, steps=120)

# %% [markdown]
# ## Derivation: a centre that follows
#
# DINO's centre is a moving average of the teacher's *raw* logits, over the samples of the batch and the teacher's views:
#
# $$c \leftarrow \rho\, c + (1 - \rho)\, \overline{g_T}, \qquad \rho = 0.9 .$$
#
# Order matters. The loss uses the old centre; then the centre is updated; then come the optimiser's step and the
# teacher's.
#
# ### A step that runs, and a centre that never arrives
#
# Somebody wrote the teacher's part like this. It runs, and nothing warns. To see what it does, feed it logits that are
# noise around a bias: output 1 is ahead by 0.4 in every image. A centre that works takes the bias away, and then output
# 1 has the share $1/5$ of five outputs. Look at both columns: the centre stops half-way, and output 1 wins nearly every
# image.
#
# {{exercise:teacher_step}}
#
# The next cell runs the broken step; then write the right one. `center` is $(K,)$, `teacher_logits` a list of $(N, K)$.
# `momentum` is $\rho$ here. Return the targets under the *old* centre, stacked to (views, $N$, $K$), and the *next* centre,
# from the raw logits. The old one is still needed: make a new tensor.

# %%


def broken_step(center, teacher_logits, momentum=0.9, temperature=0.04):
    teacher_logits = [g - center for g in teacher_logits]
    targets = torch.stack([torch.softmax(g / temperature, dim=1) for g in teacher_logits])
    mean = torch.stack([g.mean(dim=0) for g in teacher_logits]).mean(dim=0)
    return targets, momentum * center + (1 - momentum) * mean


def watch(step, steps=60, bias=0.4):
    """The centre of output 1 over the steps, and a table of it and of the share of output 1."""
    draw, center, path = torch.Generator().manual_seed(5), torch.zeros(5, dtype=torch.float64), []
    ahead = torch.tensor([bias, 0, 0, 0, 0], dtype=torch.float64)
    for number in range(steps + 1):
        logits = [0.02 * torch.randn(64, 5, generator=draw, dtype=torch.float64) + ahead for _ in range(2)]
        path.append(float(center[0]))
        targets, center = step(center, logits)
        if number % 20 == 0:
            print(
                f"  step {number:2d}: centre {path[-1]:.3f} of {bias}, share of output 1 {float(targets[..., 0].mean()):.3f}"
            )
    return path


print("broken step")
stuck = watch(broken_step)


# %% exercise="teacher_step"
def teacher_step(center, teacher_logits, momentum=0.9, temperature=0.04):
    """(targets, next centre) of a step: targets (views, N, K) under the old centre, the next centre (K,)."""
    ### BEGIN SOLUTION
    targets = torch.stack([teacher_distribution(g, center, temperature) for g in teacher_logits])
    mean = torch.stack([g.mean(dim=0) for g in teacher_logits]).mean(dim=0)
    return targets, momentum * center + (1 - momentum) * mean
    ### END SOLUTION


# %% check="teacher_step"
teacher_step = check(teacher_step)

# %% alt="Two curves of the centre of output 1: that of the broken step levels off at half of the dotted line of the bias, that of the right step reaches it."
print("your step")
arrived = watch(teacher_step)
verify("the broken centre stops at half of the bias", abs(stuck[-1] / 0.4 - 0.5) < 0.02)
verify("yours leaves 0.9^k of the bias after k steps", abs(1 - arrived[20] / 0.4 - 0.9**20) < 0.02)
figures.centre_paths({"broken step": stuck, "your step": arrived}, bias=0.4)

# %% [markdown]
# Why exactly half? In the long run the update leaves the centre where it is. The broken step averages logits from which
# the centre is taken away already: $c = \rho c + (1 - \rho)(b - c)$, and that gives $c = b/2$ for a bias $b$. Half of the
# bias stays, and divided by $\tau_T = 0.04$ it is enough for output 1 to win.
#
# ## Derivation: the momentum teacher
#
# The teacher is no other network. Its weights $\xi$ follow the student's weights $\theta$ after each step:
# $\xi \leftarrow m\, \xi + (1 - m)\, \theta$. With $m = 1$ it never moves, with $m = 0$ it is the student itself. If the
# student stood still, the gap would shrink by $m^k$ in $k$ steps, so half of it is gone after $\log 2 / (1 - m)$ steps,
# nearly. The paper starts at $m = 0.996$ and raises it to 1 by a half cosine. On a run of a few hundred steps such a
# teacher would be mostly what it was at the start; the short runs below take a fast one.

# %% tags=["nbval-check-output"]
from jemlib.nets import MomentumEncoder, cosine_momentum

layer = torch.nn.Linear(3, 2)
slow = MomentumEncoder(layer)
start = slow.network.weight.clone()
with torch.no_grad():
    layer.weight.add_(1)
for _ in range(10):
    slow.follow(layer, 0.9)
left = (layer.weight - slow.network.weight) / (layer.weight - start)
verify("after 10 steps 0.9^10 of the gap is left", left, 0.9**10, tolerance=1e-5)
for m in (0.5, 0.9, 0.99, 0.996):
    print(f"m = {m}: half of the gap is gone after {math.log(0.5) / math.log(m):5.1f} steps")
verify("the schedule ends at 1", cosine_momentum(1.0, 0.996), 1)

# %% [markdown]
# ## Derivation: balance probabilities, not logits
#
# With the mean as centre, all outputs have equal mean *logits*. That is not equal use. An output whose logits vary more
# from image to image wins more often, although its mean is the same. A stronger demand: over the batch, the mean
# *probability* of each output is $1/K$. Which centre does that? If output $k$ has the mean probability $\bar P_k$,
# too large by the factor $K\bar P_k$, divide its exponentials by this factor. An exponential is $e^{(g - c)/\tau_T}$, so
#
# $$c_k \leftarrow c_k + \tau_T \log\big(K \bar P_k\big) .$$
#
# Then the rows have to be normalised again, which the softmax does, and the columns are a little off again. Repeat.
#
# {{exercise:balanced_center}}
#
# Start from `center` $(K,)$ and repeat the update `iterations` times, with the mean over all samples of all views in
# `teacher_logits`, a list of $(N, K)$. In each round the probabilities are those under the centre of the round before.
# Return the last centre as a new tensor.


# %% exercise="balanced_center"
def balanced_center(center, teacher_logits, temperature=0.04, iterations=3):
    """The centre after some rounds of balancing the mean probabilities, (K,)."""
    ### BEGIN SOLUTION
    logits = torch.cat(list(teacher_logits))
    for _ in range(iterations):
        p = teacher_distribution(logits, center, temperature)
        center = center + temperature * torch.log(logits.shape[1] * p.mean(dim=0))
    return center
    ### END SOLUTION


# %% check="balanced_center"
balanced_center = check(balanced_center)

# %% [markdown]
# ### It is Sinkhorn, seen from the centre
#
# Normalise columns, normalise rows, repeat: that is Sinkhorn's algorithm, by which SwAV (lesson 06) makes its codes.
# $-c/\tau_T$ is its potential of the columns. The next cell verifies that both give one table.
#
# ### The centre that failed here
#
# The course's record holds every run that was made while DINO's settings were chosen. The picture shows them all: kNN on
# validation images against the speed of the teacher, for both centres. These runs differ in other settings too
# (temperatures, $K$, length), so it is a cloud and no comparison at equal terms. The experiment below makes that one.
# What it shows: with a slow teacher, at the left, both centres reach about the same. With a faster one, runs with the mean
# lose and balanced runs gain, and the best of all runs are among these.
#
# The balanced centre is no invention of this course. The paper of DINO has it in an ablation. And it is what became of
# DINO: the code of DINOv2 can use it, and the configuration of DINOv3 says `centering: sinkhorn_knopp`.

# %% alt="Marks of recorded runs: kNN against one minus the teacher's momentum. Circles, the mean as centre, stay below the middle and fall to the right. Squares, the balanced centre, lie higher and rise to the right."
logits = [0.2 * torch.randn(40, 5, generator=generator, dtype=torch.float64) for _ in range(2)]
zero = torch.zeros(5, dtype=torch.float64)
balanced = balanced_center(zero, logits, 0.1, 300)
codes = teacher_distribution(torch.cat(logits), balanced, 0.1)
verify("balanced: every output has the mean probability 1/K", codes.mean(dim=0), 1 / 5)
verify("it is Sinkhorn's table", codes, losses.sinkhorn(torch.cat(logits), 0.1, 300), tolerance=1e-8)
uneven = torch.cat([3 * logits[0][:, :1], logits[0][:, 1:]], dim=1)
uneven = uneven - uneven.mean(dim=0)
shares = teacher_distribution(uneven, uneven.mean(dim=0), 0.04).mean(dim=0)
print("equal mean logits, one output varies more; its mean probability and the others':")
print("  " + "  ".join(f"{value:.2f}" for value in shares.tolist()))
figures.recorded_centres(figures.recorded_runs())

# %% [markdown]
# ## Derivation: SimDINO, or room instead of centres
#
# Centre, two temperatures, $K$ outputs, a warm-up for the teacher's temperature: all this only keeps two collapses apart.
# SimDINO (arXiv:2502.10385) asks for the opposite of collapse directly. Drop the head with its $K$ outputs, and take the
# embeddings, divided by their lengths, as rows of $U$. How much room do they take up? The *coding rate*
#
# $$R(U) = \frac12 \log\det\Big(I + \frac{D}{N\epsilon}\, U^\top U\Big)
# = \frac12 \sum_{j} \log\Big(1 + \frac{D}{N \epsilon}\,\lambda_j\Big)$$
#
# grows with every eigenvalue $\lambda_j$ of $U^\top U$, but ever more slowly. For unit rows the eigenvalues sum to $N$,
# so a logarithm prefers them equal: many directions, each used alike.
#
# {{exercise:coding_rate}}
#
# `z` is $(N, D)$; take its rows as they are. Return the scalar.


# %% exercise="coding_rate"
def coding_rate(z, eps=0.05):
    """(1/2) log det(I + D/(N eps) Z^T Z)."""
    ### BEGIN SOLUTION
    n, d = z.shape
    return torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) / 2
    ### END SOLUTION


# %% check="coding_rate"
coding_rate = check(coding_rate)

# %% tags=["nbval-check-output"]
u = F.normalize(torch.randn(8, 4, generator=generator, dtype=torch.float64), dim=1)
point = u[:1].expand(8, 4)
frame = torch.cat([torch.eye(4, dtype=torch.float64)] * 2)
verify("all rows in one point: (1/2) log(1 + D/eps)", coding_rate(point), 0.5 * math.log(1 + 4 / 0.05))
verify("rows that use all directions alike: (D/2) log(1 + 1/eps)", coding_rate(frame), 2 * math.log(1 + 1 / 0.05))
verify("others lie between", (coding_rate(point) < coding_rate(u)) & (coding_rate(u) < coding_rate(frame)))
leaf = u.clone().requires_grad_()
coding_rate(leaf).backward()
scaled = 4 / (8 * 0.05)
inverse = torch.linalg.inv(torch.eye(4, dtype=torch.float64) + scaled * u.T @ u)
verify("its gradient is a Z (I + a Z^T Z)^-1, with a = D/(N eps)", leaf.grad, scaled * u @ inverse)

# %% [markdown]
# At the point the rate is not zero: one direction is used, and fully. A collapse shows in this: the rate is at its least.
#
# The loss turns the student's rows towards the teacher's, and lets the student's rows take up room:
#
# $$L = -\frac{1}{\text{pairs}}\sum_{t \ne s} \frac1N\sum_i u_{S,i} \cdot u_{T,i}\ -\
# \gamma\, \frac{D + N}{D N}\, R(U_S) .$$
#
# The pairs are those of DINO, and no gradient reaches the teacher. The rate is that of the student's global views, one by
# one, then averaged: the first views of its list, as many as the teacher has. The factor
# $(D+N)/(DN)$ is the authors' heuristic to keep both gradients of one size, whatever $N$ and $D$ are. $\gamma$
# (`expansion`) is 1.
#
# {{exercise:simdino}}
#
# `student` and `teacher` are lists of $(N, D)$, not yet normalised. Return the total, the alignment (minus the mean
# cosine) and the coding rate, the last two without weights. It will train a network, too.


# %% exercise="simdino"
def simdino(student, teacher, eps=0.05, expansion=1.0):
    """(total, alignment, coding rate) of lists of views."""
    ### BEGIN SOLUTION
    u = [F.normalize(view, dim=1) for view in student]
    targets = [F.normalize(view, dim=1).detach() for view in teacher]
    pairs = [(a * b).sum(dim=1).mean() for t, b in enumerate(targets) for s, a in enumerate(u) if s != t]
    alignment = -torch.stack(pairs).mean()
    rate = torch.stack([coding_rate(view, eps) for view in u[: len(targets)]]).mean()
    n, d = u[0].shape
    return alignment - expansion * (d + n) / (d * n) * rate, alignment, rate
    ### END SOLUTION


# %% check="simdino"
simdino = check(simdino)

# %% tags=["nbval-check-output"]
eye = torch.eye(2, dtype=torch.float64)
verify("two orthogonal samples that agree: -1 - log 21", simdino([eye, eye], [eye, eye])[0], -1 - math.log(21))
ours, library = simdino(students, teachers), losses.simdino(students, teachers)
verify("your total is that of the library", ours[0], library[0])
same = torch.tensor([[0.6, 0.8]], dtype=torch.float64).expand(5, 2)
leaf = same.clone().requires_grad_()
collapsed = simdino([leaf, leaf], [same, same])
collapsed[0].backward()
verify("all rows equal: the alignment is at its best, -1", collapsed[1], -1)
verify("and the gradient is 0: a stationary point, but no minimum", leaf.grad, 0)
apart = simdino([eye[[0, 0, 1, 1, 1]]] * 2, [eye[[0, 0, 1, 1, 1]]] * 2)
verify("rows that agree and spread cost less", apart[0] < collapsed[0])

# %% [markdown]
# ## Experiment: your losses train, and what happens without each part
#
# The data are `motifs`: generated images of ten patterns whose other factors are drawn at random. The class is the
# pattern, and no label is used in training. We score on the *validation split*, `held_out`, because we compare.
# Three short runs, a third of the usual steps each, and all with your losses: DINO with the balanced centre; DINO
# without a centre; SimDINO. Four more were recorded: DINO with the mean as centre, DINO without sharpening, SimDINO
# without its coding rate, and *bare*. That last one is DINO with its centre but without the batch norm at the output.
# The norm would hide a complete collapse, so the run without a centre goes without it too, and *bare* is what to compare
# it with. Put their names into `others` if you have a minute or two for each.
#
# **Predict.** What are the teacher's entropy and the share of the most used output without a centre? And without
# sharpening? Which of the two centres gives the better kNN?

# %%
from jemlib.methods import build
from jemlib.train import fit

own = {"dino": dino, "simdino": simdino}
steps = max(1, int(small.FRACTION * scale.total_steps(len(images))))
log_every = max(1, steps // 40)
histories = {}


def run(variant):
    """A short run of one of the variants, with your loss; what is measured of it."""
    name, settings = small.VARIANTS[variant]
    method = build(name, scale=scale, loss=own[name], **settings)
    histories[variant] = fit(method, images, scale=scale, steps=steps, log_every=log_every)
    return method, small.described(method, images, held_out)


method, row = run("balanced")
print(f"This network is trained by {method.whose_loss}.")
table, outputs = {"balanced": row}, {"balanced": small.assignments(method, held_out)}
for name in ("dino", "simdino"):
    table[f"untrained {name}"] = small.described(build(name, scale=scale), images, held_out)

# %% alt="Share of the images for each output, most used first, on logarithmic axes: a long curve that falls slowly for the balanced centre, and a single point at 1 without a centre."
others = []  # "mean", "no sharpening", "bare", "no rate": recorded; here only if you name them
for variant in ["no centre", "simdino", *others]:
    method, table[variant] = run(variant)
    if method.name == "dino":
        outputs[variant] = small.assignments(method, held_out)
    else:
        print(f"{variant}: trained by {method.whose_loss}.")
print(f"{'':18s} {'loss':>7s} {'kNN':>6s} {'RankMe':>7s} {'spread':>7s} {'top':>6s} {'H/log K':>8s}")
for variant, row in table.items():
    loss = f"{histories[variant]['total'][-1]:7.3f}" if variant in histories else f"{'':7s}"
    dinos = f"{row['top']:6.3f} {row['entropy']:8.3f}" if "top" in row else ""
    print(f"{variant:18s} {loss} {row['knn']:6.3f} {row['rankme']:7.1f} {row['spread']:7.3f} {dinos}")
figures.usage(
    {
        name: p.argmax(dim=1).bincount(minlength=p.shape[1]) / len(p)
        for name, p in outputs.items()
        if name in ("balanced", "mean", "no centre")
    }
)

# %%
claim("dino.learns", trained=table["balanced"]["knn"], untrained=table["untrained dino"]["knn"])
claim("simdino.learns", trained=table["simdino"]["knn"], untrained=table["untrained simdino"]["knn"])

# %% [markdown]
# ### What you should see
#
# Read the table from the right. `top` is the share of the most used output, `H/log K` the teacher's entropy as a share of
# the largest possible. The two collapses stand at opposite ends of both columns, as on the triangle.
#
# **Without a centre** `top` goes to 1: one output for every image. kNN falls to about a tenth, which is chance among ten
# patterns. And the loss is *lower* than that of the run that learns: never choose between such runs by their loss.
#
# **Without sharpening** `H/log K` goes to 1, as the record says. The spread of the embeddings stays large there, because
# the batch norm holds it. What is lost are directions. The README's table of removals has that run too: RankMe falls to
# about a sixth.
#
# **Which centre?** The mean holds the mean logits equal and lets the probabilities go where they like. Outputs that vary
# little from image to image are never the largest, so they are used by none. Few outputs in use are few directions of the
# embeddings. Note what this does not say: the paper trains with the mean as centre, for long, with a slow teacher and
# large batches. We say only that it failed in the short runs that this course can afford.
#
# **SimDINO** has no `top` and no entropy: it has no outputs. Its spread is what the coding rate holds. Without the rate
# nothing does, and the student follows its own copy into one point; that run is in the record. (SimDINO's loss is another
# quantity than DINO's. The two cannot be compared.)

# %%
recorded(
    "kNN after a third of the steps: DINO {dino.learns: trained}, the same backbone untrained {dino.learns: untrained}, "
    "with the mean as centre {dino.balanced-beats-the-mean: mean}, SimDINO {simdino.learns: trained}.\n\n"
    "RankMe of the embeddings: balanced centre {dino.the-mean-keeps-few-directions: balanced}, mean as centre "
    "{dino.the-mean-keeps-few-directions: mean}.\n\n"
    "Share of the most used output: bare {dino.no-centre-one-output: centred}, bare without a centre "
    "{dino.no-centre-one-output: none}. Entropy over $\\log K$: with sharpening {dino.no-sharpening-uniform: sharp}, "
    "without {dino.no-sharpening-uniform: flat}.\n\n"
    "Directional spread of SimDINO: with the rate {simdino.the-rate-keeps-it-open: rate}, without "
    "{simdino.the-rate-keeps-it-open: none}."
)

# %% [markdown]
# ## Derivation: data2vec's targets
#
# data2vec keeps the slow teacher and changes the question. There are no two views. The image is cut into $T$ patches. The
# student sees it with many of them hidden; the teacher sees all of it. At each hidden position the student predicts what
# the teacher *computes* there: not pixels, but features, which know the whole image.
#
# Which features? The teacher has several blocks. Block $l$ puts out $a_l$, of shape $(N, T, D)$. The target is the mean
# over the last blocks, each normalised first:
#
# $$y = \frac{1}{\text{top}} \sum_{l \in \text{last}} \mathrm{LN}(a_l), \qquad
# \mathrm{LN}(a) = \frac{a - \operatorname{mean}(a)}{\sqrt{\operatorname{var}(a) + 10^{-5}}} .$$
#
# The layer norm LN has no parameters here. Mean and variance run over the $D$ features of one position of one image, and
# the variance is divided by $D$.
#
# {{exercise:data2vec_targets}}
#
# `layers` is a list of $(N, T, D)$, first block to last; `top` says how many of the last ones count, `None` means all.
# Return $(N, T, D)$, detached.


# %% exercise="data2vec_targets"
def data2vec_targets(layers, top=None):
    """The mean over the last blocks of their layer norms, (N, T, D), without gradient."""
    ### BEGIN SOLUTION
    chosen = layers if top is None else layers[-top:]
    return torch.stack([F.layer_norm(a, a.shape[-1:]) for a in chosen]).mean(dim=0).detach()
    ### END SOLUTION


# %% check="data2vec_targets"
data2vec_targets = check(data2vec_targets)

# %% [markdown]
# ### What a layer norm can and cannot prevent
#
# **It can** fix the size. Whatever the blocks' size is, targets neither fade nor explode, and no block drowns the others.
#
# **It cannot** prevent that all images get the same features. The norm looks at one position of one image. It has no way
# to know what other images have. If block $l$ is one vector for everything, LN of it is one vector for everything: a
# constant target, of a fine length. A student predicts it perfectly, at loss 0. What holds off that collapse is not the
# norm; the slow teacher, the mask and the start have to do it, and nothing in the loss guarantees it.

# %% tags=["nbval-check-output"]
a = torch.randn(6, 5, 8, generator=generator, dtype=torch.float64)
size = data2vec_targets([a]).square().mean()
verify("a thousand times larger: the same targets", data2vec_targets([1000 * a]), data2vec_targets([a]), tolerance=1e-4)
verify("their mean square is 1", size, 1, tolerance=1e-4)
constant = torch.randn(8, generator=generator, dtype=torch.float64).expand(6, 5, 8)
y = data2vec_targets([constant, 3 * constant])
verify("one vector for all images: its norm is one vector for all", y.var(dim=0, correction=0), 0)
verify("of length sqrt(D), far from 0", y.square().sum(dim=2), 8, tolerance=1e-3)
print(
    f"share of the mean square that differs between images: {small.between_images(data2vec_targets([a])):.2f} and {small.between_images(y):.2f}"
)

# %% [markdown]
# ## Derivation: the loss at hidden positions
#
# Errors are measured by *smooth L1*: with $e = |\hat y - y|$ for one feature of one position,
#
# $$\ell(e) = \begin{cases} e^2/(2\beta) & e < \beta \\ e - \beta/2 & \text{otherwise.} \end{cases}$$
#
# It is a parabola near 0 and a straight line outside; value and slope agree where they meet. Single large errors pull
# less than with a square. The loss is the mean of $\ell$ over the *hidden* positions and their features.
#
# {{exercise:data2vec}}
#
# `predictions` and `targets` are $(N, T, D)$, `mask` is a boolean $(N, T)$, `True` where a patch was hidden. Detach the
# targets, and return a scalar.


# %% exercise="data2vec"
def data2vec(predictions, targets, mask, beta=1.0):
    """Smooth L1 between predictions and targets, averaged over the masked positions and the features."""
    ### BEGIN SOLUTION
    error = (predictions - targets.detach())[mask].abs()
    return torch.where(error < beta, error.square() / (2 * beta), error - beta / 2).mean()
    ### END SOLUTION


# %% check="data2vec"
data2vec = check(data2vec)

# %% tags=["nbval-check-output"] alt="Ten images, and below each the same image with more than half of its 64 patches grey."
from jemlib.views import mask_pixels, normalize, patch_mask

hidden = torch.tensor([[True, False]])
made = torch.tensor([[[0.5, 3.0], [9.0, 9.0]]], dtype=torch.float64)
verify("errors 0.5 and 3 where hidden: (0.125 + 2.5) / 2", data2vec(made, torch.zeros_like(made), hidden), 1.3125)
mask = patch_mask(10, small.RATIO, patch=small.PATCH, generator=torch.Generator().manual_seed(0))
masked = mask_pixels(normalize(images.pixels[:10]), mask)
plots.image_grid([images.pixels[:10], denormalize(masked)], ["teacher", "student"])

# %% [markdown]
# ## Experiment: a small masked transformer
#
# A vision transformer with three blocks, 64 patches, and a *mask token*: a vector that is learned and stands for a hidden
# patch. The teacher follows it. Two runs with your functions: data2vec's targets, and the same without the norm.
#
# Three things are logged. The loss *beside the loss of the position*: of all predictions that know where a patch is but
# not what the image shows, the mean target there is nearly the best. A ratio of 1 says that the image is not used. The
# *size* of the targets, their root mean square. And the *share between images*: how much of their mean square differs
# from image to image. At complete collapse it is 0.
#
# **Predict.** What does the norm hold: the size, the share between images, or both?

# %% alt="Three panels over the steps for two runs, with the norm and without: loss over loss of the position, size of the targets, and share between images."
student, history = small.masked_run(scale, targets=data2vec_targets, loss=data2vec)
bare_student, bare_history = small.masked_run(scale, targets=small.plain_targets, loss=data2vec)
print(
    "trained by", "jemlib's" if data2vec.__module__.startswith("jemlib.") else "your", "data2vec and data2vec_targets"
)
figures.masked_training({"with the norm": history, "without": bare_history})

# %%
torch.manual_seed(0)
trained_knn, untrained_knn = (small.masked_knn(network, scale) for network in (student, small.MaskedTransformer()))
print(f"kNN on validation images: trained {trained_knn:.3f}, untrained {untrained_knn:.3f}")
last = {name: sum(history[name][-4:]) / len(history[name][-4:]) for name in ("total", "blind", "between")}
grown = {name: h["size"][-1] / h["size"][0] for name, h in (("normed", history), ("plain", bare_history))}
claim("data2vec.beats-the-position", loss=last["total"], position=last["blind"])
claim("data2vec.keeps-images-apart", between=last["between"])
claim("data2vec.no-pattern-yet", trained=trained_knn, untrained=untrained_knn)
claim("data2vec.the-norm-holds-the-size", **grown)

# %% [markdown]
# ### What you should see
#
# **What does the norm hold?** The size. By construction the solid curve in the middle panel never exceeds 1, and it falls
# only as far as the two blocks disagree. Nothing holds the dashed one: it grows to about twice. The right panel is
# another matter. No term of the loss holds the share between images, with the norm or without. Here it stays where it
# was, in both runs alike; that is what training happened to do.
#
# **Left panel.** At a ratio of 1 or above the student has not even learned the mean of each position. Below 1 it uses what
# the image shows, and it ends far below: about a tenth. Both parts of the ratio move, because the targets move: a falling
# loss alone would not tell learning from targets that become easy.
#
# **A failed claim: kNN.** We had claimed that the trained transformer is at least `0.03` above the untrained one. With all
# three seeds it is a little *below* it, near chance. So the student predicts hidden features well, the images stay apart,
# nothing has collapsed, and still the pattern cannot be read off. What is predictable across patches need not be what you
# want: the hues and the light of an image are the same in all of its patches. Whether that is what it learned here, we
# have not measured. The run is also far shorter than masked prediction is given anywhere.

# %%
recorded(
    "At the end the loss is {data2vec.beats-the-position: loss}, that of the position {data2vec.beats-the-position: "
    "position}; the share between images is {data2vec.keeps-images-apart: between}.\n\n"
    "The size of the targets grew by the factor {data2vec.the-norm-holds-the-size: normed} with the norm, "
    "{data2vec.the-norm-holds-the-size: plain} without. kNN: trained {data2vec.no-pattern-yet: trained}, "
    "untrained {data2vec.no-pattern-yet: untrained}."
)

# %% [markdown]
# ## Derivation: two terms of DINO's heirs
#
# DINOv2 adds a term that spreads a batch. *KoLeo* pushes each sample away from its nearest neighbour only:
#
# $$L_{\text{KoLeo}} = -\frac1N \sum_i \log\Big(\min_{j \ne i} |u_i - u_j| + \epsilon\Big) .$$
#
# $u_i$ are unit rows. Up to constants it is minus an estimate of the entropy of the embeddings (Kozachenko and
# Leonenko). Its weight in DINOv2 is 0.1. Two duplicates would cost infinitely much, so $\epsilon$ stands in the
# logarithm.
#
# {{exercise:koleo}}
#
# Normalise the rows of `z` $(N, D)$ inside, and return the scalar. A trap: $\sqrt{2 - 2\cos}$ is a distance on paper, but
# its slope is infinite at 0, and a row's own distance is 0. Find the nearest row first, then take the distance to it.
# The gradient reaches both rows of a pair.


# %% exercise="koleo"
def koleo(z, eps=1e-8):
    """Minus the mean log distance of each unit row to its nearest other one."""
    ### BEGIN SOLUTION
    u = F.normalize(z, dim=1)
    cosines = u.detach() @ u.detach().T
    nearest = (cosines - 3 * torch.eye(len(u), dtype=u.dtype)).argmax(dim=1)
    distance = (u - u[nearest]).square().sum(dim=1).sqrt()
    return -(distance + eps).log().mean()
    ### END SOLUTION


# %% check="koleo"
koleo = check(koleo)

# %% alt="Two circles: at the start twelve points in a narrow bunch at the right, after descent on KoLeo twelve points spread around the whole circle."
verify(
    "axes are sqrt(2) apart",
    losses.koleo(torch.eye(3, dtype=torch.float64))[0],
    -math.log(math.sqrt(2)),
    tolerance=1e-7,
)
verify("yours too", koleo(torch.eye(3, dtype=torch.float64)), -math.log(math.sqrt(2)), tolerance=1e-7)
before, after = figures.circle_descent(koleo)
verify("descent spreads the points", koleo(after) < koleo(before))
print("force on a cloud of a given size around one point:")
for width in (1.0, 0.1, 0.01):
    cloud = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64) + width * torch.randn(
        8, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    cloud.requires_grad_()
    (force,) = torch.autograd.grad(koleo(cloud), cloud)
    print(f"  size {width:4.2f}: {float(force.norm()):7.1f}")
figures.circles({"before": before, "after KoLeo": after})

# %% [markdown]
# DINOv3 trains for very long, and reports that the features of single *patches* become worse while those of whole images
# become better. Its remedy looks at similarities only. For the $T$ patches of an image, the *Gram matrix* holds the
# cosines of all pairs. The student's is compared with that of an earlier teacher, the anchor, whose patches were still
# good:
#
# $$L_{\text{Gram}} = \operatorname{mean}\big( (X_S X_S^\top - X_G X_G^\top)^2 \big) ,$$
#
# where the rows of $X_S$ (student) and $X_G$ (anchor) are the patches, divided by their length. The mean runs over all
# pairs of patches, a patch with itself included, and all images. The features themselves may turn and
# go on learning; who resembles whom is kept. It is used late in training.
#
# {{exercise:gram_anchoring}}
#
# `student` and `anchor` are $(N, T, D)$. Detach the anchor, and return the scalar.


# %% exercise="gram_anchoring"
def gram_anchoring(student, anchor):
    """Mean squared difference of the patch-by-patch cosines, the anchor detached."""
    ### BEGIN SOLUTION
    s, g = F.normalize(student, dim=2), F.normalize(anchor.detach(), dim=2)
    return (s @ s.transpose(1, 2) - g @ g.transpose(1, 2)).square().mean()
    ### END SOLUTION


# %% check="gram_anchoring"
gram_anchoring = check(gram_anchoring)

# %% alt="Two matrices of cosines between the 64 patches of one image, for the trained and the untrained transformer; each has a red diagonal and a pattern of its own."
rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64))[0]
verify("a rotation of all features costs nothing", gram_anchoring(a @ rotation, a), 0)
verify("nor does another length of each", gram_anchoring(5 * a, a), 0)
verify("features that are alike at all positions do", gram_anchoring(constant, a) > 0.1)
verify(
    "two orthogonal patches against two equal ones: 1/2", gram_anchoring(eye[None], torch.ones(1, 2, 2).double()), 0.5
)
with torch.no_grad():
    torch.manual_seed(0)
    networks = {"trained": student, "untrained": small.MaskedTransformer()}
    patches = {name: net.layers(normalize(images.pixels[:1]))[-1][0] for name, net in networks.items()}
print(f"Gram term between the two: {float(gram_anchoring(*(x[None] for x in patches.values()))):.3f}")
figures.patch_cosines(patches)

# %% [markdown]
# ## Take-away
#
# - The teacher is the student's slow copy. It knows nothing more, so agreeing is easy, and collapse is the danger.
# - A centre forbids that one output wins for all; sharpening forbids that nothing wins. Each alone collapses, in opposite
#   corners of the table: entropy 0, entropy $\log K$.
# - The loss does not show it: at one collapse it is 0, at the other $\log K$. Watch entropy and usage.
# - The gradient is prediction minus target. Where both are equal for all images, it is 0: both collapses are stationary.
# - Equal mean logits are not equal use. Equal mean probabilities are, and that centre is Sinkhorn's.
# - A centre from centred logits stops at half of the bias. It runs, and nothing warns.
# - SimDINO replaces outputs, centre and temperatures by one term, the coding rate of the student's batch.
# - A layer norm of the target holds its size. It cannot know whether all images get the same target.
#
# ### On photographs, and on a GPU
#
# The same code trains on CIFAR-10. From a terminal in the course folder:
#
# ```
# jem train dino --data cifar10 --scale cpu                        # downloads CIFAR-10 once
# jem train dino --data folder:PATH --set local_crops=4            # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train simdino --scale gpu                                    # ResNet-18, 200 epochs, one GPU
# jem collapse --help                                              # every removal, measured
# ```
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("09_dino_data2vec")

# %% [markdown]
# The table of objectives so far. Each lesson adds its rows.

# %%
objectives_so_far("simclr", "barlow_twins", "vicreg", "swav", "byol", "simsiam", "dino", "simdino")

# %% [markdown]
# Next: lesson 10 asks of all these networks to what exactly they have become invariant.

# %% [markdown]
# ## Quiz
#
# **1.** A run of DINO stands at the loss $\log K$ and does not move. Which collapse is it, and what do you look at next?
#
# <details><summary>Answer</summary>
#
# The uniform one. Look at the temperatures: is the teacher's smaller than the student's? Then at the teacher's entropy:
# if it is $\log K$ as well, the divergence is 0 and the student has nothing left to learn.
#
# </details>
#
# **2.** Another run stands at a loss of nearly 0. Good news?
#
# <details><summary>Answer</summary>
#
# Not by itself. The loss is entropy plus divergence. Both can be 0 because one output wins for every image. Count how many
# outputs are in use.
#
# </details>
#
# **3.** Somebody adds the number 100 to the teacher's logits of output 3, for all images. What changes with a centre that
# has converged?
#
# <details><summary>Answer</summary>
#
# Nothing. A constant bias is taken away by the centre. Right after the change it is not: of the bias, $0.9^k$ is still
# there after $k$ steps.
#
# </details>
#
# **4.** Why are the pairs with one and the same view skipped?
#
# <details><summary>Answer</summary>
#
# They ask for nothing that a network does not do already: on the same view, student and teacher agree as soon as their
# weights do. Invariance is learned from pairs that differ.
#
# </details>
#
# **5.** The layer norm makes every target $\sqrt D$ long or less. So the representation cannot collapse?
#
# <details><summary>Answer</summary>
#
# It can. All targets may be one and the same vector of that length. What is excluded are targets that fade to zero or
# explode.
#
# </details>
#
# **6.** Is the loss of DINO a sum over single images, so that nothing has to be shared between devices?
#
# <details><summary>Answer</summary>
#
# The cross-entropy is. The centre is not: it is a mean over the batch, and the balanced one needs the whole batch for
# each step. A batch norm in the head couples images as well.
#
# </details>

# %% [markdown]
# ## References
#
# - M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski, A. Joulin: *Emerging Properties in Self-Supervised
#   Vision Transformers*, arXiv:2104.14294. Loss: eq. 1 to 3; centre: eq. 4. Official code: facebookresearch/dino.
# - A. Baevski, W.-N. Hsu, Q. Xu, A. Babu, J. Gu, M. Auli: *data2vec*, arXiv:2202.03555. Targets: section 3.3.
# - Z. Wu and others: *Simplifying DINO via Coding Rate Regularization*, arXiv:2502.10385. We read the official code,
#   RobinWu218/SimDINO.
# - M. Oquab and others: *DINOv2*, arXiv:2304.07193. KoLeo: A. Sablayrolles and others, arXiv:1806.03198.
# - Gram anchoring and the configuration of DINOv3: we read the code, facebookresearch/dinov3. What is said above about the
#   quality of patch features is the authors' report; we have not measured it.
# - Y. Yu and others: the coding rate, arXiv:2006.08558 (with $\epsilon^2$ where the code and we have $\epsilon$).

# %% [markdown]
# ## What the sources got wrong
#
# Optional: for readers who have the paper, the official code or the course's source notes beside them. The page
# [errata](errata.md) says what these notes are, and lists the corrections of all lessons. The cells below verify each.
#
# <details><summary>E23, E24, P5</summary>
#
# **E23 (lecture notes): a method without its name, and three parts missing.** The notes say: "the two softargmax
# components used have different coldness or temperature", and that "the energy function is the cross entropy between
# these two". This is DINO; the heading was lost. Missing are the centre, the slow teacher and the stop-gradient. And
# which is the colder one? The teacher's: $\tau_T$ from 0.04 to 0.07, $\tau_S = 0.1$.
#
# **E24 (lecture notes): a layer norm in the wrong place.** The notes say: "adds a layer norm at the end of the
# representation". This is data2vec, again without its heading. The norm is applied to the *teacher's* blocks, one by
# one, before they are averaged to the target. It excludes targets that fade or explode, and no constant.
#
# **P5 (paper): plus for minus.** The text of the DINO paper adds the centre to the teacher's logits. Its pseudo-code and
# its code subtract it. Added, it does the opposite: what is ahead gets further ahead.
#
# </details>

# %% tags=["optional", "nbval-check-output"]
# E23: a warm teacher and a cold student ask for flatter and flatter answers; without the centre one output takes all
p_cold, p_warm = torch.softmax(g / 0.04, dim=1), torch.softmax(g / 0.1, dim=1)
entropies = [torch.special.entr(q).sum(dim=1).mean() for q in (p_cold, p_warm)]
verify("the teacher's softmax is the colder: less entropy", entropies[0] < entropies[1])
verify("without the centre all 60 points of the triangle met in one corner", most[0], 60)

# %% tags=["optional", "nbval-check-output"]
# E24: LN(c) is the same for every image, whatever c is; and it cannot be 0
verify("LN of a constant is a constant", data2vec_targets([constant]).var(dim=0, correction=0), 0)
blocks = [a, 100 * a.flip(2)]
late = F.layer_norm(torch.stack(blocks).mean(dim=0), (8,))
verify("a norm at the end: the large block decides alone", late, F.layer_norm(blocks[1], (8,)), tolerance=0.2)
verify(
    "a norm of each block: both count alike",
    data2vec_targets(blocks),
    (data2vec_targets(blocks[:1]) + data2vec_targets(blocks[1:])) / 2,
)

# %% tags=["optional", "nbval-check-output"]
# P5: a bias of output 1, and a centre that knows it
ahead = torch.zeros(6, 4, dtype=torch.float64)
ahead[:, 0] = 0.1
subtracted, added = (teacher_distribution(ahead, sign * ahead[0]) for sign in (1, -1))
verify("subtracted, the bias is gone", subtracted, 1 / 4)
print(
    f"added, output 1 has the share {float(added[0, 0]):.3f} instead of {float(torch.softmax(ahead / 0.04, dim=1)[0, 0]):.3f}"
)
