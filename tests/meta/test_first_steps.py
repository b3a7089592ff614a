"""The five minutes of docs/operations.md, followed to the letter in a fresh clone, each step timed."""

import os
import re
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT
from server import free_port

FIVE_MINUTES = 300.0
STATED = "8743"
STEP = re.compile(r"^(\d)\. (.*?)(?=^\d\. |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^   ```(\w+)\n(.*?)^   ```", re.MULTILINE | re.DOTALL)
NEEDED = ("git", "openssl", "curl")


def steps() -> dict[int, list[tuple[str, str]]]:
    """The (language, code) of each numbered step."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    shown = re.search(r"<!-- first steps: .*?-->\n(.*?)\n<!-- /first steps -->", text, re.DOTALL)
    assert shown is not None
    return {
        int(number): [(kind, textwrap.dedent(code)) for kind, code in BLOCK.findall(body)]
        for number, body in STEP.findall(shown[1])
    }


class Operator:
    """Somebody new, in a clone of what is committed, with the steps and a watch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.port = str(free_port())
        self.steps = steps()
        self.took: dict[int, float] = {}
        self.home = folder / "home"
        self.home.mkdir()
        # What this checkout's tests run with is not what she has.
        ours = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
        self.env = {name: value for name, value in os.environ.items() if name not in ours}
        self.env["PYTHONUNBUFFERED"] = "1"

    def clone(self) -> None:
        """A fresh clone, and in it the documentation and code as they are here now."""
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.folder)], check=True)
        for name in ("crdt_chat", "store", "docs"):
            shutil.copytree(ROOT / name, self.folder / name, dirs_exist_ok=True)

    def code(self, number: int, language: str = "sh") -> str:
        found = [code for kind, code in self.steps[number] if kind == language]
        assert len(found) == 1, (number, language)
        return found[0].replace(STATED, self.port)

    def activated(self, lines: str) -> list[str]:
        """A shell where the venv is active from the first step on, as in her window."""
        active = ". chat/bin/activate\n" if (self.folder / "chat").exists() else ""
        return ["sh", "-euc", active + lines]

    def follow(self, number: int) -> str:
        """Carry out a step; what it printed."""
        started = time.monotonic()
        ran = subprocess.run(
            self.activated(self.code(number)), cwd=self.folder, env=self.env, text=True,
            capture_output=True, timeout=FIVE_MINUTES, umask=0o077,
        )  # fmt: skip
        self.took[number] = time.monotonic() - started
        assert ran.returncode == 0, f"step {number}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def serve(self) -> subprocess.Popen[str]:
        """Step 4: a server in a window of its own, once it says that it serves."""
        started = time.monotonic()
        running = subprocess.Popen(
            self.activated("exec " + self.code(4)), cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, umask=0o077,
        )  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline().startswith(f"Serving on https://127.0.0.1:{self.port}")
        self.took[4] = time.monotonic() - started
        return running


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    for program in NEEDED:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    new = Operator(tmp_path)
    new.clone()
    yield new
    told = ", ".join(f"step {number} {seconds:.1f} s" for number, seconds in new.took.items())
    print(f"\nfirst steps: {told}; in all {sum(new.took.values()):.1f} s")


@pytest.mark.slow
@pytest.mark.timeout(2 * FIVE_MINUTES)
def test_the_first_steps_lead_to_a_closed_tenant_with_a_signed_token_and_tls(operator: Operator):
    assert sorted(operator.steps) == [1, 2, 3, 4, 5, 6]
    operator.follow(1)
    assert "Added the tenant acme (closed)." in operator.follow(2)
    operator.follow(3)
    (operator.folder / "sign.py").write_text(operator.code(5, "python"), "utf-8")
    running = operator.serve()
    try:
        operator.follow(5)
        let_in, kept_out, moderated, audit = operator.follow(6).split("\n", 3)
        assert '"ticket"' in let_in
        assert '"unauthorized"' in kept_out
        assert '"flags"' in moderated
        assert "tenant.add" in audit
        assert "token.issue" in audit
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
    for name in ("acme.secret", "key.pem", "ada.token", "crdt-chat.db"):
        assert (operator.folder / name).stat().st_mode & 0o077 == 0, f"{name} can be read by others"
    assert sum(operator.took.values()) < FIVE_MINUTES
