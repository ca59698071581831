"""bench/model: what compare.py says of figures that agree with the model, and of others."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

PLAN, MODEL, CALIBRATION = sys.argv[1:4]
del sys.argv[1:4]
COUNT, DENSITY, HOSTS = 25_000_000, 0.001, 4
RATES = (1, 10, 100, 400)


def predicted(rate, hosts=HOSTS):
    done = subprocess.run([PLAN, "--calibration", CALIBRATION, "--json", "--count", str(COUNT),
                           "--density", str(DENSITY), "--ranks", str(hosts), "--bandwidth",
                           f"{rate}gbit", "--latency", "20us"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def calls_of(seconds):
    """As sparccl_perf writes times: microseconds, a tenth to either side of the median."""
    return {"median": 1e6 * seconds, "min": 0.9e6 * seconds, "max": 1.1e6 * seconds}


def run(program, *arguments):
    return subprocess.run([sys.executable, os.path.join(MODEL, program), *arguments], capture_output=True,
                          text=True)


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def result(self, factor=1.0, path="allgather", hosts=HOSTS):
        """As bench/network would write it, had it measured what is predicted, times a factor."""
        runs = []
        for rate in RATES:
            answer = predicted(rate, hosts)
            dense_seconds = answer["paths"]["dense"]["seconds"]
            dense = calls_of(dense_seconds)
            rows = [{"bytes": 4 * COUNT, "count": COUNT, "density": DENSITY, "path_asked": name,
                     "path": name, "in_place": False, "dense_time_us": dense,
                     "time_us": calls_of((factor if name == path else 1) * parts["seconds"]),
                     "speedup": dense_seconds / parts["seconds"]}
                    for name, parts in answer["paths"].items() if name != "dense"]
            chosen = {**rows[0], "path_asked": "auto", "time_us": calls_of(1e-6)}  # no path of its own
            runs.append({"hosts": hosts, "rate_gbps": rate, "rtt_us": 40, "perf": {"rows": [*rows, chosen]}})
        runs[-1]["calibration"] = answer["costs"]
        return {"runs": runs}

    def file(self, text):
        path = os.path.join(self.folder.name, "result.json")
        with open(path, "w") as file:
            file.write(text)
        return path

    def compare(self, result, *arguments):
        return run("compare.py", self.file(json.dumps(result)), "--plan", PLAN, *arguments)

    def test_what_agrees_passes(self):
        done = self.compare(self.result())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 of them off", done.stdout)
        self.assertRegex(done.stdout, r"break-even of 4 hosts, .*: predicted \d+\.?\d* Gbit/s")

    def test_what_is_off_is_named_and_fails(self):
        done = self.compare(self.result(factor=2))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r"4 hosts, 10 Gbit/s, .* allgather: .* -50\.0 %   <-- off")
        self.assertIn("4 of them off", done.stdout)

    def test_the_spread_of_calls_is_told(self):
        result = self.result()
        result["runs"][0]["perf"]["rows"][0]["time_us"] = {"median": 5e4, "min": 4e4, "max": 2e6}
        self.assertRegex(self.compare(result).stdout, r"measured 50 ms \(40 ms to 2 s\), [+-]")

    def test_results_without_costs_say_what_they_need(self):
        """Before anything is told of the hosts whose costs are there."""
        result = {"runs": self.result(hosts=2)["runs"] + self.result()["runs"]}
        del result["runs"][-1]["calibration"]
        done = self.compare(result)
        self.assertIn("--calibration 4=FILE", done.stderr)
        self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_each_number_of_hosts_has_its_worst(self):
        runs = [r for hosts, factor in ((2, 1), (4, 2), (8, 1.25))
                for r in self.result(factor, hosts=hosts)["runs"]]
        done = self.compare({"runs": runs})
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        lines = done.stdout.splitlines()
        for hosts in (2, 4, 8):
            for rate in RATES:
                for path in ("allgather", "split", "dense"):
                    case = [line for line in lines if line.startswith(f"{hosts} hosts, {rate} Gbit/s") and
                            f", {path}: " in line]
                    self.assertEqual(len(case), 1, (hosts, rate, path, done.stdout))
        for line, hosts, off in zip(lines[-3:], (2, 4, 8), (0, 4, 0)):
            errors = [abs(float(error)) for error in
                      re.findall(rf"\b{hosts} hosts, .*, ([+-][\d.]+) %", done.stdout)]
            self.assertEqual(line, f"{hosts} hosts: {len(errors)} predictions, {off} of them off by more than "
                                   f"25 %, the worst by {max(errors):.1f} %")

    def test_break_evens_go_by_paired_ratios(self):
        result = self.result()
        for each in result["runs"]:
            for row in each["perf"]["rows"][:-1]:
                row["speedup"] = 10 if each["rate_gbps"] == 1 else 0.1
        self.assertIn("measured 3.162 Gbit/s", self.compare(result).stdout)
        self.assertNotIn("in doubt", self.compare(result).stdout)
        for each in result["runs"]:
            each["rate_doubts"] = ["why"] if each["rate_gbps"] == 10 else []
        self.assertRegex(self.compare(result).stdout, r"break-even .*in doubt\): .*measured 3\.162 Gbit/s")

    def test_bad_input_is_told_in_a_line(self):
        good, costs = self.result(), "--calibration"
        broken = {"runs": [{**good["runs"][0], "perf": {"rows": [{"in_place": False}]}}]}
        for text, arguments, expected in ((None, [], "/no/file: No such file"),
                                          ("{", [], "expected what bench/network/run --json writes"),
                                          ("[]", [], "expected what bench/network/run --json writes"),
                                          ("{}", [], "expected what bench/network/run --json writes, found no 'runs'"),
                                          (json.dumps(broken), [], "found no 'count'"),
                                          (json.dumps(good), [costs, "4"], "--calibration: expected P=FILE"),
                                          (json.dumps(good), [costs, "4=/no/file"], "there is no file /no/file"),
                                          (json.dumps(good), [costs, "4=" + __file__], "model_test.py"),
                                          (json.dumps(good), ["--plan", "/no/plan"], "name it with --plan"),
                                          (json.dumps(good), ["--plan", "/bin/true"], "expected JSON of sparccl_plan")):
            with self.subTest(expected=expected):
                path = "/no/file" if text is None else self.file(text)
                done = run("compare.py", path, "--plan", PLAN, *arguments)
                self.assert_refused(done, expected)

    def test_a_share_that_is_none_is_refused(self):
        done = self.compare(self.result(), "--within", "-1")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--within: expected a share above 0", done.stderr)

    def test_help_tells_defaults(self):
        done = run("compare.py", "--help")
        for word in ("(default: 0.25)", "(default: sparccl_plan", "(default: those in RESULT.json)"):
            self.assertIn(word, " ".join(done.stdout.split()))

    def assert_refused(self, done, expected):
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn(expected, done.stderr)
        self.assertEqual((done.stdout, len(done.stderr.splitlines())), ("", 1), done.stderr)

    def test_nothing_to_compare_with_is_no_success(self):
        self.assert_refused(self.compare({"runs": []}), "expected rows to compare with")


class Scale(unittest.TestCase):
    def test_every_path_and_constant_is_told(self):
        done = subprocess.run([sys.executable, os.path.join(MODEL, "scale.py"), "--plan", PLAN,
                               "--calibration", CALIBRATION], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\| 400 Gbit/s InfiniBand \| 70 B \| 65,536 \|( [\d.e+]+ m?s \|){4}")
        self.assertIn("| an entry received |", done.stdout)

    def refused(self, expected, *arguments):
        done = run("scale.py", "--plan", PLAN, *arguments)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertRegex(done.stderr, expected)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_bad_input_is_told_in_a_line(self):
        good = ["--calibration", CALIBRATION]
        with tempfile.TemporaryDirectory() as folder:
            empty = os.path.join(folder, "empty.json")
            with open(empty, "w") as file:
                file.write("{}")
            costs = "expected what sparccl_plan --probe --save writes"
            for expected, arguments in (("/no/file: No such file", ["--calibration", "/no/file"]),
                                        (f"{costs}, found no 'stages'", ["--calibration", empty]),
                                        (costs, ["--calibration", os.path.join(MODEL, "scale.py")]),
                                        ("/no/inputs: No such file", [*good, "--inputs", "/no/inputs"]),
                                        ("expected JSON such as networks.json, found no 'networks'",
                                         [*good, "--inputs", empty]),
                                        ("--json: cannot write /no/folder/x", [*good, "--json", "/no/folder/x"]),
                                        ("--plot: cannot write /no/x.png", [*good, "--plot", "/no/x.png"]),
                                        ("--plot: (expected a name that ends with one of .*png|.*has no matplotlib)",
                                         [*good, "--plot", os.path.join(folder, "x.nosuch")]),
                                        ("name it with --plan", [*good, "--plan", "/no/plan"])):
                with self.subTest(expected=expected):
                    self.refused(expected, *arguments)
            self.assertEqual(os.listdir(folder), ["empty.json"])

    def test_no_matplotlib_is_told_in_a_line(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "matplotlib.py"), "w") as file:
                file.write("raise ImportError")
            with unittest.mock.patch.dict(os.environ, PYTHONPATH=folder):
                self.refused("has no matplotlib; install python3-matplotlib", "--calibration", CALIBRATION,
                             "--plot", os.path.join(folder, "x.png"))

    def test_help_tells_defaults(self):
        done = run("scale.py", "--help")
        for word in ("(default: sparccl_plan", "(default: networks.json beside", "(default: none)"):
            self.assertIn(word, " ".join(done.stdout.split()))


unittest.main()
