"""The comparison harness: presets, a resumable runner, ablations, reports with published tables."""
