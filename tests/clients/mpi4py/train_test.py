#!/usr/bin/env python3
"""Runs train.py, plain and with the shim preloaded, and compares what it learned.

usage: train_test.py --python PYTHON --data DIRECTORY --scratch DIRECTORY [--preload SHIM] -- mpirun -n
"""
import argparse
import math
import pathlib
import re
import shutil
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import client  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--python", required=True, help="has mpi4py of this MPI, and numpy")
parser.add_argument("--data", type=pathlib.Path, required=True)
parser.add_argument("--scratch", type=pathlib.Path, required=True)
parser.add_argument("--preload")
separator = sys.argv.index("--")
options, mpirun = parser.parse_args(sys.argv[1:separator]), sys.argv[separator + 1:]

SCRIPT = pathlib.Path(__file__).resolve().parent / "train.py"
STEPS = 600
LAYERS = [784 * 64, 64, 64 * 10, 10]
PARAMETERS = sum(LAYERS)
MIN_COUNT = 1024  # the shim's own default


def packet_bytes(n, k):
    """docs/design.md, section 5: each part begins at a multiple of 8, the whole is one of 64."""
    def up(size, to):
        return -(-size // to) * to
    return up(up(128 + 4 * math.ceil(n / 65536), 8) + up(2 * k, 8) + 4 * k, 64)


class Training(unittest.TestCase):
    def train(self, name, ranks, form="flat", policy=None):
        """What was printed and counted, the final parameters of all ranks, the test accuracy."""
        stem = options.scratch / name
        program = [options.python, SCRIPT, options.data, stem, form]
        preload = options.preload if policy is not None else None
        try:
            result = client.run([*mpirun, str(ranks)], list(map(str, program)), preload, policy)
        except client.Failure as failure:
            self.fail(failure)
        parameters = [np.load(f"{stem}.{rank}.npy") for rank in range(ranks)]
        for other in parameters[1:]:
            self.assertEqual(other.tobytes(), parameters[0].tobytes(), "ranks have drifted apart")
        self.assertEqual((parameters[0].size, parameters[0].dtype), (PARAMETERS, np.float32))
        accuracy = re.search(r"test accuracy ([\d.]+) %", result.output)
        self.assertIsNotNone(accuracy, result.output)
        return result, parameters[0], float(accuracy[1])

    def expect_calls(self, result, sparsified, passed):
        self.assertEqual(result.calls("sparsified"), sparsified, result.output)
        self.assertEqual(result.calls("all"), sparsified + passed, result.output)
        self.assertEqual(result.calls("failed"), 0, result.output)

    def test_plain(self):
        """The script by itself learns, and is the same in each run: else nothing below says much."""
        _, first, accuracy = self.train("plain", 2)
        _, again, _ = self.train("plain", 2)
        _, layers, _ = self.train("plain", 2, "layers")
        self.assertGreater(accuracy, 90)
        self.assertEqual(first.tobytes(), again.tobytes())
        self.assertEqual(first.tobytes(), layers.tobytes())


@unittest.skipUnless(options.preload, "the shim is not built, or not for this Python")
class Preloaded(Training):
    test_plain = None

    def test_density_1_gives_the_bits_of_dense(self):
        """From the first step on: two calls a step, the gradient's and the loss's."""
        _, dense, dense_accuracy = self.train("dense", 2)
        policy = {"DENSITY": "1", "MATCH": "calls:0-0/2"}
        result, sparse, accuracy = self.train("density1", 2, policy=policy)
        self.expect_calls(result, sparsified=STEPS, passed=STEPS)
        self.assertEqual(sparse.tobytes(), dense.tobytes())
        self.assertEqual(accuracy, dense_accuracy)

    def test_density_1_layer_by_layer_in_place(self):
        """The biases are smaller than SPARCCL_MIN_COUNT until it is 1."""
        _, dense, _ = self.train("dense", 2, "layers")
        for least, sparsified in (("1", 4), (str(MIN_COUNT), 1)):
            policy = {"DENSITY": "1", "MATCH": "calls:0-3/5", "MIN_COUNT": least}
            result, sparse, _ = self.train("density1", 2, "layers", policy)
            self.expect_calls(result, sparsified=sparsified * STEPS, passed=(5 - sparsified) * STEPS)
            self.assertEqual(sparse.tobytes(), dense.tobytes())

    def test_disabled_does_nothing(self):
        _, dense, _ = self.train("dense", 2)
        result, same, _ = self.train("disabled", 2, policy={"DENSITY": "0.001", "DISABLE": "1"})
        self.expect_calls(result, sparsified=0, passed=2 * STEPS)
        self.assertEqual(same.tobytes(), dense.tobytes())

    def expect_learned(self, ranks, form, policy, least, sizes):
        """sizes: entries of those that are sparsified in a step, each of them `least` times."""
        _, dense, dense_accuracy = self.train("dense", ranks, form)
        result, sparse, accuracy = self.train("sparse", ranks, form, {"DENSITY": "0.01", **policy})
        for size in sizes:
            calls = sum(calls for n, _, calls in result.tensors if n == size)
            self.assertGreaterEqual(calls, least, result.output)
        # Where numpy's allocator takes turns from the first step on, one tensor passes for several.
        self.assertEqual({n for n, _, _ in result.tensors}, set(sizes), result.output)
        self.assertNotEqual(sparse.tobytes(), dense.tobytes())  # or it was not sparse
        self.assertLess(abs(accuracy - dense_accuracy), 1, f"{accuracy} % against {dense_accuracy} %")
        self.expect_bytes(ranks, result)
        print(f"{ranks} ranks, {form}: {accuracy} % against {dense_accuracy} %", file=sys.stderr)

    def expect_bytes(self, ranks, result):
        """As the packet's layout has them, against 2 (P-1)/P of a tensor, which a ring sends."""
        calls, wire_bytes, dense_bytes = result.rows["sparsified"]
        self.assertEqual(calls, sum(calls for _, _, calls in result.tensors))
        packets = ring = 0
        for n, k, calls in result.tensors:
            self.assertEqual(k, round(0.01 * n))
            packets += calls * (packet_bytes(n, k) + 144)  # and what the ranks agree on before it
            ring += calls * 2 * (ranks - 1) * 4 * n // ranks
        self.assertEqual(wire_bytes, (ranks - 1) * packets)
        self.assertAlmostEqual(dense_bytes / ring, 1, 3)

    def test_density_1_percent(self):
        for ranks in (2, 4):
            self.expect_learned(ranks, "flat", {"MATCH": "calls:0-0/2"}, STEPS, [PARAMETERS])

    def test_density_1_percent_of_layers(self):
        """numpy reduces in place in other memory in each step: which calls are one tensor's is said."""
        self.expect_learned(2, "layers", {"MATCH": "calls:0-3/5", "MIN_COUNT": "500"}, STEPS,
                            [LAYERS[0], LAYERS[2]])

    def test_nothing_said_of_the_program(self):
        """Whether buffers come back is numpy's affair: either it is learned, or the user is asked."""
        for form, sizes in ("flat", [PARAMETERS]), ("layers", [LAYERS[0]]):
            result, _, accuracy = self.train("auto", 2, form, {"DENSITY": "0.01"})
            if result.calls("sparsified") == 0:
                self.assertIn("nothing is sparsified; say it: SPARCCL_MATCH", result.output)
                self.assertEqual(result.calls("passed: learning which calls make a step"), STEPS)
            else:
                self.assertEqual({n for n, _, _ in result.tensors}, set(sizes), result.output)
            self.assertGreater(accuracy, 90)
            print(f"{form}: {result.calls('sparsified')} calls sparsified", file=sys.stderr)


if __name__ == "__main__":
    shutil.rmtree(options.scratch, ignore_errors=True)
    options.scratch.mkdir(parents=True)
    unittest.main(argv=sys.argv[:1], verbosity=2)
