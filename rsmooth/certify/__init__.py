"""Certificates of smoothed classifiers: drawing the votes, bounding what they mean, keeping the record.

``certify`` and ``predict`` are the algorithms of Cohen et al. 2019 on tensors; ``certify_dataset`` certifies a data set
into a journal that survives interruptions. Everything after it works on the record alone, without a model.
"""

from rsmooth.certify.accuracy import average_certified_radius, certified_accuracy, envelope
from rsmooth.certify.bounds import lower_confidence_bound
from rsmooth.certify.cohen import certify, predict
from rsmooth.certify.dataset import certify_dataset
from rsmooth.certify.records import CertificationLog, read_log, write_log
from rsmooth.certify.results import Certificates, Predictions
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes import ABSTAIN

__all__ = [
    "ABSTAIN",
    "Certificates",
    "CertificationLog",
    "CertifySettings",
    "Predictions",
    "average_certified_radius",
    "certified_accuracy",
    "certify",
    "certify_dataset",
    "envelope",
    "lower_confidence_bound",
    "predict",
    "read_log",
    "write_log",
]
