"""bench/network without root: command lines, crossings, tables, refusals. With root: a run.

usage: network_test.py BENCH_FOLDER
"""

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

BENCH = pathlib.Path(sys.argv.pop(1)).resolve()
sys.path[:0] = [str(BENCH), str(BENCH.parent)]

import breakeven  # noqa: E402
import launch  # noqa: E402
import plotting  # noqa: E402
import results  # noqa: E402
import run  # noqa: E402
import topology  # noqa: E402


def run_of(rate, dense_ms, sparse_ms, wrong=0, speedup=None):
    row = {
        "path_asked": "split",
        "in_place": False,
        "bytes": 1000,
        "iterations": 10,
        "wrong": wrong,
        "time_us": {"median": 1e3 * sparse_ms},
        "dense_time_us": {"median": 1e3 * dense_ms},
        "speedup": speedup or dense_ms / sparse_ms,
    }
    return {"hosts": 4, "rate_gbps": rate, "achieved_gbps": rate, "rtt_us": 40,
            "perf": {"rows": [row], "baselines": []}}  # fmt: skip


def wait_until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


class Network(unittest.TestCase):
    def test_a_rank_in_each_host_and_none_over_shared_memory(self):
        words = launch.command(2, ["prog", "-n"])
        self.assertEqual(words.count("netns"), 2)
        self.assertEqual(words.count("tcp,self"), 2)
        self.assertEqual(words[words.index(":") - 3 : words.index(":")], ["spcl-h0", "prog", "-n"])

    def test_a_delay_comes_before_the_rate(self):
        self.assertEqual(len(topology.shaping(1e9, 0)), 1)
        netem, tbf = topology.shaping(1e9, 50)
        self.assertIn("50us", netem)
        self.assertIn("1000000000bit", tbf)

    def test_curves_cross_between_rates_and_nowhere_else(self):
        gbps, why, rests_on = breakeven.crossing([(1, 10.0), (100, 0.1)])
        self.assertEqual(rests_on, (1, 100))
        self.assertIsNone(why)
        self.assertAlmostEqual(gbps, 10)
        for points, word, on in (([(1, 5), (10, 2)], "sparse is faster", (10,)),
                                 ([(1, 0.5), (10, 0.3)], "dense is faster", (1,)),
                                 ([(1, 0.5)], "two rates", ())):  # fmt: skip
            gbps, why, rests_on = breakeven.crossing(points)
            self.assertIsNone(gbps)
            self.assertEqual(rests_on, on)
            self.assertIn(word, why)

    def test_the_table_says_how_many_times_faster(self):
        text = results.table([run_of(1, 40, 2), run_of(10, 1, 2)])
        self.assertIn("20.0x", text)
        self.assertIn("0.5x", text)
        self.assertIn("4 hosts, split: break-even at", text)

    def test_ratios_are_of_neighbouring_blocks(self):
        """As sparccl_perf paired them, where the two medians say something else: table and break-even."""
        runs = [run_of(1, 40, 2, speedup=30), run_of(10, 4, 2, speedup=0.5)]
        text = results.table(runs)
        self.assertIn("30.0x", text)
        self.assertNotIn("20.0x", text)
        self.assertIn("the median of the ratios of neighbouring blocks", text)
        self.assertIsNone(results.break_evens(runs)[4, "split"][1])

    def test_rates_in_doubt_are_marked(self):
        """1000 bytes on 4 hosts in 8 us are 1.5 Gbit/s."""
        for reached, asked, expected in ((1.43, 1.5, []), (1.42, 1.5, ["dense calls moved 1.5 Gbit/s"]),
                                         (8, 10, []), (7.9, 10, ["less than 80 % of it"]),
                                         (1, 10, ["dense calls moved", "less than 80 %"])):  # fmt: skip
            doubts = results.rate_doubts({**run_of(asked, 0.008, 1), "achieved_gbps": reached})
            self.assertEqual(len(doubts), len(expected), doubts)
            for doubt, words in zip(doubts, expected):
                self.assertIn(words, doubt)

    def test_a_break_even_on_a_rate_in_doubt_says_so(self):
        runs = [run_of(1, 40, 2), run_of(10, 8, 2), {**run_of(25, 1, 2), "achieved_gbps": 12}]
        lines = results.table(runs).splitlines()
        self.assertEqual([("*" in line) for line in lines[1:4]], [False, False, True])
        self.assertIn("*: the rate is in doubt: 4 hosts at 25 Gbit/s: 12 Gbit/s reached", lines[5])
        self.assertRegex(lines[-1], r"break-even at .* \(rests on 12\.00\*\)$")
        self.assertNotIn("rests on", results.table(runs[:2] + [run_of(12, 1, 2)]))

    def test_the_table_says_what_passed_unshaped(self):
        """At the smallest number of hosts and the slowest rate; a dense row's bytes are not asked about."""
        runs = [run_of(0.1, 40, 2), run_of(1, 10, 2)]
        self.assertNotIn("burst", results.table(runs, 50_000))
        for each in runs:
            each["perf"]["rows"][0]["wire_bytes"] = 200_000
            each["perf"]["rows"].append({**each["perf"]["rows"][0], "path_asked": "dense", "wire_bytes": 10})
        self.assertIn("burst: up to 25 % of a call's 200,000 bytes (4 hosts, split) pass unshaped; at 0.1 Gbit/s "
                      "the rest takes 12 ms, all would take 16", results.table(runs, 50_000))  # fmt: skip

    def test_each_row_has_its_own_burst(self):
        rows = [{**run_of(rate, 40, 2), "burst_bytes": burst} for rate, burst in ((0.1, 10_000), (1, 50_000))]
        for each in rows:
            each["perf"]["rows"][0]["wire_bytes"] = 200_000
        self.assertIn("at 1 Gbit/s the rest takes 1.2 ms", results.table(rows, 100_000))
        for each in rows:
            del each["burst_bytes"]  # none that is known
        self.assertNotIn("burst", results.table(rows))

    def test_stolen_time_is_told(self):
        runs = [run_of(1, 40, 2), {**run_of(10, 8, 2), "stolen_share": 0.01}]
        self.assertNotIn("stolen", results.table(runs))
        self.assertNotIn("stolen", results.table([]))  # of an interrupted run
        runs.append({**run_of(25, 8, 2), "stolen_share": 0.2})
        self.assertIn("up to 20 % of the processors' time to others (4 hosts at 25 Gbit/s)", results.table(runs))
        everything, stolen = run.processors_time()
        self.assertGreater(everything, 0)
        self.assertLess(stolen, everything)

    def test_bursts_are_short_on_slow_links(self):
        self.assertEqual([topology.burst_bytes(rate) for rate in (1e6, 1e8, 1e9, 1e11)],
                         [12_288, 25_000, 98_304, 98_304])  # fmt: skip
        self.assertEqual([topology.segment_bytes(rate) for rate in (1e6, 1e9)], [8192, 65_536])
        for words in topology.shaping(1e8, 0):
            self.assertEqual(words[words.index("burst") + 1], "25000")

    def test_results_are_printed_again(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            for text, code in ((json.dumps({"runs": [run_of(1, 40, 2)], "burst_bytes": 1}), 0), ("{}", 1)):
                file.seek(0)
                file.truncate()
                file.write(text)
                file.flush()
                ended = subprocess.run([sys.executable, str(BENCH / "results.py"), file.name],
                                       text=True, capture_output=True, check=False, timeout=60)  # fmt: skip
                self.assertEqual(ended.returncode, code, ended.stderr)
                self.assertIn("20.0x" if code == 0 else "expected what bench/network/run --json writes",
                              ended.stdout + ended.stderr)  # fmt: skip

    def test_the_results_say_what_a_ratio_is(self):
        self.assertEqual(run.about_here(run.arguments([]))["ratio"], results.RATIO)

    def test_bytes_that_did_not_cross_the_links_are_no_measurement(self):
        self.assertIn("some other way", results.why_not(run_of(1, 4, 2), [10, 20_000, 20_000, 20_000]))
        self.assertIn("wrong", results.why_not(run_of(1, 4, 2, wrong=3), [20_000] * 4))
        self.assertIsNone(results.why_not(run_of(1, 4, 2), [20_000] * 4))

    def test_bad_words_are_refused_by_name(self):
        for words, expected in (("--quick --hosts 2 4 8", "--quick brings its own --hosts, --rates and --count"),
                                ("--rates fast", "--rates: expected a rate from 1mbit to 1000gbit"),
                                ("--rates 1gbit 10", "--rates: expected a rate"),
                                ("--rates 2000gbit", "--rates: expected a rate from 1mbit to 1000gbit"),
                                ("--hosts 2 1", "--hosts: expected a whole number from 2 to 64, found '1'"),
                                ("--count 0", "--count: expected a whole number from 1"),
                                ("--count 1.5", "--count: expected a whole number from 1"),
                                ("--count inf", "--count: expected a whole number from 1"),
                                ("--repeats many", "--repeats: expected a whole number from 1"),
                                ("--limit 0", "--limit: expected a whole number from 1"),
                                ("--delay-us -1", "--delay-us: expected a whole number from 0"),
                                ("--density 5", "--density: expected a share above 0 and up to 1"),
                                ("--density nan", "--density: expected a share above 0 and up to 1"),
                                ("--paths hierarchical", "--paths: expected some of auto, dense"),
                                ("--paths split,nosuch", "--paths: expected some of auto, dense"),
                                ("--baseline nosuch", "--baseline: expected some of mpi, naive, gloo"),
                                ("--json /no/such/file", "--json: cannot write /no/such/file"),
                                ("--plot /no/such/file.png", "--plot: cannot write /no/such/file.png"),
                                ("--json /tmp", "--json: cannot write /tmp"),
                                ("--speed 1", "--speed")):  # fmt: skip
            with self.subTest(words=words), self.assertRaises(SystemExit) as ended:
                with contextlib.redirect_stderr(io.StringIO()) as said:
                    run.arguments(words.split())
            self.assertEqual(ended.exception.code, 2, said.getvalue())
            self.assertIn(expected, said.getvalue())

    def test_a_script_starts_again_where_matplotlib_is(self):
        """By stand-ins for a Python: one that has it, one that has not, and none."""
        with tempfile.TemporaryDirectory() as folder:
            pythons = [str(pathlib.Path(folder) / name) for name in ("without", "with", "none")]
            for path, code in zip(pythons, (1, 0)):
                pathlib.Path(path).write_text(f"#!/bin/sh\nexit {code}\n")
                os.chmod(path, 0o755)
            for this_has, others, expected in ((True, pythons, None), (False, pythons, pythons[1]),
                                               (False, pythons[::2], None)):  # fmt: skip
                has = lambda path, own=this_has: own if path == sys.executable else has_it(path)  # noqa: E731
                has_it = plotting.has_matplotlib
                with unittest.mock.patch.multiple(plotting, OTHERS=others), \
                     unittest.mock.patch.object(plotting, "has_matplotlib", has), \
                     unittest.mock.patch.object(os, "execv") as started:
                    plotting.start_again_where_matplotlib_is()
                self.assertEqual([call.args for call in started.call_args_list],
                                 [(expected, [expected, *sys.argv])] if expected else [])  # fmt: skip

    def test_a_picture_that_cannot_be_drawn_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            ended = self.start(["--plot", f"{folder}/picture.nosuch"])
            self.assertEqual(os.listdir(folder), [])
        self.assertEqual(ended.returncode, 2)
        self.assertRegex(ended.stderr, "ends with one of .*png|has no matplotlib")
        self.assertNotIn("Traceback", ended.stderr)

    def test_files_that_no_picture_can_be_made_of_are_named(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            for text, expected in (("", "plot.py: "), ("{}", "expected what bench/network/run --json writes")):
                file.write(text)
                file.flush()
                ended = subprocess.run([sys.executable, str(BENCH / "plot.py"), file.name, "/tmp/no.png"],
                                       text=True, capture_output=True, check=False, timeout=60)  # fmt: skip
                self.assertEqual(ended.returncode, 1)
                self.assertRegex(ended.stderr, f"{expected}|has no matplotlib")
                self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)

    def test_bad_words_end_the_program_before_root_is_asked_for(self):
        ended = self.start(["--density", "5"])
        self.assertEqual(ended.returncode, 2)
        self.assertIn("--density: expected a share", ended.stderr)

    def test_a_file_that_is_there_is_kept_until_there_are_results(self):
        with tempfile.TemporaryDirectory() as folder:
            old, new = pathlib.Path(folder) / "old.json", pathlib.Path(folder) / "new.json"
            old.write_text("before")
            for path in (old, new):
                run.arguments(["--json", str(path)])
            self.assertEqual(old.read_text(), "before")
            self.assertFalse(new.exists())

    def test_help_tells_defaults(self):
        ended = self.start(["--help"])
        self.assertEqual(ended.returncode, 0)
        for word in ("2 4 8", "100mbit 1gbit", "25000000", "allgather,split,auto", "build/mpich"):
            self.assertIn(f"default: {word}", " ".join(ended.stdout.split()))

    def test_what_remains_goes_by_what_was_slower(self):
        options = run.arguments(["--hosts", "2", "--rates", "100mbit", "1gbit"])
        slow, fast = (run.expected_seconds(options, 2, bits) for bits in options.rates)
        self.assertGreater(slow, 5 * fast)
        self.assertAlmostEqual(run.remaining([slow, fast], 0, 0.1), slow + fast)
        self.assertAlmostEqual(run.remaining([slow, fast], 1, 2 * slow), 2 * fast)

    def test_a_baseline_that_was_not_built_is_named_before_hosts_are_made(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "bench" / "perf" / "sparccl_perf"
            program.parent.mkdir(parents=True)
            program.write_text("#!/bin/sh\necho built without Gloo >&2\nexit 2\n")
            program.chmod(0o755)
            with self.assertRaises(SystemExit) as ended:
                run.require_gloo(pathlib.Path(folder))
        self.assertEqual(ended.exception.args, (2, "built without Gloo"))

    def test_what_is_not_built_is_named(self):
        ended = self.start(["--build", "/nowhere"])
        self.assertEqual(ended.returncode, 2)
        self.assertIn("root" if os.geteuid() != 0 else "/nowhere/bench/perf/sparccl_perf",
                      ended.stderr)  # fmt: skip

    def carried_out(self, script, limit=30):
        with tempfile.TemporaryDirectory() as folder:
            written = pathlib.Path(folder) / "out.json"
            return run.carry_out(["sh", "-c", script, "sh", str(written)], limit, written)

    def test_a_program_counts_once_its_results_are_there(self):
        self.assertEqual(self.carried_out("echo '{\"a\": 1}' > $1"), {"a": 1})
        with unittest.mock.patch.object(run, "ENDING", 0.5):  # one that hangs in MPI_Finalize
            began = time.monotonic()
            self.assertEqual(self.carried_out("echo '{\"a\": 1}' > $1; sleep 600"), {"a": 1})
            self.assertLess(time.monotonic() - began, 20)

    def test_a_program_without_results_gives_no_figure(self):
        for script, limit, expected in (("echo why; exit 3", 30, "ended with 3:\nwhy"),
                                        ("printf '{\"a\": ' > $1", 30, "ended with 0"),
                                        ("sleep 600", 1, "took longer than 1 s")):  # fmt: skip
            with self.assertRaisesRegex(RuntimeError, expected):
                self.carried_out(script, limit)

    @unittest.skipIf(os.geteuid() != 0, "namespaces are root's")
    def test_an_interrupted_run_leaves_nothing(self):
        """In the midst of a measurement: with stand-ins for the programs that never end."""
        self.require_hosts()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup a run would ignore it
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with tempfile.TemporaryDirectory() as folder:
                marker, old = pathlib.Path(folder) / "started", pathlib.Path(folder) / "old.json"
                old.write_text("before")
                self.stand_ins(folder, f"touch {marker}; exec sleep 31415")
                words = [sys.executable, str(BENCH / "run.py"), "--quick", "--build", folder, "--json", str(old)]
                with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
                    wait_until(marker.exists)
                    for _ in range(5):  # the first is the one that counts
                        running.send_signal(number)
                        time.sleep(0.02)
                    self.assertEqual(running.wait(timeout=60), 130)
                found = json.loads(old.read_text())
                self.assertEqual(found["not_measured"][1], "2 hosts at 10 Gbit/s: not reached")
                self.assertEqual((found["runs"], len(found["not_measured"])), ([], 2))
            self.assertNotIn(topology.PREFIX, topology.run("ip", "netns", "list"))
            self.assertEqual(list(pathlib.Path("/tmp").glob(f"{topology.PREFIX}*")), [])
            wait_until(lambda: subprocess.run(["pgrep", "-f", "sleep 31415"], check=False,
                                              stdout=subprocess.DEVNULL).returncode != 0)  # fmt: skip

    @unittest.skipIf(os.geteuid() != 0, "namespaces are root's")
    def test_what_an_earlier_run_measured_is_gone_where_nothing_could_be(self):
        self.require_hosts()
        with tempfile.TemporaryDirectory() as folder:
            old = pathlib.Path(folder) / "old.json"
            old.write_text(json.dumps({"runs": [run_of(1, 40, 2)]}))
            self.stand_ins(folder, "echo broken; exit 3")
            ended = self.start(["--hosts", "2", "--rates", "1gbit", "--build", folder, "--json", str(old)])
            found = json.loads(old.read_text())
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertEqual(found["runs"], [])
        self.assertIn("broken", found["not_measured"][0])

    def test_nothing_measured_is_written_as_such(self):
        with tempfile.TemporaryDirectory() as folder:
            old, picture = pathlib.Path(folder) / "old.json", pathlib.Path(folder) / "old.png"
            old.write_text("before")
            picture.write_text("before")
            options = run.arguments(["--json", str(old)])
            options.plot = picture
            run.write(options, [], ["why"])
            found = json.loads(old.read_text())
            self.assertEqual((found["runs"], found["not_measured"]), ([], ["why"]))
            self.assertFalse(picture.exists())

    @unittest.skipIf(os.geteuid() != 0, "namespaces are root's")
    def test_what_a_killed_run_left_is_ended(self):
        try:
            with topology.Network(2):
                left = subprocess.Popen(["ip", "netns", "exec", topology.host(0), "sleep", "31416"])
                scratch = pathlib.Path(f"/tmp/{topology.PREFIX}{2**22 + 1}")  # no process has that number
                scratch.mkdir(exist_ok=True)
                wait_until(lambda: topology.run("ip", "netns", "pids", topology.host(0)) != "")
                topology.remove_leftovers()
                self.assertEqual(left.wait(timeout=10), -signal.SIGKILL)
                self.assertFalse(scratch.exists())
        except (RuntimeError, OSError, topology.Busy) as error:
            self.skipTest(f"no namespaces to be had here: {error}")

    @unittest.skipIf(os.geteuid() != 0, "namespaces are root's")
    def test_hosts_come_and_go(self):
        try:
            with topology.Network(2) as network:
                network.shape(1e8, 0)
                with self.assertRaises(topology.Busy):
                    topology.Network(2).__enter__()
                self.assertEqual(len(network.sent_bytes()), 2)
        except (RuntimeError, OSError, topology.Busy) as error:
            self.skipTest(f"no namespaces to be had here: {error}")
        self.assertNotIn(topology.PREFIX, topology.run("ip", "netns", "list"))

    def require_hosts(self):
        try:
            launch.launcher()
            with topology.Network(2):
                pass
        except (SystemExit, RuntimeError, OSError, topology.Busy) as error:
            self.skipTest(f"no namespaces or no MPICH to be had here: {error}")

    @staticmethod
    def stand_ins(build, script):
        for name in ("bench/perf/sparccl_perf", "bench/plan/sparccl_plan"):
            program = pathlib.Path(build) / name
            program.parent.mkdir(parents=True)
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)

    @staticmethod
    def start(words):
        return subprocess.run([sys.executable, str(BENCH / "run.py"), *words], text=True,
                              capture_output=True, check=False, timeout=60)  # fmt: skip


if __name__ == "__main__":
    assert run.rate("10gbit") == 1e10
    unittest.main()
