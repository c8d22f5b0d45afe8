"""The training data: sources in one shape, crops, mined negatives, groups, and what must not be in it."""
