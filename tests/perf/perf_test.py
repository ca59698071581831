#!/usr/bin/env python3
"""Runs sparccl_perf on threads, and over MPI, and on bad input.

After --: mpirun and its flag for the number of ranks; nothing in builds without MPI.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--program", required=True)
parser.add_argument("--scratch", type=pathlib.Path, required=True)
parser.add_argument("--gloo", choices=["yes", "no"], required=True)
parser.add_argument("--cuda", choices=["yes", "no"], required=True)
separator = sys.argv.index("--")
options, mpirun = parser.parse_args(sys.argv[1:separator]), sys.argv[separator + 1:]
options.scratch.mkdir(parents=True, exist_ok=True)

QUICK = ["-n", "2", "-w", "1", "--repeats", "3"]
ROW = {"bytes", "count", "type", "redop", "density", "mu", "wire", "path", "path_asked", "path_reason",
       "in_place", "time_us", "algbw_GBps", "busbw_GBps", "wrong", "wire_bytes", "effective_GBps",
       "stages_us", "dense_time_us", "speedup", "break_even_Gbps", "iterations", "repeats"}


def run(command, **environment):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


def perf(*words, **environment):
    return run([options.program, *words], **environment)


class Runs(unittest.TestCase):
    def figures(self, *words, ranks=0):
        """Of a run that must be all right: on so many processes, or by itself."""
        file = options.scratch / "figures.json"
        file.unlink(missing_ok=True)
        before = [*mpirun, ranks] if ranks else []
        done = run([*before, options.program, *QUICK, *words, "--json", file])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Wrong entries: ", done.stdout)
        return json.loads(file.read_text()), done.stdout

    def check(self, figures, ranks, transport):
        self.assertEqual((figures["ranks"], figures["transport"]), (ranks, transport))
        self.assertEqual(figures["nodes"], 1)
        self.assertGreater(figures["host"]["cores"], 0)
        self.assertTrue(figures["commit"] is None or len(figures["commit"]) >= 40)
        for row in figures["rows"]:
            self.assertEqual(set(row), ROW)
            self.assertEqual(row["wrong"], 0)
            time = row["time_us"]
            self.assertTrue(0 < time["min"] <= time["p25"] <= time["median"] <= time["p75"] <= time["max"])
            self.assertAlmostEqual(row["algbw_GBps"] * time["median"], row["bytes"] / 1e3, 3)
            self.assertAlmostEqual(row["busbw_GBps"] * time["median"], row["wire_bytes"] / 1e3, 3)
            dense = 2 * (ranks - 1) / ranks * row["bytes"]
            self.assertAlmostEqual(row["effective_GBps"] * time["median"], dense / 1e3, 3)
            self.assertGreater(row["speedup"], 0)
            stages = row["stages_us"]
            compute = sum(stages[name] for name in ("accumulate", "select", "pack", "merge"))
            if row["wire_bytes"] < dense:
                bits = 8 * (dense - row["wire_bytes"])
                self.assertAlmostEqual(row["break_even_Gbps"] * compute * 1e3 / bits, 1, 6)
            else:
                self.assertIsNone(row["break_even_Gbps"])
        for row in figures["baselines"]:
            self.assertEqual(row["wrong"], 0)
            self.assertGreater(row["time_us"]["median"], 0)

    def test_threads(self):
        figures, table = self.figures("-t", 3, "-b", "24K", "-d", "all", "-o", "all", "-c", 3,
                                      "--density", "0.01,1", "--path", "allgather")
        self.check(figures, 3, "local")
        self.assertEqual(len(figures["rows"]), 4 * 2 * 2 * 2)
        self.assertEqual({row["type"] for row in figures["rows"]}, {"half", "bfloat16", "float", "double"})
        self.assertEqual({row["path"] for row in figures["rows"]}, {"allgather"})
        self.assertEqual(sum(not line.startswith("#") for line in table.splitlines()), 4 * 2 * 2)

    def test_density_in_percent(self):
        figures, _ = self.figures("-b", "4K", "--path", "allgather", "--density", "1%,0.5", "--place", "out")
        self.assertEqual([row["density"] for row in figures["rows"]], [0.01, 0.5])

    def test_sizes(self):
        figures, _ = self.figures("-b", "1K", "-e", "16K", "-f", 4, "--path", "allgather", "--place", "out")
        self.check(figures, 2, "local")
        self.assertEqual([row["bytes"] for row in figures["rows"]], [1024, 4096, 16384])

    def test_every_path(self):
        figures, table = self.figures("-t", 4, "-b", "64K", "-c", 2, "--path", "all", "--ranks-per-node", 2)
        asked = [row["path_asked"] for row in figures["rows"] if not row["in_place"]]
        self.assertEqual(asked, ["auto", "dense", "allgather", "split", "hierarchical"])
        # Placements for which auto chose other paths stand in two lines.
        taken = {row["path"] for row in figures["rows"] if row["path_asked"] == "auto"}
        labels = re.findall(r"^ .* ((?:auto:)?[a-z]+) +0\.001000 ", table, re.MULTILINE)
        self.assertEqual(set(labels[:len(taken)]), {f"auto:{path}" for path in taken})
        self.assertEqual(labels[len(taken):], ["dense", "allgather", "split", "hierarchical"])
        self.assertIn("# dense: the library's dense allreduce", table)
        for row in figures["rows"]:
            if row["path_asked"] == "auto":
                self.assertRegex(table, "#   reason.*: " + re.escape(row["path_reason"]) + "\n")
        self.assertNotIn("reason: asked for", table)
        self.assertEqual(figures["nodes"], 2)
        for row in figures["rows"]:
            self.assertEqual(row["wrong"], 0)
        figures, table = self.figures("-t", 2, "-b", "64K", "--path", "all", "--place", "out")
        self.assertEqual(len(figures["rows"]), 4)
        self.assertIn("left out: --path hierarchical: expected 2 nodes or more", table)

    def test_top_k_narrower_wire_one_rank(self):
        figures, _ = self.figures("-t", 2, "-b", "32K", "-c", 3, "--mu", 0, "--wire", "bfloat16")
        self.check(figures, 2, "local")
        self.assertEqual(figures["rows"][0]["wire"], "bfloat16")
        figures, _ = self.figures("-t", 1, "-b", "32K")
        self.check(figures, 1, "local")
        self.assertEqual(figures["rows"][0]["busbw_GBps"], 0)

    def test_without_checks(self):
        figures, table = self.figures("-c", 0, "-b", "32K", "--place", "in", "-a", 1)
        self.assertIsNone(figures["rows"][0]["wrong"])
        self.assertEqual([row["in_place"] for row in figures["rows"]], [True])
        self.assertIn("Wrong entries: not checked", table)

    def test_baselines_of_threads(self):
        names = ["naive", *(["gloo"] if options.gloo == "yes" else [])]
        figures, _ = self.figures("-t", 2, "-b", "32K", "-c", 2, "-o", "all", "--baseline", ",".join(names))
        self.check(figures, 2, "local")
        self.assertEqual({row["name"] for row in figures["baselines"]}, set(names))
        figures, table = self.figures("-b", "32K", "-d", "float16", "--baseline", "naive")
        self.assertEqual(figures["baselines"], [])
        self.assertIn("Not measured: baseline naive: written for float alone, not for half", table)

    @unittest.skipUnless(mpirun, "built without MPI")
    def test_processes(self):
        names = ["mpi", "naive", *(["gloo"] if options.gloo == "yes" else [])]
        figures, _ = self.figures("-b", "64K", "-c", 2, "--path", "allgather", "--baseline", ",".join(names),
                                  "-d", "float,double", ranks=2)
        self.check(figures, 2, "mpi")
        self.assertEqual({row["name"] for row in figures["baselines"]}, set(names))
        self.assertEqual(len(figures["rows"]), 4)

    @unittest.skipUnless(mpirun, "built without MPI")
    def test_another_mpis_launcher(self):
        """As its processes see it: they are one of two, but their MPI knows nothing of the other."""
        for rank, said in ((0, "started as one of 2 processes"), (1, "")):
            job = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(rank)}
            done = subprocess.run([options.program, "--transport", "mpi", "-b", "4K"], capture_output=True, text=True,
                                  timeout=120, env={**os.environ, **job})
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stderr != "", rank == 0, done.stderr)
            self.assertEqual(done.stdout, "")

    @unittest.skipUnless(mpirun, "built without MPI")
    def test_bad_input_of_processes(self):
        for words, expected in ((["-t", "2"], "-t with --transport mpi"),
                                (["--transport", "local"], "mpirun has started 2 processes"),
                                (["--path", "hierarchical"], "expected 2 nodes or more"),
                                (["--ranks-per-node", "3"], "expected a divisor")):
            with self.subTest(words=words):
                done = run([*mpirun, 2, options.program, *words])
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stderr.count(expected), 1, done.stderr)
                self.assertNotIn("GB/s", done.stdout)


class BadInput(unittest.TestCase):
    def refused(self, words, expected, code=2):
        with self.subTest(words=words):
            done = perf(*words)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertRegex(done.stderr, expected)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertNotIn("(GB/s)\n", done.stdout)

    def test_flags(self):
        for words, expected in (
                (["--speed", "11"], "--speed 11; .*--help lists all"),
                (["-b", "12Q"], "-b: expected a number of bytes.*found '12Q'"),
                (["-b", "0"], "-b: expected a number of bytes"),
                (["-b", "2M", "-e", "1M"], "-e 1M: expected at least -b.*larger -e"),
                (["-b", "10"], "10 bytes is no whole number of float.*multiples of 4.*12"),
                (["-f", "1"], "-f: expected 2 or more"),
                (["-f", "0"], "-f: expected 2 or more, found 0; or leave it out"),
                (["-t", "0"], "-t: expected 1 or more, found 0; or leave it out"),
                (["-t", "-1"], "-t: expected 1 or more, found -1"),
                (["-g", "0"], "-g: expected 1 or more, found 0"),
                (["-d", "int8"], "-d: expected one of half, bfloat16, float, double, found 'int8'"),
                (["-o", "max"], "-o: expected one of sum, avg, found 'max'"),
                (["-n", "0"], "-n: expected 1 or more"),
                (["-w", "-1"], "-w: expected 0 or more"),
                (["-c", "-1"], "-c: expected 0 or more"),
                (["-a", "4"], r"-a: expected 0 \(rank 0\)"),
                (["--repeats", "0"], "--repeats: expected 1 or more"),
                (["-t", "257"], "-t: expected up to 256, found 257; .*by mpirun"),
                (["-n", "abc"], "abc: expected a number"),
                (["-z", "1", "--stop"], "unknown: -z 1 --stop; of nccl-tests' flags there are -b -e"),
                (["--density", "0.1,1.5"], "--density: expected shares above 0 and up to 1, as 0.001, or 0.1%.*'1.5'"),
                (["--density", "nan"], "--density"),
                (["--mu", "-1"], "--mu: expected a finite number"),
                (["--wire", "int8"], "--wire: expected one of"),
                (["--wire", "double"], "--wire double: a tensor of float has nothing to gain"),
                (["--path", "ring"], "--path: expected one of auto, dense"),
                (["--place", "up"], "--place: expected out, in or both"),
                (["--transport", "tcp"], "--transport: expected local, mpi or nccl"),
                (["--backend", "tpu"], "--backend: expected host or cuda"),
                (["--baseline", "ucx"], "--baseline: expected one of mpi, gloo, naive"),
                (["--ranks-per-node", "-1"], "--ranks-per-node: expected 0 or more"),
        ):
            self.refused(words, expected)

    def test_what_does_not_go_together(self):
        for words, expected in (
                (["--transport", "nccl", "--backend", "host"], "NCCL moves device memory alone.*--backend cuda"),
                (["-g", "2"], "-g: only with --transport nccl; the number of ranks is -t"),
                (["--baseline", "mpi", "--transport", "local"], "--baseline mpi: .*--transport mpi"),
                (["--path", "hierarchical", "-t", "4"], "expected 2 nodes or more.*--ranks-per-node"),
                (["--calibration", str(options.scratch)], "calibration file .*: cannot be read; make one with"),
                (["--path", "split", "--calibration", "off"], "--calibration: expected --path auto"),
                (["--json", ""], "--json: expected a file, or -"),
                (["--ranks-per-node", "3", "-t", "4"], "expected a divisor of the number of ranks, which is 4"),
                (["-b", "2000G", "-c", "0"], "would take about .* GiB .*has .* GiB left; use a smaller -e"),
                (["-d", "bfloat16", "-b", "64", "-t", "8", "-c", "100"], "not exact in bfloat16.*smaller -c"),
        ):
            self.refused(words, expected)

    def test_no_gpu(self):
        built = options.cuda == "yes"
        expected = "no GPU: .*--backend host" if built else "built without CUDA"
        # Where there is one, none is seen.
        for words in (["--backend", "cuda"], ["--transport", "nccl"]):
            done = perf(*words, CUDA_VISIBLE_DEVICES="")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, expected)
            if not built:
                advice = "or use --backend host" if "--backend" in words else "or use --transport local or mpi"
                self.assertIn(advice, done.stderr)

    @unittest.skipIf(mpirun, "built with MPI")
    def test_no_mpi(self):
        self.refused(["--transport", "mpi"], "built without MPI.*libopenmpi-dev")

    @unittest.skipIf(options.gloo == "yes", "built with Gloo")
    def test_no_gloo(self):
        self.refused(["--baseline", "gloo"], "built without Gloo.*libgloo-dev")

    def test_json_that_cannot_be_written(self):
        folder = options.scratch / "is-a-folder"
        folder.mkdir(exist_ok=True)
        blocked = options.scratch / "blocked.json"
        blocked.unlink(missing_ok=True)
        pathlib.Path(f"{blocked}.part").mkdir(exist_ok=True)  # refuses root as well
        for file, expected in ((options.scratch / "no" / "such.json", "--json: there is no folder .*no; make it"),
                               (folder, "--json: .* is a folder; name a file in it"),
                               (blocked, "--json: cannot write .*may be written to")):
            self.refused([*QUICK, "-b", "4K", "--json", file], expected)
            self.assertFalse(file.is_file())
        if mpirun:
            done = run([*mpirun, 2, options.program, *QUICK, "-b", "4K", "--json", options.scratch / "no" / "such"])
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count("--json: there is no folder"), 1, done.stderr)
            self.assertNotIn("GB/s", done.stdout)

    def test_json_to_stdout(self):
        for name in ("-", "/dev/stdout", "/dev/fd/1"):
            done = perf(*QUICK, "-b", "4K", "--json", name)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(len(json.loads(done.stdout)["rows"]), 2)
            self.assertIn("# Wrong entries: 0 OK", done.stderr)
        done = perf(*QUICK, "-b", "4K", "--json", "/dev/null")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(pathlib.Path("/dev/null.part").exists())
        self.assertFalse(pathlib.Path("/dev/null").is_file())

    def test_json_through_a_link_leaves_the_link(self):
        link, file = options.scratch / "link.json", options.scratch / "linked.json"
        link.unlink(missing_ok=True)
        file.write_text("before")
        link.symlink_to(file.name)
        done = perf(*QUICK, "-b", "4K", "--json", link)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(link.is_symlink())
        self.assertEqual(len({row["in_place"] for row in json.loads(file.read_text())["rows"]}), 2)
        link.unlink()
        link.symlink_to("/no/such/folder/file.json")
        done = perf(*QUICK, "-b", "4K", "--json", link)
        self.assertEqual(done.returncode, 2, "refused before anything is measured")
        self.assertEqual(done.stdout, "")

    def test_sizes_without_end_are_refused(self):
        for words, expected in ((["-b", "4", "-e", "1T", "-i", "4"], "more than 100000 sizes"),
                                (["-b", "4194303T"], "GiB left; use a smaller -e")):
            done = perf(*QUICK, *words)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(expected, done.stderr)

    def test_a_json_file_appears_whole_or_not_at_all(self):
        file = options.scratch / "whole.json"
        file.write_text("before")
        done = perf(*QUICK, "-b", "4K", "--json", file, "--calibration", "/no/such/costs")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(file.read_text(), "before")
        self.assertFalse(pathlib.Path(f"{file}.part").exists())

    def test_a_calibration_that_cannot_be_used(self):
        bad = options.scratch / "costs.json"
        bad.write_text("{}")
        starts = [[]] + ([[*mpirun, 2]] if mpirun else [])
        for start in starts:
            for file in (bad, "/no/such/costs"):
                with self.subTest(start=start, file=file):
                    done = run([*start, options.program, *QUICK, "-b", "4K"], SPARCCL_CALIBRATION=str(file))
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertEqual(done.stderr.count("calibration file"), 1, done.stderr)
                    self.assertIn("the variable SPARCCL_CALIBRATION names it: make the file anew", done.stderr)
                    self.assertNotIn("rank 1", done.stderr)
        self.refused(["-b", "4K", "--calibration", bad], "--calibration names it: make the file anew")

    def test_help(self):
        done = perf("--help")
        self.assertEqual(done.returncode, 0)
        for flag in ("--minbytes", "--density", "--path", "--transport", "--baseline"):
            self.assertIn(flag, done.stdout)
        for default in (r"K, M, G, T \[32M\]", r"--path .*=auto", r"--density .*=0\.001", r"--mu .*=2", "0 or more"):
            self.assertRegex(done.stdout, default)

    def test_break_even_is_one_thing(self):
        meaning = re.search("Column break-even: (.*)", perf("--help").stdout).group(1)
        self.assertIn(f"# break-even: {meaning}\n", perf(*QUICK, "-b", "4K").stdout)
        guide = pathlib.Path(__file__).resolve().parents[2] / "docs" / "performance.md"
        self.assertIn(f"| break-even | {meaning}. ", guide.read_text())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
