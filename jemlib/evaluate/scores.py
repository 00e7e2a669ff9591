"""kNN and linear probe on frozen features, and the protocol string that goes with each number."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from jemlib import validate
from jemlib.data import Images
from jemlib.data.images import data_label
from jemlib.methods import Method
from jemlib.nets import features


def check_labelled(name: str, values: Tensor, labels: Tensor) -> Tensor:
    values = validate.embeddings(f"{name}_features", values, min_samples=1)
    if labels.shape != values.shape[:1]:
        raise ValueError(
            f"{name}_labels must have shape ({values.shape[0]},), one for each row of {name}_features; "
            f"got shape {tuple(labels.shape)}."
        )
    return values


def knn(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    k: int = 20,
    temperature: float = 0.1,
) -> float:
    """Accuracy of the weighted k-nearest-neighbour classifier, a fraction in [0, 1].

    Convention: cosine similarity; each of the k neighbours votes with weight exp(similarity / temperature).
    Libraries differ in k, temperature, distance and bank: quote `knn_protocol` beside the number.

    Args:
        train_features, test_features: `(N, D)` and `(M, D)`.
        train_labels, test_labels: `(N,)` and `(M,)`, whole numbers from 0.
        k: number of neighbours, 1 <= k <= N.
        temperature: > 0.

    Raises:
        TypeError, ValueError: shapes do not agree, features are not finite, or k is out of range.

    Source: Wu et al., 1805.01978, section 3.4.
    """
    train_features = F.normalize(check_labelled("train", train_features, train_labels), dim=1)
    test_features = F.normalize(check_labelled("test", test_features, test_labels), dim=1)
    validate.integer("k", k, at_least=1)
    validate.number("temperature", temperature, above=0)
    if k > len(train_features):
        raise ValueError(f"k must be <= the number of training images {len(train_features)}; got {k}.")
    if train_features.shape[1] != test_features.shape[1]:
        raise ValueError(
            f"train_features and test_features must have the same D; got {train_features.shape[1]} and "
            f"{test_features.shape[1]}."
        )
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    correct = 0
    for chunk, truth in zip(test_features.split(500), test_labels.split(500)):
        similarity, neighbour = (chunk @ train_features.T).topk(k, dim=1)
        # vote_c = sum over the k neighbours of class c of exp(sim / T)
        votes = torch.zeros(len(chunk), classes, dtype=chunk.dtype, device=chunk.device)
        votes.scatter_add_(1, train_labels[neighbour], (similarity / temperature).exp())
        correct += int((votes.argmax(dim=1) == truth).sum())
    return correct / len(test_labels)


def linear_probe(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    regularization: float = 1.0,
    max_iterations: int = 200,
) -> float:
    """Accuracy of multinomial logistic regression on standardised features, a fraction in [0, 1].

    Convention: offline, on un-augmented images, by scikit-learn's L-BFGS, until it converges or has made
    `max_iterations`, whichever comes first. Libraries that train the probe online with augmentation report other
    numbers.

    Args:
        train_features, test_features: `(N, D)` and `(M, D)`.
        train_labels, test_labels: `(N,)` and `(M,)`; at least two classes in the training labels.
        regularization: scikit-learn's C, the inverse strength of the l2 penalty, > 0.
        max_iterations: of L-BFGS; stopping there without convergence is normal for large D and is no error.

    Raises:
        TypeError, ValueError: shapes do not agree, features are not finite, or there is only one class.
    """
    train_features = check_labelled("train", train_features, train_labels)
    test_features = check_labelled("test", test_features, test_labels)
    if len(train_labels.unique()) < 2:
        raise ValueError("train_labels must hold at least two classes; got one.")
    scaler = StandardScaler().fit(train_features.cpu().numpy())
    x_train, x_test = (scaler.transform(x.cpu().numpy()) for x in (train_features, test_features))
    probe = fit_logistic(x_train, train_labels.cpu().numpy(), regularization, max_iterations)
    return float(np.mean(probe.predict(x_test) == test_labels.cpu().numpy()))


def fit_logistic(x: np.ndarray, y: np.ndarray, regularization: float, max_iterations: int) -> LogisticRegression:
    """scikit-learn's logistic regression on one thread, quiet about stopping before convergence.

    L-BFGS makes many small products. The thread pools of numpy, scipy and torch wait for each other there: on two cores
    one thread was 3 times (20,000 x 128) to 13 times (512 x 128) quicker than two.
    """
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=regularization, max_iter=max_iterations).fit(x, y)


@dataclass(frozen=True)
class Evaluation:
    """kNN and linear accuracy as fractions of the test images, with the protocol that gave them."""

    knn: float
    linear: float
    protocol: str


def protocol(train: Images, test: Images, k: int = 20, temperature: float = 0.1) -> str:
    """The sentence without which a kNN or probe number means little."""
    return (
        f"frozen features before the projector, eval mode, float32, un-augmented 32x32 images; fitted on {len(train)} "
        f"images of {data_label(train.name)}/{train.split}, scored once on {len(test)} of "
        f"{data_label(test.name)}/{test.split}; kNN: "
        f"k={k}, cosine, weights exp(sim/{temperature:g}); linear: multinomial logistic regression, standardised "
        "features, C=1, L-BFGS, at most 200 iterations"
    )


def evaluate_features(train_features: Tensor, test_features: Tensor, train: Images, test: Images) -> Evaluation:
    """kNN and linear probe on features that are already there."""
    arguments = (train_features, train.labels, test_features, test.labels)
    k = min(20, len(train))
    return Evaluation(knn(*arguments, k=k), linear_probe(*arguments), protocol(train, test, k))


def backbone_knn(backbone: nn.Module, train: Images, test: Images) -> float:
    """kNN alone of a frozen backbone, without the probe, which takes longer."""
    train_features, test_features = features(backbone, train), features(backbone, test)
    return knn(train_features, train.labels, test_features, test.labels, k=min(20, len(train)))


def embeddings(method: Method, images: Images) -> Tensor:
    """Embeddings `(N, D)` of un-augmented images in evaluation mode: what the loss would see."""
    return features(nn.Sequential(method.backbone, method.projector), images)


def evaluate(backbone: nn.Module, train: Images, test: Images) -> Evaluation:
    """kNN and linear probe of a frozen backbone: fitted on `train`, scored on `test`."""
    return evaluate_features(features(backbone, train), features(backbone, test), train, test)
