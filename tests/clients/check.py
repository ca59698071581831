#!/usr/bin/env python3
"""Runs a program that checks its own results, and checks what became of its allreduces.

usage: check.py [option]... -- mpirun -n RANKS -- program [argument]...
"""
import argparse
import re
import sys

import client

parser = argparse.ArgumentParser()
parser.add_argument("--preload", help="the shim; without it nothing of the table is looked for")
parser.add_argument("--policy", action="append", default=[], metavar="NAME=VALUE",
                    help="as SPARCCL_NAME; may be repeated")
parser.add_argument("--prints", action="append", default=[], metavar="REGEX", help="may be repeated")
parser.add_argument("--sparsified", type=int, default=1, metavar="CALLS", help="at least so many")
parser.add_argument("--directory", help="where the program runs")
first = sys.argv.index("--")
second = sys.argv.index("--", first + 1)
options = parser.parse_args(sys.argv[1:first])

try:
    result = client.run(sys.argv[first + 1:second], sys.argv[second + 1:], options.preload,
                        dict(word.split("=", 1) for word in options.policy), options.directory)
    for regex in options.prints:
        if not re.search(regex, result.output):
            raise client.Failure(f"{result.output}\nexpected {regex!r} in this output")
    if options.preload:
        sparsified = result.calls("sparsified")
        if sparsified < options.sparsified or result.calls("failed") != 0:
            raise client.Failure(f"{result.output}\nexpected {options.sparsified} calls sparsified "
                                 f"and none failed, found {sparsified} and {result.calls('failed')}")
except client.Failure as failure:
    print(failure)
    sys.exit(1)
# What the shim warns of is one line a call for some programs.
print(result.output if len(result.output) < 20000 else result.output[-20000:])
