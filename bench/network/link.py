"""What a link between two hosts really gives: round trips and bytes a second over TCP.

usage: link.py serve | link.py ask ADDRESS SECONDS     (started inside the hosts by measure())
"""

import json
import socket
import statistics
import subprocess
import sys
import time

from topology import address, host

PORT = 7777
ROUND_TRIPS = 100
BLOCK = 1 << 20


def serve():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", PORT))
        listener.listen()
        listener.settimeout(20)
        peer, _ = listener.accept()
    peer.settimeout(60)
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(ROUND_TRIPS):
            peer.sendall(peer.recv(1))
        room = bytearray(BLOCK)
        received, start = 0, time.monotonic()
        while got := peer.recv_into(room):
            received += got
        seconds = time.monotonic() - start
    print(json.dumps({"gbps": received * 8 / seconds / 1e9}))


def connect(to):
    for _ in range(200):
        try:
            return socket.create_connection((to, PORT), timeout=60)
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nobody answers at {to}")


def ask(to, seconds):
    with connect(to) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trips = []
        for _ in range(ROUND_TRIPS):
            start = time.monotonic()
            peer.sendall(b"x")
            peer.recv(1)
            trips.append(time.monotonic() - start)
        block, end = bytes(BLOCK), time.monotonic() + seconds
        while time.monotonic() < end:
            peer.sendall(block)
    print(json.dumps({"rtt_us": statistics.median(trips) * 1e6}))


def measure(seconds=1.0):
    """From host 0 to host 1: {"gbps", "rtt_us"}."""
    command = [sys.executable, __file__]
    inside = lambda i: ["ip", "netns", "exec", host(i)]  # noqa: E731
    with subprocess.Popen(inside(1) + command + ["serve"], stdout=subprocess.PIPE) as server:
        try:
            asked = subprocess.run(inside(0) + command + ["ask", address(1), str(seconds)],
                                   capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
            answered, _ = server.communicate(timeout=120)
            return json.loads(asked.stdout) | json.loads(answered)
        except (subprocess.SubprocessError, ValueError) as error:
            server.kill()
            raise RuntimeError(f"what the link gives could not be measured: {error}") from error


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["serve"]:
            serve()
        elif sys.argv[1:2] == ["ask"] and len(sys.argv) == 4:
            ask(sys.argv[2], float(sys.argv[3]))
        else:
            raise SystemExit(__doc__)
    except KeyboardInterrupt:  # with who started it, which says so
        sys.exit(130)
