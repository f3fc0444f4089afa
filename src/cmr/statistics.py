"""Intervals over the seeds and splits of a run."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of n values and the ends of its Student t interval; the ends are NaN when n is 1.

    Over seeds on one split, the interval tells how far chance in training moves the mean. Over repeated random splits
    of one data set it measures the spread between splits and no more: the splits share items, so the values are not
    independent, and the interval is too narrow to be a confidence about new data (Nadeau and Bengio, "Inference for
    the generalization error", Machine Learning 52, 2003).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"one or more values are needed, but they have shape {values.shape}")
    mean = values.mean()
    if len(values) == 1:
        return float(mean), np.nan, np.nan
    half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)
