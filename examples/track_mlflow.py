"""MLflow: a point per epoch, and the certificates at the end.

pip install mlflow; `mlflow ui --backend-store-uri sqlite:///mlflow.db` shows the run.
"""

import mlflow

from rsmooth import MODELS, SmoothedClassifier, Trainer, certify_dataset, load_dataset
from rsmooth.certify import CertifySettings

mlflow.set_tracking_uri("sqlite:///mlflow.db")
data = load_dataset("digits")
g = SmoothedClassifier(MODELS.create("small-cnn", num_classes=10, in_channels=1), 0.25, 10)


def log(row: dict) -> None:
    numbers = {name: value for name, value in row.items() if not isinstance(value, str)}
    mlflow.log_metrics(numbers, step=row.get("epoch"))


with mlflow.start_run():
    mlflow.log_param("sigma", g.sigma)
    Trainer(epochs=3).fit(g, data.train, validation=data.validation, on_epoch=log)
    test = data.test.subset(range(50))
    certify_dataset(g, test, "certified", CertifySettings(n0=100, n=1000), on_certified=log)
