"""What the presets of the tests have in common: seconds on the digits."""

DEFAULTS = """
defaults:
  train:
    dataset: digits
    model: {name: small-cnn, width: 4}
    sigma: 0.25
    trainer: {name: gaussian, epochs: 1, precision: float32}
  certify: {max: 4, n: 100, n0: 10, workers: 1, precision: float32, compile: never}
"""
