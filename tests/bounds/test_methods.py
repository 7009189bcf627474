"""The names of the methods."""

from rsmooth.bounds import METHODS


def test_methods_are_named_as_in_the_papers():
    assert METHODS == ("ibp", "crown-ibp", "crown", "fast-lin")
