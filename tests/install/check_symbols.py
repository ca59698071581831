#!/usr/bin/env python3
"""The libraries export their API, all of it, and nothing else.

usage: check_symbols.py --nm NM --include include/sparccl --inside plugin libsparccl.so [libsparccl_mpi.so] [libsparccl_cuda.so]

The API is what the headers mark SPARCCL_API. Functions that headers inside the project mark so are
bridges from one of its libraries to the other: they may be exported too. Weak symbols (inline functions, templates and vtables,
of std too) may be anything: every library that uses them has them.
"""

import argparse
import pathlib
import re
import subprocess
import sys

# Headers of the opt-in libraries; all others are libsparccl's.
LIBRARY_OF = {"mpi": "libsparccl_mpi", "nccl": "libsparccl_cuda", "cuda": "libsparccl_cuda"}


def code(header: pathlib.Path) -> str:
    """A header without comments and directives."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(), flags=re.S)
    return re.sub(r"^#.*(\\\n.*)*$", "", text, flags=re.M)


def forgotten(header: pathlib.Path) -> list[str]:
    """Functions that are declared here, defined elsewhere, and not marked SPARCCL_API."""
    function = r"^(?!class|struct|enum|template|using|typedef|inline|constexpr)[\w\[][^;{}]*\([^;{}]*\)[^;{}]*;"
    return [f for f in re.findall(function, code(header), flags=re.M) if "SPARCCL_API" not in f]


def declared(header: pathlib.Path) -> set[str]:
    """Names that a header marks SPARCCL_API: functions, and classes with all their members."""
    text = code(header)
    return set(re.findall(r"\bclass\s+SPARCCL_API\s+(\w+)", text)) | set(
        re.findall(r"\bSPARCCL_API\b[^;{(]*?(\w+)\s*\(", text)
    )


def exported(nm: str, library: str) -> list[tuple[str, str]]:
    """(kind, demangled name) of what a library defines for others."""
    out = subprocess.run(
        [nm, "--dynamic", "--defined-only", "--demangle", library],
        check=True, capture_output=True, text=True,
    ).stdout
    return [tuple(line.split(maxsplit=2)[1:]) for line in out.splitlines() if line.strip()]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--include", type=pathlib.Path, required=True)
    parser.add_argument("--inside", type=pathlib.Path, required=True)
    parser.add_argument("libraries", nargs="+")
    arguments = parser.parse_args()

    bridges = set().union(*map(declared, arguments.inside.rglob("*.h*")))
    problems = [
        f"{header.name} does not mark SPARCCL_API: {function}"
        for header in sorted(arguments.include.glob("*.h*"))
        for function in forgotten(header)
    ]
    for library in arguments.libraries:
        stem = pathlib.Path(library).name
        name_of_library = stem.split(".")[0]
        api: set[str] = set()
        for header in sorted(arguments.include.glob("*.h*")):
            if LIBRARY_OF.get(header.stem, "libsparccl") == name_of_library:
                api |= declared(header)
        if not api:
            problems.append(f"no header of {stem} marks anything SPARCCL_API")

        found = set()
        for kind, name in exported(arguments.nm, library):
            bare = re.sub(r"^(vtable|typeinfo|typeinfo name|VTT) for ", "", name)
            bare = re.sub(r"^(guard variable for|non-virtual thunk to|virtual thunk to) ", "", bare)
            parts = re.sub(r"\(.*", "", bare.replace("[abi:cxx11]", "")).split("::")
            if parts[0] == "sparccl" and len(parts) > 1:
                allowed = parts[1] in api and "Impl" not in parts or parts[-1] in bridges
                found.add(parts[1])
            else:
                allowed = len(parts) == 1 and parts[0] in api
                found.add(parts[0])
            if not allowed and kind not in "wWvVu":
                problems.append(f"{stem} exports {kind} {name}, which no header declares")
        problems += [f"{stem} does not export {name}" for name in sorted(api - found)]
        print(f"{stem}: {len(api)} names in the API")

    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
