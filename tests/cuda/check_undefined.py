#!/usr/bin/env python3
"""A library asks the dynamic linker for nothing of NCCL or of the CUDA driver.

usage: check_undefined.py NM LIBRARY
"""

import re
import subprocess
import sys

nm, library = sys.argv[1:]
out = subprocess.run([nm, "--dynamic", "--undefined-only", library],
                     check=True, capture_output=True, text=True).stdout
undefined = [line.split()[-1] for line in out.splitlines()]
bad = [name for name in undefined if re.match(r"(p?nccl[A-Z]|cu[A-Z]|cuda[A-Z]|__cuda)", name)]
print("\n".join(bad))
print(f"{len(undefined)} undefined symbols, {len(bad)} of them of NCCL or CUDA")
sys.exit(1 if bad or not undefined else 0)
