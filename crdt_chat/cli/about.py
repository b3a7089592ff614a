"""`crdt-chat version`: what is running here, for people and bug reports."""

import argparse
import json

from crdt_chat.cli.parser import Verbs, add_verb


def add_verbs(verbs: Verbs) -> None:
    """Add `version`."""
    line = add_verb(
        verbs,
        "version",
        show_version,
        "Print the versions of crdt-chat and of what it stands on.",
        "  crdt-chat version\n  crdt-chat version --json",
    )
    line.add_argument("--json", action="store_true", help="one JSON object")


def show_version(chosen: argparse.Namespace) -> int:
    """Print the versions."""
    from crdt_chat.server.process.versions import versions

    found = versions()
    if getattr(chosen, "json", False):
        print(json.dumps(found))
    else:
        own = found.pop("crdt-chat")
        print(f"crdt-chat {own} (" + ", ".join(f"{k} {v}" for k, v in found.items()) + ")")
    return 0
