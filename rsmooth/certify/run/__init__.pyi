from .dataset import certify_dataset as certify_dataset
