"""matplotlib for benchmarks that draw, wherever it is on this machine."""
import os
import subprocess
import sys

OTHERS = ("/usr/bin/python3",)  # Debian's own has matplotlib, where another python3 comes first in PATH


def has_matplotlib(python):
    try:
        return subprocess.run([python, "-c", "import matplotlib"], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def start_again_where_matplotlib_is():
    """Starts the script again under a Python that has it, where this one does not. Returns where this one does,
    or none does. To be called before anything else is done."""
    if has_matplotlib(sys.executable):
        return
    for python in OTHERS:
        if not is_this(python) and has_matplotlib(python):
            sys.stdout.flush()
            sys.stderr.flush()
            os.execv(python, [python, *sys.argv])


def is_this(python):
    return os.path.realpath(python) == os.path.realpath(sys.executable) and sys.prefix == sys.base_prefix
