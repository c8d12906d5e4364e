"""Intervals for shares."""

from __future__ import annotations

import math

from scipy.stats import norm


def wilson_interval(right: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Interval for a share of `count` independent problems of which `right` were solved (Wilson 1927).

    Returns (low, high) in [0, 1]. ValueError unless 0 <= right <= count and count >= 1.
    """
    if count < 1 or not 0 <= right <= count:
        raise ValueError(f"need 0 <= right <= count and count >= 1, not {right} of {count}")
    z = float(norm.ppf((1 + level) / 2))
    share = right / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    # At 0 and at `count` an end is exactly 0 or 1; rounding may not push it past the share.
    return (0.0 if right == 0 else max(min(centre - half, share), 0.0)), (
        1.0 if right == count else min(max(centre + half, share), 1.0)
    )
