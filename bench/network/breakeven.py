"""Where the curves of dense and sparse times over bandwidth cross."""

import math
from typing import NamedTuple, Optional


class Crossing(NamedTuple):
    gbps: Optional[float]  # where the curves cross
    why: Optional[str]  # they do not, where they do not
    rests_on: tuple  # rates of the points that this was taken from


def crossing(points):
    """points: [(gbps, times that sparse is faster)], in any order.

    Where they cross, between two measured rates, by interpolating the logarithm of the ratio over the
    logarithm of the rate; or why they do not. Nothing is extrapolated.
    """
    if len(points) < 2:
        return Crossing(None, "expected at least two rates", ())
    points = sorted(points)
    ratios = [(math.log(rate), math.log(ratio)) for rate, ratio in points]
    for i, ((x0, y0), (x1, y1)) in enumerate(zip(ratios, ratios[1:])):
        if y0 >= 0 > y1:
            gbps = math.exp(x0 + (x1 - x0) * y0 / (y0 - y1))
            return Crossing(gbps, None, (points[i][0], points[i + 1][0]))
    (slowest, _), (fastest, _) = points[0], points[-1]
    if ratios[-1][1] >= 0:
        return Crossing(None, f"sparse is faster up to {fastest:g} Gbit/s, the fastest measured", (fastest,))
    return Crossing(None, f"dense is faster from {slowest:g} Gbit/s on, the slowest measured", (slowest,))
