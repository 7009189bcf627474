"""Certificates of smoothed classifiers: drawing the votes, bounding what they mean, keeping the
record.

``certify`` and ``predict`` are the algorithms of Cohen et al. 2019 on tensors; ``certify_dataset``
certifies a data set into a journal that survives interruptions. Everything after it works on the
record alone, without a model.
"""

from rsmooth.certify.accuracy import (
    average_certified_radius,
    certified_accuracy,
    constant_classifier_accuracy,
    envelope,
    high_probability_accuracy,
    linf_certified_accuracy,
)
from rsmooth.certify.bounds import lower_confidence_bound
from rsmooth.certify.cohen import certify, predict
from rsmooth.certify.dataset import certify_dataset
from rsmooth.certify.offline import append_samples, radii_in_norm, recertify
from rsmooth.certify.records import CertificationLog, read_log, write_log
from rsmooth.certify.results import Certificates, Predictions
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.statistics import accuracy_interval, compare, radius_interval
from rsmooth.certify.votes import ABSTAIN
from rsmooth.errors import RecordError

__all__ = [
    "ABSTAIN",
    "Certificates",
    "CertificationLog",
    "CertifySettings",
    "Predictions",
    "RecordError",
    "accuracy_interval",
    "append_samples",
    "average_certified_radius",
    "certified_accuracy",
    "certify",
    "certify_dataset",
    "compare",
    "constant_classifier_accuracy",
    "envelope",
    "high_probability_accuracy",
    "linf_certified_accuracy",
    "lower_confidence_bound",
    "predict",
    "radii_in_norm",
    "radius_interval",
    "read_log",
    "recertify",
    "write_log",
]
