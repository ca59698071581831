#!/usr/bin/env python3
"""train_mnist --cifar10: a generated set in the binary format, and files that are none."""
import argparse
import json
import pathlib
import subprocess
import sys
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--scratch", type=pathlib.Path, required=True)
parser.add_argument("--program", required=True)
options = parser.parse_args()
scratch = options.scratch
scratch.mkdir(parents=True, exist_ok=True)


def train(folder, *words):
    return subprocess.run([options.program, "--ranks", "2", "--cifar10", folder, "--hidden", "16", "--progress", "none",
                           *map(str, words)], capture_output=True, text=True, timeout=300)


def write_cifar10(name, count=40):
    """The binary format, of images whose class is the brightness of a row of one colour. Returns its directory."""
    directory = scratch / name
    directory.mkdir(parents=True, exist_ok=True)
    for file in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        records = bytearray()
        for i in range(count):
            planes = bytearray(3 * 32 * 32)
            start = 32 * 32 * (i % 3) + 32 * 3 * (i % 10)
            planes[start:start + 32] = b"\xff" * 32
            records += bytes([i % 10]) + planes
        (directory / f"{file}.bin").write_bytes(records)
    return directory


class Cifar10(unittest.TestCase):
    def test_trains(self):
        file = scratch / "result.json"
        done = train(write_cifar10("cifar10"), "--batch", 20, "--epochs", 4, "--json", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(file.read_text())
        self.assertEqual(result["config"]["widths"], [3072, 16, 10])
        self.assertEqual((result["training_images"], result["test_images"]), (200, 40))
        self.assertGreater(result["methods"][0]["test_accuracy"], 0.5)

    def test_convolutions_see_three_channels(self):
        file = scratch / "convolutions.json"
        done = train(write_cifar10("cifar10"), "--conv", "4,6", "--batch", 20, "--epochs", 20, "--lr", 0.05, "--methods",
                     "dense,regtopk", "--density", 0.1, "--json", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("32x32x3, 16x16x4, 8x8x6, 384-16-10", done.stdout)
        result = json.loads(file.read_text())
        for method in result["methods"]:
            self.assertGreater(method["test_accuracy"], 0.5)

    def test_broken_files(self):
        for change, *words in (
                (pathlib.Path.unlink, "not found"),
                (lambda file: file.write_bytes(file.read_bytes()[:-1]), "truncated", "a multiple of 3073", "found 122919"),
                (lambda file: file.write_bytes(b""), "found 0"),
                (lambda file: file.write_bytes(b"\x0a" + file.read_bytes()[1:]),
                 "labels from 0 to 9, found 10 at image 0"),
        ):
            folder = write_cifar10("broken")
            change(folder / "data_batch_3.bin")
            done = train(folder, "--epochs", 1)
            self.assertNotEqual(done.returncode, 0)
            for word in ("data_batch_3.bin", *words):
                self.assertIn(word, done.stderr)
            self.assertEqual(done.stderr.count("train_mnist: "), 1, done.stderr)  # not once per rank


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
