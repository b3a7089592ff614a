"""From the start of the process to the first good answer: CPU and wall time, of a fresh and of an old file.

    python bench/startup.py [--repeat 5]

Starts `crdt-chat serve` anew each time and asks `/readyz` until it answers 200; prints the least of each,
since whatever else runs can only add. An old file is one that a server has had before. Imports are measured
in a process of their own, what Python itself takes not counted. Bytecode is kept, as pip leaves it, in a
folder of our own. Nothing here is random: there is no seed.
"""

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from servers import HOST, ROOT, Running, ours

NOTHING = "import crdt_chat"
SERVING = "import crdt_chat.server.run"


def surroundings(bytecode: Path) -> dict[str, str]:
    """The environment of what is started: this checkout, its bytecode kept."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(bytecode)}


def start(db: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of wall time and of CPU until the server is ready."""
    port = free_port()
    command = [
        sys.executable, "-m", "crdt_chat", "serve", "--host", HOST, "--port", str(port),
        "--db", str(db), "--open-tenant", "bench", "--log-level", "warning",
    ]  # fmt: skip
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    server = Running(ours("ours", ROOT), port, process)
    try:
        while not ready(port):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError("the server does not start")
            time.sleep(0.005)
        return time.perf_counter() - began, server.cpu()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ready(port: int) -> bool:
    """Whether the server answers and wants visitors."""
    with suppress(OSError, http.client.HTTPException):
        asking = http.client.HTTPConnection(HOST, port, timeout=5)
        asking.request("GET", "/readyz")
        status = asking.getresponse().status
        asking.close()
        return status == 200
    return False


def imported(statement: str, environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of an import, beyond what Python itself takes."""
    code = (
        "import time; a, b = time.perf_counter(), time.process_time();"
        f"{statement};"
        "print(time.perf_counter() - a, time.process_time() - b)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return float(printed[0]), float(printed[1])


def tell(about: str, rows: list[tuple[float, float]]) -> None:
    """Print the least wall and the least CPU time, in ms."""
    wall, cpu = min(wall for wall, _ in rows), min(cpu for _, cpu in rows)
    print(f"{about:20} {wall * 1e3:6.0f} ms {cpu * 1e3:6.0f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    turns = range(options.repeat)
    print(f"best of {options.repeat}         wall      CPU")
    with tempfile.TemporaryDirectory(prefix="bench-startup-") as name:
        folder = Path(name)
        environment = surroundings(folder / "bytecode")
        start(folder / "first.db", environment)
        for about, statement in (("import crdt_chat", NOTHING), ("import what serves", SERVING)):
            tell(about, [imported(statement, environment) for _ in turns])
        fresh = [start(folder / f"{turn}.db", environment) for turn in turns]
        old = [start(folder / "0.db", environment) for _ in turns]
    tell("ready, fresh file", fresh)
    tell("ready, old file", old)


if __name__ == "__main__":
    main()
