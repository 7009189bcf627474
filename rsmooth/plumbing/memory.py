"""The C library's allocator, told to keep what was freed: fewer page faults in every pass."""

from __future__ import annotations

import ctypes
import os
import platform

# Numbers of mallopt's options in glibc's malloc.h, and the variables by which users set them.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next tensors, in this process; returns whether it does.

        keep_freed_memory()      # at the start of a process of our own

    By default large tensors come from the kernel page by page and go back at once, every time.
    Nothing happens with another C library, or where the user has set one of its variables.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
