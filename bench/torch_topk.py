#!/usr/bin/env python3
"""What a PyTorch user writes first: add, abs, topk, gather, scatter. Prints milliseconds, the median.

usage: bench/torch_topk.py [--count N] [--density D] [--repeats R]

Exit code 77 where there is no PyTorch or no GPU.
"""

import argparse
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000_000)
    parser.add_argument("--density", type=float, default=0.001)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("no PyTorch here")
        return 77
    if not torch.cuda.is_available():
        print("PyTorch sees no GPU")
        return 77

    k = int(options.count * options.density)
    gradient = torch.randn(options.count, device="cuda")
    times = []
    for repeat in range(options.repeats + 3):
        residual = torch.randn(options.count, device="cuda")
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        residual += gradient
        positions = torch.topk(residual.abs(), k, sorted=False).indices
        values = residual.gather(0, positions)
        residual.scatter_(0, positions, 0.0)
        end.record()
        torch.cuda.synchronize()
        assert values.numel() == k
        if repeat >= 3:
            times.append(start.elapsed_time(end))
    print(f"{sorted(times)[len(times) // 2]:.6f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
