"""`crdt-chat integrity` and `crdt-chat settings`: verbs that look, and change nothing unless told to."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from crdt_chat.cli import admin
from crdt_chat.cli.parser import Mistake, Verbs, add_verb

if TYPE_CHECKING:
    from crdt_chat.config import Setting
    from store.records import Report

INTEGRITY_EXAMPLES = """\
  crdt-chat integrity
  crdt-chat integrity --db chat.db --json
  crdt-chat integrity --db chat.db --rebuild

Exit code 0: everything verifies; 1: something does not, and is named; 2: there is no such file. The
file may be served meanwhile, but not with --rebuild."""

SETTINGS_EXAMPLES = """\
  crdt-chat settings
  crdt-chat settings --json
  CRDT_CHAT_PORT=9000 crdt-chat settings --config chat.toml"""


def add_verbs(verbs: Verbs) -> None:
    """Add `integrity` and `settings`."""
    integrity = add_verb(
        verbs,
        "integrity",
        run_integrity,
        "Verify every row of a database, and its tables against its log.",
        INTEGRITY_EXAMPLES,
    )
    admin.add_place(integrity)
    integrity.add_argument(
        "--rebuild",
        action="store_true",
        help="work the tables of pages that do not verify out of their logs again, then look once more",
    )
    settings = add_verb(
        verbs,
        "settings",
        run_settings,
        "List every setting: name, value in force, unit and meaning.",
        SETTINGS_EXAMPLES,
    )
    settings.add_argument("--config", metavar="FILE", type=Path, help="a TOML file with settings")
    settings.add_argument("--json", action="store_true", help="a JSON list of objects")
    settings.add_argument("--markdown", action="store_true", help="the table of the documentation")


def run_settings(chosen: argparse.Namespace) -> int:
    """Print every setting with the value in force."""
    from crdt_chat.config import BadSetting, load, settings

    if chosen.markdown:
        print(markdown(list(settings())))
        return 0
    try:
        config = load(file=chosen.config)
    except BadSetting as error:
        raise Mistake(str(error)) from None
    rows = []
    for setting in settings():
        value: object = config
        for part in setting.name.split("."):
            value = getattr(value, part)
        rows.append((setting, value if isinstance(value, bool | int | float) else _text(value)))
    if chosen.json:
        print(json.dumps([_described(setting, value) for setting, value in rows], indent=2))
    else:
        for setting, value in rows:
            print(f"{setting.name:32} {value!s:>16} {setting.unit:14} {setting.about}")
    return 0


def markdown(found: "list[Setting]") -> str:
    """The table of settings of docs/operations.md."""
    head = ["| setting | default | what | beyond it |", "|---|---|---|---|"]
    rows = (f"| `{item.name}` | {_default(item)} | {item.about} | {item.over} |" for item in found)
    return "\n".join([*head, *rows])


def _default(item: "Setting") -> str:
    value = item.default
    if isinstance(value, bool):
        return str(value).lower()
    if item.unit == "port" or not isinstance(value, int | float):
        return _text(value) or "none"
    if item.unit == "bytes":
        power = (int(value).bit_length() - 1) // 10
        return f"{value / 1024**power:g} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"
    return f"{value:,g} {item.unit}" if value < 1_000 else f"{value:,.0f} {item.unit}"


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else f"{value}"


def _described(setting: "Setting", value: object) -> dict[str, object]:
    return {
        "name": setting.name,
        "value": value,
        "environment": setting.env,
        "unit": setting.unit,
        "about": setting.about,
    }


def run_integrity(chosen: argparse.Namespace) -> int:
    """Verify the database and print what was found; 1 if anything does not verify."""
    from dataclasses import asdict

    import anyio

    from store.errors import StoreError

    path = admin.settings(chosen).db
    try:
        if chosen.rebuild and path.exists():
            anyio.run(_rebuild, path)
        report = anyio.run(_verified, path)
    except StoreError as error:
        raise Mistake(str(error)) from None
    if chosen.json:
        print(json.dumps({"file": str(path), "ok": not report.problems, **asdict(report)}))
    else:
        print(_told(path, report))
    return 1 if report.problems else 0


async def _verified(path: Path) -> "Report":
    from crdt_chat.server.rooms.projection import projected
    from store import open_reader

    reader = open_reader(path)
    try:
        return await reader.integrity(projected)
    finally:
        await reader.close()


async def _rebuild(path: Path) -> None:
    """Replace what is queried of each page with a fault in it by what its log says, if that can be read."""
    from crdt_chat.server.rooms.projection import projected
    from store import open_store
    from store.errors import Quarantined

    store = open_store(path)
    try:
        problems = (await store.integrity(projected)).problems
        for tenant, page in sorted(
            {(p.tenant or "", p.page) for p in problems if p.page is not None}
        ):
            try:
                stored = await store.load(tenant, page)
                if stored is not None:
                    await store.reproject(tenant, page, list(projected(stored)))
            except Quarantined:
                # Its log cannot be believed either: the report that follows names it.
                continue
        # Once more, for the index of words: a store that may write makes it anew where it is wrong.
        await store.integrity()
    finally:
        await store.close()


def _told(path: Path, report: "Report") -> str:
    seen = (
        f"{report.pages} pages, {report.rows} updates, {report.events} events, {report.keys} keys"
    )
    if not report.problems:
        return f"{path} verifies: {seen}."
    lines = [f"{path} does NOT verify ({seen} are sound):"]
    for problem in report.problems:
        where = (
            "" if problem.page is None else f"tenant {problem.tenant!r}, page {problem.page!r}: "
        )
        lines.append(f"  {where}{problem.what}")
    return "\n".join(lines)
