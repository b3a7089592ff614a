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
    lines = ["| setting | environment | default | what | beyond it |", "|---|---|---|---|---|"]
    for item in found:
        default = f"{item.default:,}" if isinstance(item.default, int) else _text(item.default)
        default = str(item.default).lower() if isinstance(item.default, bool) else default
        default = str(item.default) if item.unit == "port" else default
        unit = "" if item.unit in ("bool", "port", "path", "names", "address") else f" {item.unit}"
        shown = f"{default or 'none'}{unit}"
        lines.append(f"| `{item.name}` | `{item.env}` | {shown} | {item.about} | {item.over} |")
    return "\n".join(lines)


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
