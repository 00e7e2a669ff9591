"""Scores of frozen features: kNN and linear probe with their protocol, factors, clusters, maps."""

from jemlib.evaluate.clusters import (
    hungarian_accuracy,
    k_means,
    name_clusters,
    naming_accuracy,
    nearest_prototypes,
    normalized_mutual_information,
)
from jemlib.evaluate.factors import factor_probe, few_label_accuracy
from jemlib.evaluate.scores import (
    Evaluation,
    backbone_knn,
    embeddings,
    evaluate,
    evaluate_features,
    knn,
    linear_probe,
    protocol,
)
