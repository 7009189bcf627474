"""Counter-based noise: a value depends on (seed, purpose, image, sample) and on nothing else."""

from rsmooth.noise.continuous import gaussian, uniform_integers
from rsmooth.noise.grid import GridSampler, add_grid_noise, compilation_status, expect_noise
from rsmooth.noise.keys import PROTOCOL, PURPOSES, Key, check_counters, derive_key
from rsmooth.noise.philox import philox_words

__all__ = [
    "PROTOCOL",
    "PURPOSES",
    "GridSampler",
    "Key",
    "add_grid_noise",
    "check_counters",
    "compilation_status",
    "derive_key",
    "expect_noise",
    "gaussian",
    "philox_words",
    "uniform_integers",
]
