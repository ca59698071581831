"""Where the curves of dense and sparse times over bandwidth cross."""

import math


def crossing(points):
    """points: [(gbps, times that sparse is faster)], in any order.

    (gbps, None) where they cross, between two measured rates, by interpolating the logarithm of the
    ratio over the logarithm of the rate; (None, sentence) where they do not. Nothing is extrapolated.
    """
    if len(points) < 2:
        return None, "expected at least two rates"
    points = sorted(points)
    ratios = [(math.log(rate), math.log(ratio)) for rate, ratio in points]
    for (x0, y0), (x1, y1) in zip(ratios, ratios[1:]):
        if y0 >= 0 > y1:
            return math.exp(x0 + (x1 - x0) * y0 / (y0 - y1)), None
    if ratios[-1][1] >= 0:
        return None, f"sparse is faster up to {points[-1][0]:g} Gbit/s, the fastest measured"
    return None, f"dense is faster from {points[0][0]:g} Gbit/s on, the slowest measured"
