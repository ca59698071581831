#!/usr/bin/env python3
"""train_mnist --study: on a tiny data set what it keeps, tells and refuses; with --robust, what the digits show."""
import argparse
import json
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--scratch", type=pathlib.Path, required=True)
parser.add_argument("--program", required=True)
parser.add_argument("--plot", help="plot_study.py and a Python that runs it, where there is one", nargs=2)
parser.add_argument("--robust", action="store_true", help="train on the digits themselves")
options = parser.parse_args()
options.scratch.mkdir(parents=True, exist_ok=True)

RUNS = 40  # of --study quick


def command(*words):
    return [options.program, *map(str, words)]


def run(*words):
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=1200)


def tiny_data(count=320, side=8):
    """Bright squares whose place tells the class."""
    folder = options.scratch / "tiny"
    folder.mkdir(exist_ok=True)
    labels = bytes(i % 10 for i in range(count))
    images = bytearray(count * side * side)
    for i, label in enumerate(labels):
        images[i * side * side + 6 * label] = 255
    for name in ("train", "t10k"):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, side, side) + images)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)
    return folder


def fresh(name):
    file = options.scratch / name
    file.unlink(missing_ok=True)
    return file


def interrupt(words, file, least):
    """Once `least` runs are kept. Returns its exit status and what it said on stderr."""
    with subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 120
        while time.monotonic() < end and (not file.exists() or len(runs_of(file)) < least):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)  # SIGINT may be ignored by who runs this
        _, told = process.communicate(timeout=60)
    return process.returncode, told.decode()


def runs_of(file):
    return json.loads(file.read_text())["runs"]


@unittest.skipIf(options.robust, "the digits alone")
class Study(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = tiny_data()
        cls.file = fresh("whole.json")
        cls.done = run("--study", "quick", "--data", cls.data, "--json", cls.file)
        assert cls.done.returncode == 0, cls.done.stderr

    def again(self, *words):
        return run("--study", "quick", "--data", self.data, *words)

    def test_table_and_runs(self):
        self.assertEqual(len(runs_of(self.file)), RUNS)
        rows = [line for line in self.done.stdout.splitlines() if re.match(r" +\d", line)]
        self.assertEqual(len(rows), RUNS // 2, self.done.stdout)
        gains = [line for line in rows if "regtopk" in line]
        self.assertTrue(all(re.search(r"[+-]\d+\.\d\d \+- \d+\.\d\d$", line) for line in gains), gains)
        self.assertIn(f"[1/{RUNS}] ", self.done.stderr)
        self.assertIn("seed 1", self.done.stderr)

    def test_equal_runs_give_equal_results(self):
        """The whole file, byte for byte: nothing in it depends on the time."""
        file = fresh("again.json")
        self.assertEqual(self.again("--json", file).returncode, 0)
        self.assertEqual(file.read_bytes(), self.file.read_bytes())

    def test_an_interrupted_study_keeps_what_is_done_and_goes_on(self):
        file = fresh("interrupted.json")
        words = ("--study", "quick", "--data", self.data, "--json", file)
        status, told = interrupt(words, file, 3)
        self.assertEqual(status, 128 + signal.SIGTERM)
        self.assertRegex(told, rf"train_mnist: interrupted after \d+ of {RUNS} runs; they are kept in {file}")
        kept = len(runs_of(file))
        self.assertGreaterEqual(kept, 3)
        self.assertLess(kept, RUNS, "it was not interrupted at all")
        done = run(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{kept} of {RUNS} runs were done before, and are kept", done.stderr)
        self.assertIn(f"[{kept + 1}/{RUNS}] ", done.stderr)
        self.assertEqual(file.read_bytes(), self.file.read_bytes())

    def test_convolutional(self):
        file = fresh("convolutional.json")
        words = ("--study", "convolutional", "--data", self.data, "--json", file)
        interrupt(words, file, 2)
        self.assertEqual(json.loads(file.read_text())["about"]["convolutions"], [8, 16])
        self.assertEqual([run["method"] for run in runs_of(file)][:2], ["dense", "topk"])
        other = run("--study", "quick", "--data", self.data, "--json", file)
        self.assertIn("is of another study", other.stderr)

    def test_a_study_that_is_done_trains_nothing(self):
        before = self.file.read_bytes()
        done = self.again("--json", self.file)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, self.done.stdout, ""))
        self.assertEqual(self.file.read_bytes(), before)

    def test_files_of_others_are_refused(self):
        file = fresh("other.json")
        for text, expected in (('{"about": {}, "runs": []}', "is of another study"),
                               ("not JSON", "expected what an earlier study wrote"),
                               ('{"about": {}, "runs": 5}', "expected what an earlier study wrote")):
            file.write_text(text)
            done = self.again("--json", file)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f"^train_mnist: .*other.json: .*{expected}")
            self.assertEqual(file.read_text(), text)
        for unusable in ("/dev/null/study.json", options.scratch):
            done = self.again("--json", unusable)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f"train_mnist: {unusable}: (cannot be written|is a folder)")

    def test_runs_without_their_result(self):
        file = fresh("without.json")
        file.write_text(self.file.read_text().replace('"test_accuracy":0', '"accuracy":0', 1).replace(
            '"test_accuracy":1', '"accuracy":1'))
        done = self.again("--json", file)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, f'{file}: expected a number "test_accuracy"')

    def test_a_training_does_not_overwrite_a_study(self):
        before = self.file.read_bytes()
        done = run("--data", self.data, "--ranks", 2, "--steps", 1, "--hidden", 8, "--batch", 8, "--json", self.file)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, f"{self.file} is of a study: give --study as well")
        self.assertEqual(self.file.read_bytes(), before)

    def test_progress_styles(self):
        done = self.again("--progress", "bar", "--json", fresh("bar.json"))
        self.assertRegex(done.stderr, rf"\x1b\[K\[1/{RUNS}\] \[\.{{16}}\] ")
        self.assertEqual(self.again("--progress", "none", "--json", fresh("none.json")).stderr, "")

    def test_other_images_are_another_study(self):
        other = options.scratch / "other-data"
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(self.data, other)
        labels = other / "train-labels-idx1-ubyte"
        labels.write_bytes(labels.read_bytes()[:-1] + b"\x05")
        done = run("--study", "quick", "--data", other, "--json", self.file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is of another study", done.stderr)

    def test_settings_of_its_own(self):
        for words in (["--density", 0.1], ["--ranks", 2], ["--methods", "topk"], ["--seed", 3]):
            done = self.again(*words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(f"--study: expected no {words[0]}", done.stderr)
        self.assertIn("quick", run("--study", "some").stderr)

    def test_bad_data_leave_what_is_done(self):
        before = self.file.read_bytes()
        broken = options.scratch / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(self.data, broken)
        images = broken / "train-images-idx3-ubyte"
        whole = images.read_bytes()
        for content, expected in ((whole[:-1], "truncated: expected"), (b"\0\0\x08\x01" + whole[4:], "magic number")):
            images.write_bytes(content)
            done = run("--study", "quick", "--data", broken, "--json", self.file)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f"train-images-idx3-ubyte: .*{expected}")
            self.assertEqual(self.file.read_bytes(), before)

    @unittest.skipUnless(options.plot, "no Python with matplotlib")
    def test_plots(self):
        targets = [fresh("accuracy.png"), fresh("schedules.png")]
        subprocess.run([*options.plot, self.file, *targets], check=True)
        for target in targets:
            self.assertEqual(target.read_bytes()[:4], b"\x89PNG")
        done = subprocess.run([*options.plot, "/no/such/file", *targets], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("plot_study.py: /no/such/file", done.stderr)


@unittest.skipUnless(options.robust, "takes minutes")
class Digits(unittest.TestCase):
    """What no seed and no library changes; which method is ahead is for docs/convergence.md."""

    @classmethod
    def setUpClass(cls):
        file = fresh("digits.json")
        done = run("--study", "quick", "--json", file)
        assert done.returncode == 0, done.stderr
        cls.runs = runs_of(file)

    def test_every_training_learns(self):
        for each in self.runs:
            self.assertGreater(each["test_accuracy"], 0.3, each)
            losses = [loss for loss in each["curve"]["training_loss"] if loss is not None]
            self.assertLess(losses[-1], losses[0], each)

    def test_dense_and_mixed_shards_learn_well(self):
        for each in self.runs:
            if each["method"] == "dense" and each["shards"] == "mixed":
                self.assertGreater(each["test_accuracy"], 0.85, each)

    def test_sparse_sends_a_share_of_the_bytes(self):
        dense = {(each["local_steps"], each["seed"]): each["bytes"] for each in self.runs
                 if each["method"] == "dense"}
        for each in self.runs:
            if each["method"] != "dense" and each["schedule"] == "constant":
                self.assertLess(each["bytes"], dense[each["local_steps"], each["seed"]] / 100, each)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
