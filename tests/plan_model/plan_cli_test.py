"""sparccl_plan as its users start it: what it prints, and how it refuses."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PLAN = sys.argv.pop(1)
MEASURED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "results",
                        "2026-11-28-calibration-2-ranks.json")
NETWORK = ["--ranks", "8", "--bandwidth", "1gbit", "--latency", "50us"]


def run(*arguments, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_COMM", "PMI"))}
    return subprocess.run([PLAN, *arguments], capture_output=True, text=True, timeout=120,
                          env=environment | variables)


class Plan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.file = os.path.join(cls.folder.name, "here.json")
        done = run("--probe", "-t", "2", "--save", cls.file)
        assert done.returncode == 0, done.stderr
        assert "measured on 2 ranks" in done.stdout, done.stdout

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def asked(self, *arguments):
        done = run("--calibration", self.file, "--json", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, words, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(word, done.stderr)

    def test_yes_on_a_slow_network(self):
        done = run("--count", "25M", "--density", "0.001", *NETWORK)
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("dense", "allgather", "split", "break-even bandwidth", "break-even density",
                      "25000000 entries", "1.00 Gbit/s"):
            self.assertIn(words, done.stdout)
        self.assertRegex(done.stdout, r"yes: \w+ is [\d.]+ x faster than dense")

    def test_no_at_full_density(self):
        done = run("--count", "25M", "--density", "1", *NETWORK)
        self.assertRegex(done.stdout, r"no: dense is [\d.]+ x faster")

    def test_units_mean_what_they_say(self):
        def at(bandwidth, latency):
            return self.asked("--count", "1M", "--ranks", "8", "--bandwidth", bandwidth,
                              "--latency", latency)
        same = at("1gbit", "50us")
        self.assertEqual(same["costs"]["network"]["seconds_per_byte"], 8e-9)
        for bandwidth, latency in (("1e9bit", "5e-5s"), ("1000mbit", "0.05ms"), ("125MB/s", "50 us"),
                                   ("1Gbit/s", "50000ns")):
            for path, parts in at(bandwidth, latency)["paths"].items():
                for part, value in parts.items():
                    self.assertAlmostEqual(value, same["paths"][path][part], delta=1e-12 + 1e-12 * value,
                                           msg=f"{bandwidth} {path} {part}")

    def test_parts_add_up_and_ranks_are_those_measured(self):
        answer = self.asked("--count", "1M")
        self.assertEqual(answer["workload"]["ranks"], 2)
        self.assertNotIn("hierarchical", answer["paths"])
        for path in answer["paths"].values():
            parts = path["compute"] + path["latency"] + path["transfer"]
            self.assertAlmostEqual(path["seconds"], parts, delta=1e-12)

    def test_hierarchy_where_nodes_have_several_ranks(self):
        answer = self.asked("--count", "1M", "--ranks", "16", "--ranks-per-node", "4",
                            "--bandwidth", "1gbit", "--latency", "50us")
        self.assertIn("hierarchical", answer["paths"])

    def test_the_break_even_bandwidth_is_one(self):
        def asked(*more):  # by measured costs that are always the same: what is slow here may never break even
            done = run("--calibration", MEASURED, "--json", "--ranks", "4", "--latency", "20us", "--count", "25M", *more)
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)

        even = asked("--bandwidth", "1gbit")["break_even_bandwidth"]
        self.assertEqual(even["kind"], "at", even)
        answer = asked("--bandwidth", f"{even['bytes_per_second']:.9e}B/s")
        self.assertAlmostEqual(answer["speedup"], 1, delta=1e-3)

    def test_refusals_say_what_to_do(self):
        self.refused(["--help"], "--cuont", "1M")
        self.refused(["--count"], *NETWORK)
        self.refused(["--bandwidth", "--probe"], "--count", "1M", "--ranks", "4")
        self.refused(["--latency"], "--count", "1M", "--ranks", "4", "--bandwidth", "1gbit")
        self.refused(["--ranks"], "--count", "1M", "--bandwidth", "1gbit", "--latency", "1us")
        self.refused(["--bandwidth", "fast"], "--count", "1M", "--bandwidth", "fast")
        self.refused(["--count", "25M"], "--count", "-5", *NETWORK)
        self.refused(["--density"], "--count", "1M", "--density", "2", *NETWORK)
        self.refused(["-t", "mpirun"], "--probe", "--transport", "local")
        for launcher in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"):
            done = run("--probe", "--transport", "local", "-t", "2", **{launcher: "2"})
            self.assertEqual(done.returncode, 2)
            self.assertIn("every process of mpirun would measure on its own", done.stderr)
        self.refused(["--transport"], "--probe", "--transport", "mpi", "-t", "2")
        self.refused(["--save", "--probe"], "--save", "x.json", "--count", "1M", *NETWORK)
        self.refused(["--calibration"], "--probe", "-t", "2", "--calibration", self.file)
        self.refused(["--ranks-per-node 8", "one node"], "--count", "1M", "--ranks-per-node", "8", *NETWORK)
        self.refused(["--ranks-per-node", "divisor"], "--count", "1M", "--ranks-per-node", "3",
                     *NETWORK)
        self.refused(["float64"], "--count", "1M", "--wire", "float64", *NETWORK)

    def written(self, name, **machine):
        """The measured file, with other words about its machine."""
        with open(self.file) as file:
            costs = json.load(file)
        costs["machine"].update(machine)
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as file:
            json.dump(costs, file)
        return path

    def noted(self, words, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("note:"), 1 if words else 0, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_file_of_other_hardware_is_told(self):
        ask = ["--count", "1M", "--calibration"]
        self.noted([], *ask, self.file)
        self.noted(["other hardware", "CPU Abacus, here", "--probe --save FILE"],
                   *ask, self.written("cpu.json", cpu="Abacus"))
        self.noted(["cores 12345, here"], *ask, self.written("cores.json", cores=12345))
        self.noted(["GPU Loom 9000, here"], *ask, self.written("gpu.json", backend="cuda", gpu="Loom 9000"))
        self.noted([], *ask, self.written("unknown_cpu.json", cpu="", cores=0))

    def test_other_ranks_than_measured_are_told(self):
        ask = ["--calibration", self.file, "--count", "1M", "--ranks"]
        self.noted([], *ask, "2")
        self.noted(["8 ranks are predicted from what 2", "shared memory of threads",
                    "--bandwidth and --latency"], *ask, "8")
        given = run(*ask, "8", *NETWORK[2:])
        self.assertIn("8 ranks are predicted from what 2", given.stderr)
        self.assertNotIn("shared memory", given.stderr)
        self.noted(["7 ranks"], *ask, "7")  # which are not spread over nodes of 2, as measured
        self.assertEqual(self.asked("--count", "1M", "--ranks", "7")["workload"]["ranks_per_node"], 1)
        self.noted(["4 ranks are predicted from what 2"], "--probe", "-t", "2", "--count", "1M",
                   "--ranks", "4")
        mpi = run("--calibration", self.written("mpi.json", transport="mpi"), *ask[2:], "8")
        self.assertIn("over the network of those 2", mpi.stderr)
        self.assertNotIn("shared memory", mpi.stderr)

    def test_what_a_probe_measures_is_not_to_be_given(self):
        for option, value in (("--latency", "50us"), ("--bandwidth", "1gbit"), ("--node-latency", "1us"),
                              ("--node-bandwidth", "1GB/s")):
            self.refused([option, "--save FILE", f"--calibration FILE {option}"], "--probe", "-t", "2",
                         "--count", "1M", option, value)
        for option, value in (("--ranks", "4"), ("--density", "1%"), ("--type", "float16"),
                              ("--wire", "float16")):
            self.refused([option, "--count"], "--probe", "-t", "2", option, value)

    def test_a_file_has_its_own_backend(self):
        self.refused(["--backend cuda", "has the stages of host", "--probe --backend cuda --save"],
                     "--calibration", self.file, "--backend", "cuda", "--count", "1M")
        self.assertEqual(self.asked("--count", "1M", "--backend", "host")["costs"]["machine"]["backend"],
                         "host")
        cuda = run("--calibration", self.written("cuda.json", backend="cuda"), "--count", "1M")
        self.assertIn("stages of the cuda backend", cuda.stdout)

    def test_a_file_of_unknown_ranks_needs_them(self):
        path = self.written("unknown.json", world_size=0)
        self.refused(["--ranks"], "--calibration", path, "--count", "1M")
        self.assertEqual(run("--calibration", path, "--count", "1M", "--ranks", "2").returncode, 0)

    def test_a_file_of_one_rank_needs_a_network(self):
        path = os.path.join(self.folder.name, "one.json")
        self.assertEqual(run("--probe", "-t", "1", "--save", path).returncode, 0)
        ask = ["--calibration", path, "--count", "1M", "--ranks", "8"]
        for some in ([], ["--bandwidth", "1gbit"], ["--latency", "50us"]):
            self.refused(["--bandwidth and --latency"], *ask, *some)
        self.assertEqual(run(*ask, "--bandwidth", "1gbit", "--latency", "50us").returncode, 0)

    def test_what_is_said_of_nodes_counts(self):
        self.refused(["--node-bandwidth", "--ranks-per-node"], "--count", "1M", "--node-bandwidth", "1GB/s",
                     *NETWORK)
        nodes = ["--count", "1M", "--ranks", "8", "--ranks-per-node", "2"]
        measured = self.asked(*nodes)["costs"]["node"]
        told = self.asked(*nodes, "--node-latency", "3us")["costs"]["node"]
        self.assertEqual(told["latency"], 3e-6)
        self.assertEqual(told["seconds_per_byte"], measured["seconds_per_byte"])

    def test_numbers_need_their_units(self):
        for option, value, units in (("--latency", "50", "us, ms, s"), ("--bandwidth", "10", "Gbit"),
                                     ("--node-latency", "1e-6", "us, ms, s"),
                                     ("--node-bandwidth", "1e9", "GB/s"), ("--bandwidth", "0", "Gbit")):
            self.refused([option, f'found "{value}"', units], "--count", "1M", *NETWORK[:2], option, value)
        self.assertGreater(self.asked("--count", "1M", "--latency", "0")["speedup"], 0)
        self.assertRegex(run("--help").stdout, r"Units of times: ns, us, ms, s")

    def test_a_density_may_be_in_percent(self):
        for density, sent in (("0.001", 1000), ("0.1%", 1000), ("0.1 %", 1000), ("100%", 1_000_000)):
            answer = self.asked("--count", "1M", "--density", density)
            self.assertEqual(answer["workload"]["k"], sent, density)
        for density in ("0", "-1", "2", "150%", "few"):
            self.refused(["--density", "0.1%", "0.001", f'found "{density}"'], "--count", "1M",
                         "--density", density, *NETWORK)

    def test_types_are_told(self):
        for option in ("--type", "--wire"):
            self.refused([option, "float32, float16, bfloat16 or float64", 'found "int8"'], "--count", "1M",
                         option, "int8", *NETWORK)

    def test_a_measured_row_names_its_rest(self):
        measured = run("--calibration", self.file, "--count", "1M")
        self.assertRegex(measured.stdout, r"(?m)^dense .* [mun]?s\* ")
        self.assertRegex(measured.stdout, r"(?m)^\* dense was measured as a whole: this is the rest")
        self.assertTrue(self.asked("--count", "1M")["dense_latency_is_rest"])
        scaled = run("--calibration", self.file, "--count", "1M", "--ranks", "8")
        self.assertRegex(scaled.stdout, r"(?m)^\* dense was measured as a whole, by 2 ranks, and scaled: this is")
        self.assertRegex(scaled.stdout, "as float32, 8 ranks, ")
        modelled = run("--count", "1M", *NETWORK)
        self.assertNotIn("*", modelled.stdout)

    def test_the_network_that_was_measured_changes_nothing(self):
        plain = self.asked("--count", "1M", "--ranks-per-node", "1")
        latency = plain["costs"]["network"]["latency"]
        named = self.asked("--count", "1M", "--ranks-per-node", "1", "--latency", f"{latency:.17g}s")
        for path, parts in plain["paths"].items():
            self.assertAlmostEqual(named["paths"][path]["seconds"], parts["seconds"], delta=1e-9, msg=path)

    def test_ranks_share_the_link_of_their_node(self):
        def split(each):
            return self.asked("--count", "25M", "--ranks", "8", "--ranks-per-node", each, "--bandwidth", "1gbit",
                              "--latency", "50us")["paths"]["split"]["transfer"]
        self.assertGreater(split("4"), 1.5 * split("1"))

    def test_nodes_are_told(self):
        flat = run("--calibration", self.file, "--count", "1M", "--ranks", "8", "--ranks-per-node", "1")
        self.assertIn("8 ranks, one a node\n", flat.stdout)
        nodes = run("--calibration", self.file, "--count", "1M", "--ranks", "8", "--ranks-per-node", "4")
        self.assertIn("8 ranks, 2 nodes of 4\n", nodes.stdout)

    def test_one_rank_has_nothing_to_exchange(self):
        for done in (run("--count", "1M", *NETWORK[2:], "--ranks", "1"),
                     run("--calibration", self.file, "--count", "1M", "--ranks", "1"),
                     run("--probe", "-t", "1", "--count", "1M")):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"\nno: one rank has nothing to exchange.*\n$")
            self.assertNotIn("inf", done.stdout)
            self.assertNotIn("1 ranks", done.stdout)
        self.assertFalse(self.asked("--count", "1M", "--ranks", "1")["yes"])

    def test_the_last_line_answers(self):
        for density in ("0.1%", "100%"):
            done = run("--count", "25M", "--density", density, *NETWORK)
            self.assertRegex(done.stdout, r"\n(yes|no): [^\n]*\n$")
            self.assertRegex(done.stdout, r"break-even bandwidth: .*([kMGT]?bit/s|any bandwidth)\n")
            self.assertRegex(done.stdout, r"break-even density: .*( %|any density)\n")

    def test_a_gpu_that_is_not_there(self):
        done = run("--count", "1M", "--backend", "cuda", *NETWORK)
        if done.returncode != 0:  # a machine with a GPU has an answer
            self.assertEqual(done.returncode, 2)
            self.assertIn("--backend host", done.stderr)

    def test_a_file_that_is_no_calibration(self):
        done = run("--calibration", os.path.join(self.folder.name, "none"), "--count", "1M")
        self.assertEqual(done.returncode, 1)
        self.assertIn("sparccl_plan --probe --save", done.stderr)

    def test_help(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("mpirun -n 4 sparccl_plan --probe", done.stdout)


unittest.main()
