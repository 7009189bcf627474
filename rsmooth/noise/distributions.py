"""Noise distributions as values."""
