#!/usr/bin/env python3
"""bench/regret: what it makes of sparccl_perf's figures, one small cell for real, and bad input.

After --: mpirun, which is not used in builds without MPI.
"""
import argparse
import contextlib
import importlib.util
import io
import json
import pathlib
import signal
import subprocess
import sys
import time
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--regret", type=pathlib.Path, required=True)
parser.add_argument("--program", required=True)
parser.add_argument("--scratch", type=pathlib.Path, required=True)
separator = sys.argv.index("--")
options, mpirun = parser.parse_args(sys.argv[1:separator]), sys.argv[separator + 1:]
options.scratch.mkdir(parents=True, exist_ok=True)

spec = importlib.util.spec_from_file_location("regret", options.regret)
regret = importlib.util.module_from_spec(spec)
spec.loader.exec_module(regret)


def run(*words):
    command = [sys.executable, options.regret, "--program", options.program, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)


def judged(cells, limit):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        return regret.judge(cells, limit), out.getvalue()


def cell(percent, to_mpi=None):
    return {"transport": "mpi", "ranks": 2, "count": 10, "density": 0.5, "path": "split",
            regret.TO_DENSE: percent, regret.TO_MPI: to_mpi}


class Arithmetic(unittest.TestCase):
    def test_regret_is_the_inverse_of_the_paired_speedup(self):
        row = {"count": 10, "density": 0.1, "path": "dense", "path_reason": "", "speedup": 0.8,
               "time_us": {"median": 5}, "dense_time_us": {"median": 4}}
        other = {"name": "mpi", "density": 0.1, "sparse_speedup": 2}
        found = regret.cells_of({"transport": "mpi", "ranks": 2, "rows": [row], "baselines": [other]})
        self.assertAlmostEqual(found[0][regret.TO_DENSE], 25)
        self.assertAlmostEqual(found[0][regret.TO_MPI], -50)

    def test_a_cell_is_the_median_of_its_runs(self):
        runs = [{**cell(percent, percent + 1), "path": path, "time_us": 1, "dense_time_us": 2}
                for percent, path in ((9, "dense"), (-50, "split"), (1, "dense"))]
        found = regret.typical(runs)
        self.assertEqual((found[regret.TO_DENSE], found[regret.TO_MPI]), (1, 2))
        self.assertEqual((found["path"], found["paths"]), ("dense", {"dense": 2, "split": 1}))
        self.assertEqual((found["run_paths"], found["regrets_percent"]), (["dense", "split", "dense"], [9, -50, 1]))
        self.assertEqual(regret.text_of(found, regret.TO_DENSE), "+1.0 dense 2/3")
        self.assertIn("path dense 2/3)", judged([found], 5)[1])
        self.assertEqual(regret.text_of(regret.typical(runs[:1]), regret.TO_DENSE), "+9.0 dense")
        refused = {"not_measured": "no memory"}
        self.assertEqual(regret.cell_of([refused, *runs, refused]), found)
        self.assertEqual(regret.cell_of([refused]), refused)
        self.assertIsNone(regret.typical([{**run, regret.TO_MPI: None} for run in runs])[regret.TO_MPI])

    def test_the_worst_decides(self):
        cells = [cell(-40, 3), cell(5), cell(4.9, 80), {**cell(0), "not_measured": "no memory"}]
        cells[3].pop(regret.TO_DENSE)
        fine, text = judged(cells, 5)
        self.assertTrue(fine)
        self.assertIn("worst regret to dense: +5.0 %", text)
        self.assertIn("worst regret to MPI_Allreduce: +80.0 %", text)
        self.assertIn("not measured: no memory", text)
        self.assertIn("0 of 3 cells are above 5 %: fine", text)
        fine, text = judged(cells + [cell(5.1)], 5)
        self.assertFalse(fine)
        self.assertIn("1 of 4 cells are above 5 %: too slow", text)

    def test_nothing_measured_is_not_fine(self):
        self.assertFalse(judged([{"not_measured": "no memory"}], 5)[0])


class Progress(unittest.TestCase):
    def test_a_long_row_is_told_of_again(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            progress = regret.Progress(6)
            progress.at_row("mpi")
            progress.at_run(1, 5)
            progress.EVERY = 0
            progress.at_run(2, 5)
        self.assertEqual(said.getvalue().splitlines(),
                         ["1/6: mpi, 0 s so far", "1/6: mpi, run 2 of 5, 0 s so far"])


class Program(unittest.TestCase):
    def test_a_cell(self):
        file = options.scratch / "regret.json"
        transports = ["local", *(["mpi"] if mpirun else [])]
        done = run("--counts", "1e3", "--calls", 20, "--ranks", 2, "--densities", "0.01,0.5", "--transports", ",".join(transports),
                   "--path", "dense", "--limit", 1e9, "--json", file, *(["--mpirun", mpirun[0]] if mpirun else []))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = json.loads(file.read_text())
        self.assertTrue(found["complete"])
        self.assertEqual([(c["transport"], c["density"]) for c in found["cells"]],
                         [(t, d) for t in transports for d in (0.01, 0.5)])
        for c in found["cells"]:
            self.assertEqual(c["path"], "dense")
            self.assertEqual(c[regret.TO_MPI] is not None, c["transport"] == "mpi")
        self.assertEqual(found["worst"], max(found["cells"], key=lambda c: c[regret.TO_DENSE]))
        for i, transport in enumerate(transports):  # where stderr is a file, a line each
            self.assertRegex(done.stderr.splitlines()[i],
                             rf"^{i + 1}/{len(transports)}: {transport}, 2 ranks, n = 1000, \d+ s so far$")

    def first_row_only(self, then):
        """A stand-in for sparccl_perf that does the first row, and then something else."""
        figures = {"transport": "local", "ranks": 2, "baselines": [],
                   "rows": [{"count": 1000, "density": 0.5, "path": "dense", "path_reason": "", "speedup": 1,
                             "time_us": {"median": 1}, "dense_time_us": {"median": 1}}]}
        program = options.scratch / "first_row_only"
        program.write_text("#!/bin/sh\nwhile [ $# -gt 0 ]; do\n  case $1 in -b) size=$2 ;; --json) file=$2 ;; esac\n"
                           f"  shift\ndone\nif [ $size = 4000 ]; then echo '{json.dumps(figures)}' >\"$file\"; else {then}; fi\n")
        program.chmod(0o755)
        return ["--program", program, "--counts", "1e3,1e4", "--ranks", 2, "--densities", "0.5", "--transports", "local"]

    def assert_first_row(self, stdout, file):
        self.assertRegex(stdout, r"(?m)^ +1000 +\+0\.0 dense$")
        self.assertRegex(stdout, r"(?m)^ +10000 +not measured$")
        kept = json.loads(file.read_text())
        self.assertEqual([c["count"] for c in kept["cells"]], [1000])
        self.assertFalse(kept["complete"])

    def test_what_was_measured_is_kept(self):
        """When a later row cannot be."""
        file = options.scratch / "kept.json"
        done = run(*self.first_row_only("exit 1"), "--json", file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended with 1", done.stderr)
        self.assert_first_row(done.stdout, file)

    def test_an_interrupted_grid_is_told(self):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup a run would ignore it
        file, marker = options.scratch / "interrupted.json", options.scratch / "second_row"
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            marker.unlink(missing_ok=True)
            words = self.first_row_only(f"touch {marker}; exec sleep 31418")
            command = [sys.executable, options.regret, *words, "--json", file]
            with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True) as running:
                end = time.monotonic() + 60
                while not marker.exists() and time.monotonic() < end:
                    time.sleep(0.05)
                for _ in range(3):  # the first is the one that counts
                    running.send_signal(number)
                    time.sleep(0.02)
                stdout, stderr = running.communicate(timeout=60)
            self.assertEqual(running.returncode, status, stderr)
            self.assert_first_row(stdout, file)
            self.assertIn("not measured: interrupted after 1 of 2 rows", stdout)
            self.assertNotIn("Traceback", stderr)
            self.assertNotEqual(subprocess.run(["pgrep", "-f", "sleep 31418"], stdout=subprocess.DEVNULL).returncode, 0)

    def test_nothing_of_an_earlier_run_stays(self):
        file = options.scratch / "earlier.json"
        file.write_text(json.dumps({"cells": [cell(1)], "complete": True}))
        done = run(*self.first_row_only("exit 1"), "--counts", "1e4", "--json", file)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(file.read_text())["cells"], [])

    def test_json_through_a_link_leaves_the_link(self):
        link, file = options.scratch / "link.json", options.scratch / "linked.json"
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        regret.write_whole(link, "text")
        self.assertTrue(link.is_symlink())
        self.assertEqual(file.read_text(), "text")

    def test_what_does_not_fit_gives_no_figure(self):
        done = run("--counts", "1e12", "--ranks", 2, "--densities", "0.5", "--transports", "local")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, "not measured: sizes of up to .* GiB left")
        self.assertNotIn("worst", done.stdout)

    def test_bad_input(self):
        for words, expected in ((["--runs", "4"], "--runs: expected an odd number of at least 5"),
                                (["--transports", "tcp"], "--transports: expected mpi, local or both"),
                                (["--counts", "abc"], "--counts: expected whole numbers of at least 1"),
                                (["--counts", "1.5"], "--counts: expected whole numbers of at least 1"),
                                (["--counts", "inf"], "--counts: expected whole numbers of at least 1"),
                                (["--ranks", "2,1"], "--ranks: expected whole numbers of at least 2"),
                                (["--densities", "0.1,5"], "--densities: expected shares above 0 and up to 1"),
                                (["--densities", "0"], "--densities: expected shares above 0 and up to 1"),
                                (["--densities", "1%"], "(0.1 % is 0.001), found '1%'"),
                                (["--path", "nosuch"], "invalid choice: 'nosuch' (choose from "),
                                (["--json", "/no/such/file"], "--json: cannot write /no/such/file: No such file"),
                                (["--json", "/"], "--json: cannot write /: Is a directory"),
                                (["--program", "/no/perf"], "there is no program /no/perf: cmake --preset host"),
                                (["--program", "/etc/passwd"], "there is no program /etc/passwd"),
                                (["--mpirun", "/no/mpirun", "--transports", "mpi"], "there is no /no/mpirun")):
            with self.subTest(words=words):
                # Were they accepted, little would be measured.
                done = run("--quick", "--counts", 10, "--ranks", 2, "--transports", "local", "--calls", 1, *words)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(expected, done.stderr)
                self.assertNotIn("Traceback", done.stderr)

    def test_help_tells_defaults(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("2,4,8", "1000,10000,", "0.0001,0.001,", "auto", "mpi,local", "2000", "5.0"):
            self.assertIn(f"default: {word}", " ".join(done.stdout.split()))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
