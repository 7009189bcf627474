import rsmooth.records as _records

from .bound_settings import BoundSettings as BoundSettings
from .cards import certified_card as certified_card
from .cohen import certify as certify
from .cohen import predict as predict
from .deterministic import BoundEngine as BoundEngine
from .deterministic import ProvedCertificates as ProvedCertificates
from .deterministic import certify_linf as certify_linf
from .proof.bounds import lower_confidence_bound as lower_confidence_bound
from .restate import append_samples as append_samples
from .restate import recertify as recertify
from .results import Certificates as Certificates
from .results import Predictions as Predictions
from .run.dataset import certify_dataset as certify_dataset
from .run.proofs import prove_dataset as prove_dataset
from .settings import CertifySettings as CertifySettings
from .settings import PredictSettings as PredictSettings

ABSTAIN = _records.ABSTAIN
CertificationLog = _records.CertificationLog
Journal = _records.Journal
RecordError = _records.RecordError
Statement = _records.Statement
abstention_rate = _records.abstention_rate
accuracy_interval = _records.accuracy_interval
average_certified_radius = _records.average_certified_radius
base_accuracy_under_noise = _records.base_accuracy_under_noise
certified_accuracy = _records.certified_accuracy
check_same_images = _records.check_same_images
compare = _records.compare
constant_classifier_accuracy = _records.constant_classifier_accuracy
envelope = _records.envelope
high_probability_accuracy = _records.high_probability_accuracy
image_difference = _records.image_difference
in_norm = _records.in_norm
label_probability = _records.label_probability
linf_certified_accuracy = _records.linf_certified_accuracy
majority_accuracy = _records.majority_accuracy
merge = _records.merge
radii_in_norm = _records.radii_in_norm
radius_interval = _records.radius_interval
read_log = _records.read_log
record_files = _records.record_files
recorded_noise = _records.recorded_noise
write_log = _records.write_log
