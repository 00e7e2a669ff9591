"""Scores of frozen features: kNN and linear probe with their protocol, factors, clusters, maps."""

from jemlib.evaluate.clusters import hungarian_accuracy, name_clusters, normalized_mutual_information
from jemlib.evaluate.factors import factor_probe, few_label_accuracy
from jemlib.evaluate.scores import Evaluation, backbone_knn, evaluate, evaluate_features, knn, linear_probe, protocol
