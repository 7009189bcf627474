"""The comparison harness: presets, a resumable runner, ablations, and reports beside the published
tables.
"""
