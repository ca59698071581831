"""The example trains, and a run that is killed goes on to the bit.

usage: train_test.py --scratch FOLDER -- torchrun command...
"""

import argparse
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import torch

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "python" / "examples" / "train_mnist_torch.py"
SCRATCH, LAUNCHER = None, None
EPOCHS, STEPS = 2, 62  # an epoch


def train(*options, ranks=2):
    """(exit status, standard output, standard error)"""
    command = [*LAUNCHER, "--nproc_per_node", str(ranks), EXAMPLE, "--epochs", EPOCHS, *options]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


def bits(value):
    """Whatever a checkpoint holds, as something that compares to the bit."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), hashlib.sha256(value.contiguous().numpy()).hexdigest()
    if isinstance(value, dict):
        return {key: bits(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(each) for each in value]
    return value


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = SCRATCH / "whole.pt"
        cls.status, cls.output, cls.errors = train(
            "--density", 0.01, "--checkpoint", cls.whole, "--every", 20
        )

    def last(self, output):
        """(accuracy, bytes a step, those of a dense one) of the last epoch."""
        line = output.splitlines()[-1]
        numbers = re.search(r"accuracy ([\d.]+) %, ([\d,]+) bytes a step \(dense ([\d,]+),", line)
        self.assertIsNotNone(numbers, output)
        return [float(number.replace(",", "")) for number in numbers.groups()]

    def test_accuracy_and_bytes(self):
        self.assertEqual(self.status, 0, self.errors)
        status, output, errors = train("--method", "dense")
        self.assertEqual(status, 0, errors)
        accuracy, sent, dense = self.last(self.output)
        dense_accuracy, dense_sent, _ = self.last(output)
        print(f"1 %: {accuracy} %, {sent} bytes; dense: {dense_accuracy} %, {dense_sent} bytes")
        self.assertGreater(dense_accuracy, 88)
        self.assertGreater(accuracy, dense_accuracy - 1.5)
        self.assertEqual(dense, 4 * 535818)
        self.assertEqual(dense_sent, dense)
        self.assertTrue(6 * 5358 <= sent < 6 * 5358 + 300, sent)

    def test_killed_and_resumed(self):
        self.assertEqual(self.status, 0, self.errors)
        parts = SCRATCH / "parts.pt"
        options = ("--density", 0.01, "--checkpoint", parts, "--every", 20)
        status, output, _ = train(*options, "--kill-after", STEPS + 30)
        self.assertNotEqual(status, 0)
        self.assertEqual(len(output.splitlines()), 1, output)
        saved = torch.load(parts)
        self.assertEqual(saved["step"], 80)  # in the middle of an epoch
        status, output, errors = train(*options, "--resume")
        self.assertEqual(status, 0, errors)
        self.assertIn("after step 80", output)
        self.assertEqual(self.last(output), self.last(self.output))
        found, expected = torch.load(parts), torch.load(self.whole)
        self.assertEqual(expected["step"], 120)
        self.assertEqual(bits(found), bits(expected))
        self.assertNotEqual(bits(found), bits(saved))
        self.assertEqual(len(expected["sparccl"]), 2)

        status, output, errors = train(*options, "--resume", ranks=1)
        self.assertNotEqual(status, 0)
        self.assertIn("world_size: expected 1, found 2", errors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("launcher", nargs="+")
    given = parser.parse_args()
    SCRATCH, LAUNCHER = given.scratch, given.launcher
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    unittest.main(argv=sys.argv[:1], verbosity=2)
