#!/usr/bin/env python3
"""script/gpu-test tells right from wrong, where there is no GPU: over a bundle of programs that only
pretend.

usage: runner_test.py script/gpu-test
"""

import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import tempfile

PROGRAMS = {
    "good": ("stage", 'echo "[  PASSED  ] 3 tests."'),
    "empty": ("stage", 'echo "[  PASSED  ] 0 tests."'),
    "bad": ("whole", 'echo "[  FAILED  ] 1 test"; exit 1'),
    "crash": ("whole", "kill -SEGV $$"),
    "hang": ("whole", "sleep 60"),
    "absent_gpu": ("whole", 'echo "no GPU"; exit 77'),
    "suites": ("stage", 'case $1 in *list*) printf "A.\\n  one\\nB/0.  # TypeParam = int\\n  one\\n" ;; '
               '*A.*) echo "[  PASSED  ] 1 test." ;; *) exit 1 ;; esac'),
    "ranks": ("ranks", 'if [ "$1" = --list ]; then echo one; else echo "1 passed, 0 failed"; fi'),
    "bench": ("bench", 'while [ "$1" != --json ]; do shift; done; echo table; echo "{\\"rows\\": []}" >"$2"'),
}
SANITIZER = '#!/bin/sh\nwhile [ "$1" != 9 ]; do shift; done; shift; "$@"\n' \
            'echo "ERROR SUMMARY: $(basename "$1" | grep -c bad) errors"\n'
EXPECTED = {
    "native good all": "passed",
    "native empty all": "FAILED",
    "native bad all": "FAILED",
    "native crash all": "FAILED",
    "native hang all": "FAILED",
    "native absent_gpu all": "not run",
    "native suites A": "passed",
    "native suites B/0": "FAILED",
    "ranks 2 one": "passed",
    "ranks 4 one": "passed",
    "bench torch_topk": "not run",
    "bench stage_bench": "passed",
    "sanitizer memcheck good all": "passed",
    "sanitizer memcheck empty all": "FAILED",
}


def main() -> int:
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("gpu_test", sys.argv[1])
    gpu_test = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_test", loader))
    loader.exec_module(gpu_test)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "bin").mkdir()
        for program, (_, body) in PROGRAMS.items():
            path = folder / "bin" / program
            listing = "" if program in ("suites", "ranks", "bench") else "case $1 in *list*) exit ;; esac\n"
            path.write_text(f"#!/bin/sh\n{listing}{body}\n")
            path.chmod(0o755)
        (folder / "manifest").write_text("".join(f"{kind} {p}\n" for p, (kind, _) in PROGRAMS.items()))
        (folder / "about.json").write_text('{"commit": "abc", "nvcc": "13.0", "architectures": "90"}')
        sanitizer = folder / "compute-sanitizer"
        sanitizer.write_text(SANITIZER)
        sanitizer.chmod(0o755)
        (folder / "bin" / "torch_topk.py").write_text("raise SystemExit(77)\n")

        gpu_test.find_gpu = lambda: ("Some GPU 80GB", "")
        gpu_test.find_nccl = lambda: ("", "")
        gpu_test.find_sanitizer = lambda: str(sanitizer)
        gpu_test.TIMEOUT_S = 2
        sys.argv = ["gpu-test"]
        code = gpu_test.run_all(gpu_test.parse(), folder)
        (file,) = (folder / "results").glob("*-some-gpu-80gb.json")
        found = json.loads(file.read_text())

    outcomes = {step["step"]: step["outcome"] for step in found["steps"]}
    problems = [f"{step}: expected {outcome}, found {outcomes.get(step)}"
                for step, outcome in EXPECTED.items() if outcomes.get(step) != outcome]
    if code != 1:
        problems.append(f"exit code {code}")
    if found["commit"] != "abc" or found["stage_bench"] != {"rows": []}:
        problems.append(f"the results lack what they should hold: {found}")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
