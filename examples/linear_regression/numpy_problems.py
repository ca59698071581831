#!/usr/bin/env python3
"""Draws linear_regression's problems with NumPy's random numbers, for its --problems.

usage: numpy_problems.py FOLDER [SEEDS]       problem-0.f64, problem-1.f64, ... (12); needs NumPy

The same distributions as problem.cpp's, other numbers. A file is little-endian float64: X^T X [workers][weights][weights],
X^T y [workers][weights] and the start [weights].
"""
import argparse
import pathlib
import sys

try:
    import numpy as np
except ImportError:
    sys.exit(f"numpy_problems.py: {sys.executable} has no NumPy; try another Python, or install python3-numpy")

WORKERS, WEIGHTS, POINTS, CENTRE_VARIANCE, NOISE_VARIANCE = 20, 100, 500, 5.0, 0.5


def draw(seed):
    random = np.random.default_rng(seed)
    centres = np.sqrt(CENTRE_VARIANCE) * random.standard_normal(WORKERS)
    gram, moment = np.empty((WORKERS, WEIGHTS, WEIGHTS)), np.empty((WORKERS, WEIGHTS))
    for worker in range(WORKERS):
        truth = centres[worker] + random.standard_normal(WEIGHTS)
        points = random.standard_normal((POINTS, WEIGHTS))
        values = points @ truth + np.sqrt(NOISE_VARIANCE) * random.standard_normal(POINTS)
        gram[worker], moment[worker] = points.T @ points, points.T @ values
    start = random.uniform(-1, 1, WEIGHTS) / np.sqrt(WEIGHTS)
    return gram, moment, start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("seeds", type=int, nargs="?", default=12)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"seeds: expected 1 or more, found {options.seeds}")
    folder, seeds = options.folder, options.seeds
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        parts = [np.ascontiguousarray(part, dtype="<f8").tobytes() for part in draw(seed)]
        (folder / f"problem-{seed}.f64").write_bytes(b"".join(parts))


if __name__ == "__main__":
    main()
