"""Scores of frozen features: kNN and linear probe with their protocol, factors, clusters, maps."""

from jemlib.evaluate.clusters import (
    ClusterNames,
    hungarian_accuracy,
    name_clusters,
    normalized_mutual_information,
)
from jemlib.evaluate.factors import (
    CIRCULAR,
    FACTOR_PROTOCOL,
    FEW_LABEL_PROTOCOL,
    NAMES,
    PENALTIES,
    factor_probe,
    factor_table,
    few_label_accuracy,
    layers,
)
from jemlib.evaluate.maps import (
    Neighbours,
    embedding_map,
    nearest_neighbours,
)
from jemlib.evaluate.scores import (
    Evaluation,
    backbone_knn,
    check_labelled,
    evaluate,
    evaluate_features,
    fit_logistic,
    knn,
    linear_probe,
    protocol,
)

__all__ = [
    "CIRCULAR",
    "FACTOR_PROTOCOL",
    "FEW_LABEL_PROTOCOL",
    "NAMES",
    "PENALTIES",
    "ClusterNames",
    "Evaluation",
    "Neighbours",
    "backbone_knn",
    "check_labelled",
    "embedding_map",
    "evaluate",
    "evaluate_features",
    "factor_probe",
    "factor_table",
    "few_label_accuracy",
    "fit_logistic",
    "hungarian_accuracy",
    "knn",
    "layers",
    "linear_probe",
    "name_clusters",
    "nearest_neighbours",
    "normalized_mutual_information",
    "protocol",
]
