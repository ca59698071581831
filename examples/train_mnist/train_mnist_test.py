#!/usr/bin/env python3
"""Runs train_mnist on good and on bad input; what follows -- stands before the number of ranks: mpirun -n.

Without MPI nothing follows, and ranks are threads. The probe is launcher_probe.cpp.
"""
import argparse
import ctypes
import gzip
import json
import math
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--scratch", type=pathlib.Path, required=True)
parser.add_argument("--data", type=pathlib.Path, required=True)
parser.add_argument("--program", required=True)
parser.add_argument("--probe", required=True)
parser.add_argument("--cuda", choices=["built", "not-built"], required=True)
parser.add_argument("--part", action="append", default=[], help="a class of tests (default: all)")
separator = sys.argv.index("--")
options, launcher = parser.parse_args(sys.argv[1:separator]), sys.argv[separator + 1:]
scratch, mnist, program = options.scratch, options.data, options.program

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SMALL = ["--epochs", "1", "--hidden", "16", "--progress", "lines"]


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **more)


def train(ranks, *words):
    """ranks 0: without the launcher, which is faster and one rank, too."""
    command = [program, *map(str, words)]
    if ranks > 0:
        command = [*launcher, str(ranks), *command] if launcher else [*command, "--ranks", str(ranks)]
    return run(command)


def write_data(name, gzipped=True, count=256, side=8):
    """A data set of bright squares whose place tells the class. Returns its directory."""
    directory = scratch / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    labels = bytes(i % 10 for i in range(count))
    images = bytearray(count * side * side)
    for i, label in enumerate(labels):
        images[i * side * side + 6 * label] = 255
    for names in ((IMAGES, LABELS), (TEST_IMAGES, TEST_LABELS)):
        write_file(directory / names[0], struct.pack(">4I", 0x803, count, side, side) + images, gzipped)
        write_file(directory / names[1], struct.pack(">2I", 0x801, count) + labels, gzipped)
    return directory


def write_file(path, content, gzipped=True):
    if gzipped:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(bytes(content)))
    else:
        path.write_bytes(content)


def rewrite(path, change):
    """Passes the unzipped bytes of a gzipped file through change."""
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


class Training(unittest.TestCase):
    def run_and_read(self, ranks, *words):
        target = scratch / "nested" / f"{self._testMethodName}.json"
        done = train(ranks, "--json", target, *words)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done, json.loads(target.read_text())

    def test_table_and_json_of_all_methods(self):
        done, result = self.run_and_read(2, "--data", mnist, "--epochs", 1, "--batch", 1000, "--density", 0.01)
        for word in ("test", "accuracy", "computing", "transfer", "535,818 parameters"):
            self.assertIn(word, done.stdout)
        self.assertIn("[3/3] regtopk", done.stderr)
        self.assertEqual(result["world_size"], 2)
        self.assertEqual(result["parameters"], 535818)
        self.assertEqual([m["method"] for m in result["methods"]], ["dense", "topk", "regtopk"])
        for method in result["methods"]:
            curve = method["curve"]
            self.assertEqual(len({len(column) for column in curve.values()}), 1)
            self.assertEqual(curve["step"][-1], method["steps"])
            self.assertIsNone(curve["training_loss"][0])
            self.assertLess(curve["training_loss"][-1], curve["training_loss"][1])
            self.assertGreater(method["test_accuracy"], 0.3)
            seconds = method["seconds_per_step"]
            parts = seconds["compute"] + seconds["wait"] + seconds["allreduce"]
            self.assertTrue(math.isclose(seconds["total"], parts))
            self.assertLessEqual(seconds["transfer"], seconds["allreduce"])
        dense, topk, regtopk = result["methods"]
        self.assertEqual(dense["bytes_per_step"], 535818 * 4)
        self.assertEqual(topk["bytes_per_step"], regtopk["bytes_per_step"])
        self.assertEqual(topk["sparse_allreduce"]["entries"], topk["steps"] * 5358)
        self.assertGreater(topk["compression"], 50)

    def test_same_seed_same_curve_and_mu_0_is_topk(self):
        words = ["--data", mnist, "--epochs", 1, "--batch", 2000, "--mu", 0, "--methods"]
        _, first = self.run_and_read(2, *words, "topk,regtopk")
        _, second = self.run_and_read(2, *words, "topk")
        curves = [m["curve"] for m in first["methods"] + second["methods"]]
        self.assertEqual(curves.count(curves[0]), 3)
        _, other = self.run_and_read(2, *words, "topk", "--seed", 2)
        self.assertNotEqual(other["methods"][0]["curve"], curves[0])

    def test_one_rank_sends_nothing(self):
        _, result = self.run_and_read(1, "--data", write_data("one"), *SMALL, "--batch", 32)
        self.assertEqual([m["bytes_per_step"] for m in result["methods"]], [0, 0, 0])
        self.assertEqual([m["compression"] for m in result["methods"]], [None, None, None])

    def test_plain_files_uneven_shares_warmup_and_wire(self):
        data = write_data("plain", gzipped=False)
        _, result = self.run_and_read(3, "--data", data, *SMALL, "--batch", 32, "--warmup", 1,
                                      "--wire", "bfloat16", "--methods", "topk")
        bytes_sent = result["methods"][0]["curve"]["bytes"]
        steps = [after - before for before, after in zip(bytes_sent, bytes_sent[1:])]
        self.assertGreater(steps[0], steps[1])
        self.assertEqual(result["config"]["wire"], "bfloat16")

    def test_local_steps_and_shards(self):
        data = write_data("local")
        words = ["--data", data, "--hidden", 16, "--batch", 32, "--methods", "dense", "--steps", 12, "--local-steps"]
        curves = {}
        for local in (1, 5):
            for shards in ("none", "mixed", "sorted"):
                _, result = self.run_and_read(4, *words, local, "--shards", shards)
                method = result["methods"][0]
                self.assertEqual(method["steps"], 12)
                curves[local, shards] = method["curve"]["training_loss"]
        for shards in ("none", "mixed", "sorted"):
            self.assertLess(curves[5, shards][-1], curves[1, shards][-1], "five times as many steps")
        self.assertEqual(len({tuple(curve) for curve in curves.values()}), 6, "two are the same training")

    def test_convolutions(self):
        data = write_data("convolutions", side=9)
        _, result = self.run_and_read(2, "--data", data, "--conv", "3,5", "--hidden", 8, "--batch", 32, "--epochs", 20,
                                      "--lr", 0.1, "--density", 0.1)
        config = result["config"]
        self.assertEqual((config["convolutions"], config["widths"]), ([3, 5], [45, 8, 10]))  # 9, 5, 3 pixels a side
        self.assertEqual(result["parameters"], 26 * 3 + 76 * 5 + 46 * 8 + 9 * 10)
        for method in result["methods"]:
            self.assertGreater(method["test_accuracy"], 0.5, method["method"])

    def test_accordion_starts_high_and_falls_when_the_norm_is_steady(self):
        data = write_data("accordion")
        _, result = self.run_and_read(2, "--data", data, "--hidden", 16, "--batch", 256, "--methods", "topk",
                                      "--steps", 40, "--lr", 0.001, "--density", 0.01, "--accordion", 0.5,
                                      "--interval", 5)
        curve = result["methods"][0]["curve"]
        rate = [(b1 - b0) / (s1 - s0) for b0, b1, s0, s1 in
                zip(curve["bytes"], curve["bytes"][1:], curve["step"], curve["step"][1:])]
        self.assertGreater(rate[0], 10 * rate[-1])
        if options.cuda == "not-built":
            return
        done = train(0, "--backend", "cuda", "--ranks", 2, "--accordion", 0.5)
        self.assertIn("--accordion with --backend cuda", done.stderr)

    def test_ranks_that_are_threads(self):
        words = ["--data", mnist, "--epochs", 1, "--batch", 2000, "--methods", "topk"]
        target = scratch / "threads.json"
        done = run([program, *map(str, words), "--ranks", "3", "--json", target])
        self.assertEqual(done.returncode, 0, done.stderr)
        threads = json.loads(target.read_text())
        self.assertEqual(threads["world_size"], 3)
        self.assertIsNone(threads["device"])
        _, other = self.run_and_read(3, *words)
        curves = [result["methods"][0]["curve"] for result in (threads, other)]
        for column in ("step", "bytes", "test_accuracy"):
            self.assertEqual(curves[0][column], curves[1][column])


class Errors(unittest.TestCase):
    def expect(self, done, *words):
        self.assertNotEqual(done.returncode, 0)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(done.stderr.count("train_mnist: "), 1, done.stderr)  # not once per rank

    def expect_once_per_job(self, done, word):
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count(word), 1, done.stderr)

    def expect_data(self, directory, *words):
        self.expect(train(2, "--data", directory, *SMALL), *words)

    def test_missing_file(self):
        directory = write_data("missing")
        (directory / (TEST_LABELS + ".gz")).unlink()
        self.expect_data(directory, TEST_LABELS, "not found, with or without .gz")

    def test_torn_gzip_stream(self):
        path = write_data("torn") / (IMAGES + ".gz")
        path.write_bytes(path.read_bytes()[:-60])
        self.expect_data(path.parent, path.name, "truncated: expected 16384 bytes")

    def test_damaged_gzip_stream(self):
        path = write_data("damaged") / (IMAGES + ".gz")
        content = bytearray(path.read_bytes())
        content[-6] ^= 1  # in its checksum
        path.write_bytes(content)
        self.expect_data(path.parent, path.name, "cannot be read: ")

    def test_truncated(self):
        path = write_data("short") / (IMAGES + ".gz")
        rewrite(path, lambda content: content[:-100])
        self.expect_data(path.parent, path.name, "expected 16384 bytes", "found 16284")
        rewrite(path, lambda content: content[:6])
        self.expect_data(path.parent, path.name, "expected 4 bytes of image count", "found 2")

    def test_too_long(self):
        path = write_data("long") / (LABELS + ".gz")
        rewrite(path, lambda content: content + b"\0")
        self.expect_data(path.parent, path.name, "too long: expected 256 bytes")

    def test_wrong_magic(self):
        path = write_data("magic") / (IMAGES + ".gz")
        rewrite(path, lambda content: b"\0\0\x08\x01" + content[4:])
        self.expect_data(path.parent, path.name, "expected magic number 0x00000803, found 0x00000801")

    def test_absurd_header(self):
        path = write_data("absurd") / (IMAGES + ".gz")
        rewrite(path, lambda content: content[:4] + b"\xff" * 12 + content[16:])
        self.expect_data(path.parent, path.name, "found 4294967295 images of 4294967295 x")

    def test_images_and_labels_of_different_length(self):
        path = write_data("lengths") / (LABELS + ".gz")
        rewrite(path, lambda content: struct.pack(">2I", 0x801, 255) + content[8:-1])
        self.expect_data(path.parent, path.name, "expected 256 labels", IMAGES, "found 255")

    def test_label_out_of_range(self):
        path = write_data("label") / (LABELS + ".gz")
        rewrite(path, lambda content: content[:9] + b"\x0b" + content[10:])
        self.expect_data(path.parent, path.name, "expected labels from 0 to 9, found 11 at position 1")

    def test_test_images_of_another_size(self):
        directory = write_data("sizes")
        path = directory / (TEST_IMAGES + ".gz")
        rewrite(path, lambda content: struct.pack(">4I", 0x803, 256, 4, 16) + content[16:])
        self.expect_data(directory, "training images are 8 x 8 pixels, test images 4 x 16")

    def test_shards_too_small_for_the_batch(self):
        self.expect(train(3, "--data", write_data("shards"), *SMALL, "--batch", 256, "--shards", "mixed"),
                    "--batch: expected at most 255, so that a rank's part of it fits its shard of 85 images, found 256")

    def test_batch_and_ranks(self):
        directory = write_data("batch")
        self.expect(train(3, "--data", directory, *SMALL, "--batch", 2),
                    "--batch: expected at least 3, an image for each rank, found 2")
        self.expect(train(2, "--data", directory, *SMALL, "--batch", 257),
                    "--batch: expected at most 256, the number of training images, found 257")

    def test_json_that_cannot_be_written(self):
        directory = write_data("json")
        self.expect(train(2, "--data", directory, *SMALL, "--batch", 32, "--json", directory),
                    "--json: ", "cannot be written")

    def test_command_line(self):
        for words in (["--density", "0"], ["--density", "nan"], ["--density", "1.5"], ["--mu", "-1"],
                      ["--batch", "0"], ["--batch", "-4"], ["--lr", "x"], ["--methods", "best"],
                      ["--wire", "int8"], ["--hidden", "0"], ["--conv", "8,0"], ["--warmup", "-1"], ["--unknown"]):
            self.expect_once_per_job(train(0, *words), words[0])
        for words in (["--warmup", 5, "--accordion", 0.1], ["--interval", 5], ["--steps", 3, "--epochs", 2],
                      ["--cifar10", "x", "--data", "y"], ["--accordion", 0.001, "--density", 0.01], ["--json", ""]):
            done = train(0, *words)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(words[0], done.stderr)
        self.assertIn("--methods: expected one of dense, regtopk, topk, found best",
                      train(0, "--methods", "dense,best").stderr)
        self.expect_once_per_job(train(2, "--density", "2"), "--density")

    def test_ranks(self):
        for words in (["--ranks", "0"], ["--ranks", "2000"], ["--ranks", "x"], ["--backend", "gpu"]):
            self.expect_once_per_job(train(0, *words), words[0])
        self.expect(run([program, "--ranks", "2", "--data", write_data("ranks") / "no"]), "not found")
        if launcher:
            self.expect(train(2, "--ranks", 2), "--ranks starts ranks itself", "mpirun has started 2")


def has_gpu():
    """Asks the driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


class Cuda(unittest.TestCase):
    def expect_failure(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    @unittest.skipIf(options.cuda == "built", "built with CUDA")
    def test_build_without_cuda(self):
        for done in (train(0, "--backend", "cuda"), train(0, "--backend", "cuda", "--ranks", 2)):
            self.expect_failure(done, "built without CUDA", "cmake --preset cuda")
            self.assertEqual(done.stderr.count("train_mnist: "), 1, done.stderr)

    @unittest.skipIf(options.cuda != "built" or has_gpu(), "not built with CUDA, or there is a GPU")
    def test_no_gpu(self):
        self.expect_failure(train(0, "--backend", "cuda"), "rank 0", "found ", "expected a GPU and a driver")
        self.expect_failure(train(0, "--backend", "cuda", "--conv", 4), "--conv with --backend cuda", "use --backend host")
        done = train(0, "--backend", "cuda", "--ranks", 2)
        self.expect_failure(done, "expected a GPU", "rank 0 exited with status 1", "rank 1 exited with status 1")
        if launcher:
            done = train(2, "--backend", "cuda")
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stderr.count("expected a GPU and a driver"), 1, done.stderr)

    @unittest.skipIf(options.cuda != "built" or not has_gpu(), "not built with CUDA, or no GPU")
    def test_trains_as_on_hosts(self):
        words = ["--data", mnist, "--epochs", 1, "--batch", 500, "--density", 0.01]
        results = []
        for name in ("host", "cuda"):
            target = scratch / f"{name}.json"
            done = train(0, *words, "--ranks", 2, "--backend", name, "--json", target)
            self.assertEqual(done.returncode, 0, done.stderr)
            results.append(json.loads(target.read_text()))
        host, cuda = results
        self.assertIn("2 ranks on", cuda["device"])
        for one, other in zip(host["methods"], cuda["methods"]):
            self.assertEqual(one["curve"]["bytes"], other["curve"]["bytes"])
            self.assertAlmostEqual(one["curve"]["training_loss"][1], other["curve"]["training_loss"][1], 4)
            self.assertAlmostEqual(one["test_accuracy"], other["test_accuracy"], delta=0.05)
            self.assertIsNone(other["seconds_per_step"]["wait"])


class Launcher(unittest.TestCase):
    """Of ranks that are processes, as --backend cuda --ranks has them."""

    def probe(self, ranks, what):
        return run([options.probe, str(ranks), what], env=self.environment())

    def environment(self):
        self.places = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        return {**os.environ, "TMPDIR": str(self.places)}

    def tearDown(self):
        self.assertEqual(list(self.places.iterdir()), [])  # nothing is left behind

    def test_all_meet(self):
        done = self.probe(5, "none")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "5 ranks, sum 1000\n", ""))

    def test_failed_rank_ends_the_others(self):
        for what, words in (("exit", "rank 1 exited with status 3"),
                            ("kill", "rank 1 was killed by signal 9"),
                            ("throw", "rank 1: thrown on purpose")):
            done = self.probe(3, what)
            self.assertEqual((done.returncode, done.stdout), (1, ""), what)
            self.assertIn(words, done.stderr)
            for rank in (0, 2):
                self.assertIn(f"rank {rank} was ended, because another rank had failed", done.stderr)

    def test_complaint_is_printed_once(self):
        done = self.probe(3, "agree")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("complained on purpose"), 1)
        self.assertNotIn("was ended", done.stderr)

    def test_interrupt_ends_all(self):
        process = subprocess.Popen([options.probe, "3", "kill"], env=self.environment(), stderr=subprocess.PIPE)
        time.sleep(0.5)  # now the others have a moment left
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGTERM, error)


if __name__ == "__main__":
    scratch.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=sys.argv[:1] + options.part, verbosity=2)
