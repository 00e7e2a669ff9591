"""The methods with a memory: momentum encoders, centres, queues, prototypes, clusterings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from jemlib.data import Images, load
from jemlib.losses import balanced_center, byol, dino, simsiam, swav
from jemlib.methods import Batch, Method, build
from jemlib.methods.pcl import cluster
from jemlib.train import fit

SMALL: dict[str, Any] = {"widths": (16, 8)}
PCL: dict[str, Any] = {**SMALL, "num_clusters": (3, 5), "queue": 64, "warmup": 0.25, "e_steps": 2}
SETTINGS: dict[str, dict[str, Any]] = {
    "swav": {**SMALL, "prototypes": 6, "queue": 32, "local_crops": 1},
    "pcl": PCL,
    "byol": {**SMALL, "hidden": 12},
    "simsiam": {**SMALL, "hidden": 12},
    "dino": {**SMALL, "prototypes": 6, "local_crops": 1},
    "simdino": {**SMALL, "local_crops": 1},
    "sigreg": {**SMALL, "slices": 8},
    "vicreg": {**SMALL, "mask_ratio": 0.5},
}


@pytest.fixture(scope="module")
def images() -> Images:
    return load("motifs", "train", limit=96)


@pytest.fixture
def views() -> Tensor:
    return torch.randn(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def trained(name: str, images: Images, *, steps: int = 8, **arguments: Any) -> Method:
    method = build(name, **SETTINGS[name])
    fit(method, images, scale="smoke", batch_size=32, steps=steps, **arguments)
    return method


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_cut_in_two_ends_at_the_weights_of_the_whole_run(name: str, images: Images, tmp_path: Path) -> None:
    def stop(method: Method, row: dict[str, float]) -> None:
        if row["step"] == 5:
            raise RuntimeError("stopped")

    whole = trained(name, images)
    with pytest.raises(RuntimeError, match="stopped"):
        trained(name, images, out=tmp_path, log_every=1, checkpoint_seconds=0.0, on_log=stop)
    resumed = trained(name, images, out=tmp_path, log_every=1)
    before, after = whole.state_dict(), resumed.state_dict()
    assert before.keys() == after.keys()
    assert [k for k, v in before.items() if isinstance(v, Tensor) and not torch.equal(v, after[k])] == []


def test_byol_whose_target_copies_the_student_takes_the_steps_of_simsiam(views: Tensor) -> None:
    """BYOL = 4 + 4 SimSiam, so a quarter of the learning rate gives the same weights, step after step."""
    b, s = build("byol", **SMALL, hidden=12, momentum=0.0).double(), build("simsiam", **SMALL, hidden=12).double()
    optimizers = [
        torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=r) for m, r in ((b, 0.05), (s, 0.2))
    ]
    for _ in range(4):
        losses = []
        for method, optimizer in zip((b, s), optimizers):
            loss = method.step(Batch(views.double()))
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            method.after_step(0.0)  # where momentum 0 is still 0
            losses.append(loss.total.item())
        assert losses[0] == pytest.approx(4 + 4 * losses[1], abs=1e-9)
    for ours, theirs in zip(b.backbone.parameters(), s.backbone.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def test_the_target_of_byol_is_the_other_view_through_the_momentum_encoder(views: Tensor) -> None:
    method = build("byol", **SMALL)
    p_a, p_b = (method.predictor(method.embed(view)) for view in views)
    expected = byol(p_a, p_b, method.target(views[0]), method.target(views[1]))
    torch.testing.assert_close(tuple(method.step(Batch(views))), tuple(expected))


def test_byol_without_momentum_encoder_is_four_plus_four_simsiam(views: Tensor) -> None:
    method = build("byol", **SMALL, momentum_encoder=False)
    z_a, z_b = (method.embed(view) for view in views)
    expected = 4 + 4 * simsiam(method.predictor(z_a), method.predictor(z_b), z_a, z_b).total
    torch.testing.assert_close(method.step(Batch(views)).total, expected)


def test_a_momentum_encoder_cannot_take_a_gradient_and_says_so() -> None:
    with pytest.raises(ValueError, match="momentum_encoder = False"):
        build("byol", stop_gradient=False)


def test_without_stop_gradient_simsiam_has_the_same_value_and_another_gradient(views: Tensor) -> None:
    grads = []
    for stop in (True, False):
        method = build("simsiam", **SMALL, stop_gradient=stop)
        loss = method.step(Batch(views)).total
        loss.backward()
        grads.append((loss.item(), next(method.backbone.parameters()).grad))
    assert grads[0][0] == pytest.approx(grads[1][0])
    assert (grads[0][1] - grads[1][1]).abs().max() > 1e-6


def test_without_predictor_the_embedding_is_the_prediction(views: Tensor) -> None:
    method = build("simsiam", **SMALL, predictor="none")
    z = method.embed(views[0])
    assert torch.equal(method.predictor(z), z)


def test_the_direct_predictor_is_symmetric_follows_the_batch_and_is_not_trained(views: Tensor) -> None:
    method = build("byol", **SMALL, predictor="direct")
    before = method.predictor.correlation.clone()
    method.step(Batch(views)).total.backward()
    after = method.predictor.correlation
    assert list(method.predictor.parameters()) == []
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, after.T)
    unit = F.normalize(method.embed(views[1]), dim=1).detach()
    first = F.normalize(method.embed(views[0]), dim=1).detach()
    once = 0.3 * before + 0.7 * first.T @ first / 8
    torch.testing.assert_close(after, 0.3 * once + 0.7 * unit.T @ unit / 8, rtol=1e-4, atol=1e-5)


def test_the_teacher_of_dino_equals_the_student_at_the_start_heads_included() -> None:
    method = build("dino", **SETTINGS["dino"])
    pairs = list(zip(method.teacher.network.parameters(), method.student().parameters()))
    assert len(pairs) == len(list(method.student().parameters()))
    assert all(torch.equal(t, s) for t, s in pairs)


def test_dino_uses_the_centre_before_it_moves_it(views: Tensor) -> None:
    method = build("dino", **SMALL, prototypes=6, centering="mean")
    teacher = [method.teacher(view) for view in views]
    student = [method.prototypes(method.embed(view)) for view in views]
    expected = dino(
        student, teacher, torch.zeros(6), method.config.student_temperature, method.teacher_temperature(0.0)
    )
    torch.testing.assert_close(method.step(Batch(views)).total, expected.total)
    mean = torch.cat(teacher).mean(dim=0)
    torch.testing.assert_close(method.center, (1 - method.config.center_momentum) * mean)


def test_the_balanced_centre_of_dino_is_that_of_its_own_batch(views: Tensor) -> None:
    method = build("dino", **SMALL, prototypes=6)
    teacher = [method.teacher(view) for view in views]
    student = [method.prototypes(method.embed(view)) for view in views]
    center = balanced_center(torch.zeros(6), teacher, method.teacher_temperature(0.0))
    expected = dino(student, teacher, center, method.config.student_temperature, method.teacher_temperature(0.0))
    torch.testing.assert_close(method.step(Batch(views)).total, expected.total)
    torch.testing.assert_close(method.center, center)


def test_dinos_switches_freeze_the_centre_and_level_the_temperatures(views: Tensor) -> None:
    method = build("dino", **SMALL, prototypes=6, centering="none", sharpening=False)
    method.step(Batch(views))
    assert method.center.abs().sum() == 0
    assert method.teacher_temperature(0.0) == method.config.student_temperature


def test_the_teacher_temperature_goes_from_its_start_to_its_end_over_the_warm_up() -> None:
    method = build("dino", **SMALL, teacher_temperature_start=0.02, teacher_temperature=0.06, temperature_warmup=0.5)
    found = []
    for progress in (0.0, 0.25, 0.5, 0.9):
        found.append(method.teacher_temperature(progress))
    assert found == pytest.approx([0.02, 0.04, 0.06, 0.06])


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_frozen_prototypes_stay_while_the_network_moves(name: str, images: Images) -> None:
    method = build(name, **SMALL, prototypes=6, freeze=1.0)
    before = {k: v.clone() for k, v in method.named_parameters()}
    fit(method, images, scale="smoke", batch_size=32, steps=3)
    after = dict(method.named_parameters())
    assert torch.equal(after["prototypes.weight"], before["prototypes.weight"])
    assert not torch.equal(after["backbone.trunk.0.weight"], before["backbone.trunk.0.weight"])


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_multi_crop_adds_small_views_behind_the_two(name: str, images: Images) -> None:
    method = build(name, **SMALL, local_crops=3, local_size=16)
    views = method.make_views(images.pixels[:4], torch.Generator().manual_seed(0))
    assert [tuple(v.shape) for v in views] == [(4, 3, 32, 32)] * 2 + [(4, 3, 16, 16)] * 3
    method.step(Batch(views)).total.backward()


def test_small_crops_are_refused_where_positions_are_fixed() -> None:
    with pytest.raises(ValueError, match="local_size must be 32 for vit_tiny"):
        build("dino", backbone="vit_tiny", local_crops=2)


def test_a_step_of_swav_is_its_loss_of_cosines(views: Tensor) -> None:
    method = build("swav", **SMALL, prototypes=6)
    weights = F.normalize(method.prototypes.weight, dim=1)
    scores = [F.normalize(method.embed(view), dim=1) @ weights.T for view in views]
    expected = swav(*scores, method.config.temperature, method.config.epsilon, method.config.iterations)
    torch.testing.assert_close(method.step(Batch(views)).total, expected.total)


def test_the_queue_of_swav_holds_the_newest_embeddings_and_works_once_it_is_full(views: Tensor) -> None:
    method = build("swav", **SMALL, prototypes=6, queue=12)
    assert method.past_scores() is None
    method.step(Batch(views))
    assert method.past_scores() is None
    method.step(Batch(views))
    past = method.past_scores()
    assert [tuple(p.shape) for p in past] == [(12, 6), (12, 6)]
    torch.testing.assert_close(method.queue[0, :8], method.embed(views[0]).detach())


def test_two_steps_of_sigreg_have_different_slices_and_one_seed_the_same(views: Tensor) -> None:
    method = build("sigreg", **SETTINGS["sigreg"])
    batch = Batch(views, generator=torch.Generator().manual_seed(0))
    first, second = method.step(batch), method.step(batch)
    batch.generator.manual_seed(0)
    assert first.sigreg != second.sigreg
    assert first.sigreg == method.step(batch).sigreg


def test_pcl_clusters_all_images_when_it_is_due_and_not_before(images: Images) -> None:
    method = build("pcl", **PCL)
    index = torch.arange(32)
    method.before_step(Batch([], index, images, progress=0.2))
    assert method.clusterings == []
    method.before_step(Batch([], index, images, progress=0.25))
    assert [len(c.assignments) for c in method.clusterings] == [96, 96]
    assert [tuple(c.prototypes.shape) for c in method.clusterings] == [(3, 8), (5, 8)]
    assert 0 <= method.nmi <= 1
    method.before_step(Batch([], index, images, progress=0.3))
    assert method.done_e_steps == 1
    method.before_step(Batch([], index, images, progress=0.7))
    assert method.done_e_steps == 2


def test_the_e_step_takes_unit_prototypes_and_concentrations_of_mean_tau(images: Images) -> None:
    method = build("pcl", **PCL)
    method.e_step(images)
    for c in method.clusterings:
        torch.testing.assert_close(c.prototypes.norm(dim=1), torch.ones(len(c.prototypes)))
        assert float(c.phi.mean()) == pytest.approx(method.config.temperature, rel=1e-5)


def test_the_e_step_leaves_the_momentum_encoder_as_it_was(images: Images) -> None:
    method = build("pcl", **PCL).train()
    before = {k: v.clone() for k, v in method.key.state_dict().items()}
    method.e_step(images)
    assert method.key.training
    assert all(torch.equal(v, before[k]) for k, v in method.key.state_dict().items())


def test_k_means_finds_planted_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(3).repeat(20)
    features = F.normalize(torch.eye(3, 8)[truth] + 0.05 * torch.randn(60, 8, generator=generator), dim=1)
    found = cluster(features, 3, 0.2, seed=1)
    assert len({(int(a), int(b)) for a, b in zip(truth, found.assignments)}) == 3


def test_a_random_clustering_is_a_partition_into_equal_parts_that_says_nothing_about_the_features() -> None:
    truth = torch.arange(3).repeat(40)
    features = F.normalize(torch.eye(3, 8)[truth] + 0.05, dim=1)
    found = cluster(features.clone(), 3, 0.2, seed=1, random=True)
    assert found.assignments.bincount().tolist() == [40, 40, 40]
    assert not torch.equal(found.assignments, cluster(features.clone(), 3, 0.2, seed=2, random=True).assignments)
    assert normalized_mutual_info_score(truth, found.assignments) < 0.1
    means = torch.stack([features[found.assignments == j].mean(dim=0) for j in range(3)])
    torch.testing.assert_close(found.prototypes, F.normalize(means, dim=1))
    # Each part is a sample of everything, so all prototypes lie near the mean of everything.
    assert float((found.prototypes @ found.prototypes.T).min()) > 0.9


def test_a_loss_of_ones_own_is_the_prototype_term_of_pcl(images: Images, views: Tensor) -> None:
    """It is called for each clustering and view; its mean takes the place of ProtoNCE, and MoCo's term stays."""
    seen = []

    def own(v: Tensor, prototypes: Tensor, assignments: Tensor, phi: Tensor) -> Tensor:
        seen.append((tuple(v.shape), tuple(prototypes.shape), assignments.tolist(), tuple(phi.shape)))
        return v.sum() * 0 + len(prototypes)

    index = torch.arange(len(views[0])) + 5
    method, plain = build("pcl", **PCL, loss=own), build("pcl", **PCL)
    for one in (method, plain):
        one.e_step(images)
    mine, theirs = (one.step(Batch(views, index, images)) for one in (method, plain))
    assert float(mine.prototype) == 4  # the mean of 3 and 5 clusters
    assert mine.instance == theirs.instance
    assert method.whose_loss == "your own"
    own_ids = [c.assignments[index].tolist() for c in method.clusterings]
    assert [s[2] for s in seen] == 2 * own_ids
    assert [s[0] for s in seen] == 4 * [(len(index), 8)]


def test_more_clusters_than_images_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_clusters must be <= the number of images 4; got 5"):
        cluster(F.normalize(torch.randn(4, 3), dim=1), 5, 0.2, seed=0)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("swav", "queue", -1),
        ("swav", "freeze", 2.0),
        ("swav", "prototypes", 1),
        ("pcl", "temperature", 0.0),
        ("pcl", "num_clusters", (0,)),
        ("byol", "momentum", 1.5),
        ("byol", "predictor", "linear"),
        ("byol", "hidden", 0),
        ("dino", "momentum", -0.5),
        ("sigreg", "lambd", 1.5),
        ("sigreg", "slices", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(name: str, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{setting}\S* must be"):
        build(name, **{setting: value})


@pytest.mark.parametrize(
    ("backbone", "masking"), [("conv_small", "pixels"), ("conv_small", "sparse"), ("vit_micro", "tokens")]
)
def test_masking_acts_in_training_and_not_in_evaluation(backbone: str, masking: str, views: Tensor) -> None:
    method = build("vicreg", **SMALL, backbone=backbone, mask_ratio=0.5, masking=masking)
    plain = build("vicreg", **SMALL, backbone=backbone)
    generator = torch.Generator().manual_seed(0)
    first, second = (method.embed(views[0], generator) for _ in range(2))
    assert not torch.allclose(first, second)
    torch.testing.assert_close(method.embed(views[0], generator.manual_seed(0)), first)
    for module in (method, plain):
        module.load_state_dict(plain.state_dict())
        module.eval()
    assert torch.equal(method.embed(views[0]), plain.embed(views[0]))


def test_the_target_of_byol_sees_whole_views(views: Tensor) -> None:
    method = build("byol", **SMALL, mask_ratio=0.5)
    assert torch.equal(method.target(views[0]), method.target(views[0]))
    assert not torch.allclose(method.embed(views[0]), method.embed(views[0]))


def test_a_way_of_masking_that_does_not_fit_the_backbone_is_an_error(views: Tensor) -> None:
    with pytest.raises(ValueError, match="tokens"):
        build("vicreg", **SMALL, mask_ratio=0.5, masking="tokens").step(Batch(views))
