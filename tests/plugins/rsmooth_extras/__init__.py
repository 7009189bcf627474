"""A package of somebody else's that joins rsmooth through entry points."""
