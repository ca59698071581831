#!/usr/bin/env python3
"""What the shim exports is what NCCL has, under the same names and as easily replaced; and the shim asks
for nothing of NCCL.

usage: check_symbols.py NM READELF SHIM [NCCL]

Every symbol of the shim must be one of NCCL's functions: weak there, with a strong pncclX at the same
address, and without a version in both. Without NCCL only the shim is looked at.
"""

import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def defined(nm, library):
    """name -> (kind, address, version) of what a library defines for others."""
    symbols = {}
    for line in output(nm, "--dynamic", "--defined-only", "--with-symbol-versions", library).splitlines():
        address, kind, name = line.split(maxsplit=2)
        name, _, version = name.partition("@")
        symbols[name] = (kind, int(address, 16), version)
    return symbols


def check(nm, readelf, shim, nccl):
    own = defined(nm, shim)
    if not own:
        yield "the shim exports nothing"
    for name, (kind, _, version) in own.items():
        if not re.fullmatch(r"nccl[A-Z]\w+", name):
            yield f"the shim exports {name}: no function of NCCL's public names"
        if kind != "T":
            yield f"the shim's {name} is of kind {kind}, not T: a weak one may lose"
        if version:
            yield f"the shim's {name} has the version {version}"
    for line in output(nm, "--dynamic", "--undefined-only", shim).splitlines():
        name = line.split()[-1]
        if re.match(r"p?nccl[A-Z]", name):
            yield f"the shim leaves {name} open"
    for library in re.findall(r"NEEDED.*\[(.*nccl.*)\]", output(readelf, "--dynamic", shim)):
        yield f"the shim needs {library}"
    if nccl is None:
        return
    theirs = defined(nm, nccl)
    for name in own:
        kind, address, version = theirs.get(name, ("", 0, ""))
        strong = theirs.get("p" + name, ("", 0, ""))
        if kind != "W":
            yield f"NCCL's {name} is of kind {kind or 'none'}, expected W: weak"
        elif strong != ("T", address, version):
            yield f"NCCL's p{name} is {strong}, expected a strong one at the same address"
        if version:
            yield f"NCCL's {name} has the version {version}: the shim's must have it, too"


def main():
    nm, readelf, shim = sys.argv[1:4]
    nccl = sys.argv[4] if len(sys.argv) > 4 else None
    problems = list(check(nm, readelf, shim, nccl))
    print("\n".join(problems + [f"{len(defined(nm, shim))} functions, {len(problems)} problems"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
