"""bench/model: what compare.py says of figures that agree with the model, and of others."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PLAN, MODEL, CALIBRATION = sys.argv[1:4]
del sys.argv[1:4]
COUNT, DENSITY, HOSTS = 25_000_000, 0.001, 4
RATES = (1, 10, 100, 400)


def predicted(rate):
    done = subprocess.run([PLAN, "--calibration", CALIBRATION, "--json", "--count", str(COUNT),
                           "--density", str(DENSITY), "--ranks", str(HOSTS), "--bandwidth",
                           f"{rate}gbit", "--latency", "20us"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def result(self, factor=1.0, path="allgather"):
        """As bench/network would write it, had it measured what is predicted, times a factor."""
        runs = []
        for rate in RATES:
            answer = predicted(rate)
            dense = {"median": 1e6 * answer["paths"]["dense"]["seconds"]}
            rows = [{"bytes": 4 * COUNT, "count": COUNT, "density": DENSITY, "path_asked": name,
                     "path": name, "in_place": False, "dense_time_us": dense,
                     "time_us": {"median": 1e6 * (factor if name == path else 1) * parts["seconds"]}}
                    for name, parts in answer["paths"].items() if name != "dense"]
            chosen = {**rows[0], "path_asked": "auto", "time_us": {"median": 1}}  # no path of its own
            runs.append({"hosts": HOSTS, "rate_gbps": rate, "rtt_us": 40, "perf": {"rows": [*rows, chosen]}})
        runs[-1]["calibration"] = answer["costs"]
        return {"runs": runs}

    def compare(self, result, *arguments):
        path = os.path.join(self.folder.name, "result.json")
        with open(path, "w") as file:
            json.dump(result, file)
        return subprocess.run([sys.executable, os.path.join(MODEL, "compare.py"), path, "--plan", PLAN,
                               *arguments], capture_output=True, text=True)

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

    def test_results_without_costs_say_what_they_need(self):
        result = self.result()
        del result["runs"][-1]["calibration"]
        done = self.compare(result)
        self.assertIn("--calibration 4=FILE", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_nothing_to_compare_with_is_no_success(self):
        self.assertNotEqual(self.compare({"runs": []}).returncode, 0)


class Scale(unittest.TestCase):
    def test_every_path_and_constant_is_told(self):
        done = subprocess.run([sys.executable, os.path.join(MODEL, "scale.py"), "--plan", PLAN,
                               "--calibration", CALIBRATION], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\| 400 Gbit/s InfiniBand \| 70 B \| 65,536 \|( [\d.e+]+ m?s \|){4}")
        self.assertIn("| an entry received |", done.stdout)


unittest.main()
