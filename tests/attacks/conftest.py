"""Shared by the tests of attacks."""

import warnings

import pytest


@pytest.fixture(scope="session")
def fb():
    """The package foolbox, without the deprecation warning of its import under newer SciPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import foolbox
    return foolbox
