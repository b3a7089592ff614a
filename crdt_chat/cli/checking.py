"""`crdt-chat settings`: verbs that look and change nothing."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from crdt_chat.cli.parser import Mistake, Verbs, add_verb

if TYPE_CHECKING:
    from crdt_chat.config import Setting

SETTINGS_EXAMPLES = """\
  crdt-chat settings
  crdt-chat settings --json
  CRDT_CHAT_PORT=9000 crdt-chat settings --config chat.toml"""

UNITLESS = ("address", "port", "path", "names", "level")


def add_verbs(verbs: Verbs) -> None:
    """Add `settings`."""
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
    if isinstance(value, bool) or item.unit in UNITLESS:
        return _text(value).lower() or "none"
    if item.unit == "bytes":
        power = (value.bit_length() - 1) // 10
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
