"""Processes for tests to kill, which start at once: forked from one that has imported everything
and runs no thread.
"""

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "tests.certify.nets",
        "rsmooth.certify",
        "rsmooth.certify.run.dataset",
        "rsmooth.certify.run.proofs",
        "tests.training.helpers",
        "torch._dynamo",
        "rsmooth.cli.certify",
        "rsmooth.cli.train",
        "jsonargparse",
        "sklearn.datasets",
    ]
)
