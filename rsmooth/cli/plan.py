"""``rsmooth plan``: how many samples a radius needs, what a number of samples can certify, and how long it takes."""
def plan() -> None:
    """x"""
