"""Processes for tests to kill, which start at once: forked from one that has imported everything
and runs no thread.
"""

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["tests.certify.nets", "rsmooth.certify", "tests.defenses.helpers", "torch._dynamo"]
)
