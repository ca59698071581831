#!/usr/bin/env python3
"""toy and linear_regression: what the papers claim and every run shows, a study that is interrupted, bad input."""
import argparse
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--scratch", type=pathlib.Path, required=True)
parser.add_argument("--toy", required=True)
parser.add_argument("--regression", required=True)
options = parser.parse_args()
options.scratch.mkdir(parents=True, exist_ok=True)

# Two seeds of the papers' setting, and as many rounds as tell the methods apart.
SMALL = ["--densities", "0.6", "--mus", "4", "--types", "float64", "--seeds", 2, "--rounds", 1500]


def run(program, *words):
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=300)


def result(name):
    return json.loads((options.scratch / name).read_text())


def fresh(name):
    (options.scratch / name).unlink(missing_ok=True)
    return options.scratch / name


class Toy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = run(options.toy, "--json", fresh("toy.json"))
        assert done.returncode == 0, done.stderr
        cls.methods = {each["method"]: each for each in result("toy.json")["methods"]}

    def test_top_k_stands_still_and_then_leaps(self):
        weights = [w[1] for w in self.methods["topk"]["weights"]]
        moved = next(i for i, weight in enumerate(weights) if weight != weights[0])
        self.assertGreater(moved, 50)
        self.assertGreater(weights[moved] - weights[0], 10)

    def test_regtop_k_follows_dense(self):
        dense, regtopk = self.methods["dense"]["loss"], self.methods["regtopk"]["loss"]
        for ours, theirs in list(zip(regtopk, dense))[10:]:
            self.assertLess(ours, 2 * theirs)

    def test_bad_input(self):
        for words in (["--rounds", 0], ["--step", "nan"], ["--step", 0], ["--mu", "nan"]):
            self.assertNotEqual(run(options.toy, *words).returncode, 0, words)
        done = run(options.toy, "--json", "/no/such/folder/toy.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("toy: cannot write /no/such/folder/toy.json", done.stderr)


class Regression(unittest.TestCase):
    def test_regtop_k_ends_where_top_k_does_not(self):
        done = run(options.regression, *SMALL, "--json", fresh("regression.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        ends = {}
        for each in result("regression.json")["runs"]:
            ends.setdefault(each["method"], []).append(each["end"])
        self.assertLess(max(ends["dense"]), 1e-9)
        self.assertGreater(min(ends["topk"]), 1e-5)
        self.assertLess(min(ends["regtopk"]), 1e-9)

    def test_an_interrupted_study_goes_on(self):
        few = ["--densities", "0.5", "--mus", "4", "--types", "float32", "--rounds", 20, "--seeds"]
        file = fresh("resumed.json")
        self.assertEqual(run(options.regression, *few, 1, "--json", file).returncode, 0)
        first = result("resumed.json")["runs"]
        done = run(options.regression, *few, 2, "--json", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 of 6 runs were done before, and are kept", done.stderr)
        self.assertIn("[4/6] ", done.stderr)
        runs = result("resumed.json")["runs"]
        self.assertEqual(runs[:3], first)
        self.assertEqual([each["seed"] for each in runs], [0, 0, 0, 1, 1, 1])

    def test_a_late_mu_and_who_sent_what(self):
        """A tiny mu makes a Top-k of it, which leaves where RegTop-k had come to."""
        done = run(options.regression, *SMALL, "--methods", "topk,regtopk", "--late-mu", 1e-6, "--late-from", 700,
                   "--json", fresh("late.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(result("late.json")["about"]["late_mu"], {"mu": 1e-6, "from": 700})
        for each in result("late.json")["runs"]:
            self.assertGreater(each["end"], 1e-5)
            self.assertGreater(each["torn"][0]["share_of_rounds"], 0.9, "every position, in every round")
            if each["method"] == "regtopk":
                self.assertLess(min(each["curve"]["gap"]), 1e-8)
        for words in (["--late-mu", 2, "--late-from", 1500], ["--late-from", 3]):
            done = run(options.regression, *SMALL, *words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("--late-", done.stderr)

    def test_problems_of_files(self):
        folder = options.scratch / "problems"
        few = ["--problems", folder, "--densities", 0.5, "--mus", 4, "--types", "float64", "--seeds", 1, "--rounds",
               300, "--methods", "dense", "--workers", 2, "--weights", 3]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        done = run(options.regression, *few)
        self.assertEqual(done.returncode, 1)
        self.assertIn("problem-0.f64: not found", done.stderr)
        gram, moment = [2, 0, 0, 0, 2, 0, 0, 0, 2], [2, 4, -6]  # of which the best is 1, 2, -3
        numbers = [*gram, *gram, *moment, *moment, 0, 0, 0]
        file = folder / "problem-0.f64"
        file.write_bytes(struct.pack(f"<{len(numbers)}d", *numbers))
        done = run(options.regression, *few, "--step", 10, "--json", fresh("problems.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(result("problems.json")["runs"][0]["end"], 1e-6)
        file.write_bytes(file.read_bytes()[:-8])
        done = run(options.regression, *few)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected 216 bytes for this many workers and weights, found 208", done.stderr)

    def test_files_of_others_are_refused(self):
        file = fresh("other.json")
        few = ["--densities", "0.5", "--mus", "4", "--types", "float32", "--seeds", 1]
        self.assertEqual(run(options.regression, *few, "--rounds", 2, "--json", file).returncode, 0)
        done = run(options.regression, *few, "--rounds", 3, "--json", file)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "^linear_regression: .*other.json: is of another study")
        file.write_text('{"about": {}, "ru')
        done = run(options.regression, *few, "--rounds", 2, "--json", file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected what an earlier study wrote", done.stderr)
        self.assertEqual(file.read_text(), '{"about": {}, "ru', "it may be somebody's")

    def test_bad_input(self):
        for words in (["--densities", "2"], ["--densities", "nan"], ["--methods", "best"], ["--seeds", 0], ["--types", "int8"], ["--nosuch"]):
            done = run(options.regression, *words)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(str(words[0]), done.stderr)
        done = run(options.regression, *SMALL, "--json", "/no/such/folder/file.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/such/folder/file.json", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
