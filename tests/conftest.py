"""For every test: what the machine lacks is listed by name at the end, and fails under CI.

What a test counts with `record_property(name, number)` is added up and shown there, too.
"""

import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from waiting import PATIENCE_S

HERE = Path(__file__).parent
NEEDS = {
    "node": "Node.js and the npm packages of tests/interop: run script/test",
    "browser": "Chromium: on Debian, apt-get install chromium",
    "nginx": "nginx: on Debian, apt-get install nginx",
    "caddy": "Caddy: on Debian, apt-get install caddy",
    "cc": "Linux and a C compiler: on Debian, apt-get install gcc libc6-dev",
    "loop": "Linux, root and a loop device: a file system of its own to fill and to cut off",
}
# The one object that every call of httpx takes for its default: five seconds, which a busy machine may take.
for part in ("connect", "read", "write", "pool"):
    setattr(httpx.get.__kwdefaults__["timeout"], part, PATIENCE_S)
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


def missing() -> dict[str, str]:
    """The markers whose tests cannot run on this machine, with what they need."""
    packages = HERE / "interop" / "node_modules" / "yjs"
    there = {
        "node": shutil.which("node") is not None and packages.exists(),
        "browser": any(shutil.which(name) for name in CHROMIUMS),
        "nginx": shutil.which("nginx") is not None,
        "caddy": shutil.which("caddy") is not None,
        "cc": sys.platform == "linux" and shutil.which("cc") is not None,
        "loop": os.geteuid() == 0 and os.path.exists("/dev/loop-control"),
    }
    return {name: needs for name, needs in NEEDS.items() if not there[name]}


def in_ci() -> bool:
    """Whether this run must be complete."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests under tests/browser, so that nobody has to remember it."""
    for item in items:
        if HERE / "browser" in item.path.parents:
            item.add_marker("browser")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs what this machine lacks."""
    for name, needs in missing().items():
        if item.get_closest_marker(name):
            pytest.skip(f"needs {needs}")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run what is marked `no_cover` untraced: under xdist the pause of pytest-cov leaves a tracer."""
    tracers = sys.gettrace(), threading.gettrace()
    if not item.get_closest_marker("no_cover") or tracers == (None, None):
        return (yield)
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracers[0])
        threading.settrace(tracers[1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI a skipped test is a failed one: nobody would notice that it never runs."""
    report = yield
    if report.skipped and in_ci() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"could not run: {reason_of(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is collected."""
    report = yield
    if report.skipped and in_ci():
        report.outcome = "failed"
        report.longrepr = f"could not run: {reason_of(report)}"
    return report


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    """Say what the tests have counted, and list by name every test that did not run."""
    yield
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("", []):
        if report.when == "teardown":
            counts.update({name: n for name, n in report.user_properties if isinstance(n, int)})
    if counts:
        terminalreporter.section("what the tests counted")
        for name, count in sorted(counts.items()):
            terminalreporter.line(f"{name}: {count:,}")
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section(f"{len(skipped)} tests could not run on this machine")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {reason_of(report)}")
