"""The one place where the version stands; setup.py reads it as text."""

__version__ = "0.1.0"
