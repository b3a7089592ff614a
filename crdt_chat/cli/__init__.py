"""The command line: one file per group of verbs; a mistake gets one sentence and exit code 2.

Exit codes: 0 done · 1 what was asked for is not so (integrity found damage) · 2 a mistake in what
was asked. Nothing heavy is imported before a verb is chosen, so that `--help` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from crdt_chat.cli import about, checking, moderating, privacy, serving, tenants, tokens
from crdt_chat.cli.parser import CommandLine, Mistake, Verbs

DESCRIPTION = """\
Discussions in the margins of web pages: one Yjs document per page, kept in one SQLite file."""

EXAMPLES = """\
examples:
  crdt-chat demo                        try it: a page to annotate in two browser windows
  crdt-chat serve --open-tenant lab     serve the tenant `lab` to anybody who can reach the port
  crdt-chat serve --config chat.toml    serve what the file says
  crdt-chat tenant add acme             add a tenant that only its own tokens open
  crdt-chat integrity --db chat.db      verify a database, also while it is being served

`crdt-chat VERB --help` tells more about a verb."""


def parser() -> CommandLine:
    """The whole command line as one parser; the documentation is checked against it."""
    line = CommandLine(prog="crdt-chat", description=DESCRIPTION, epilog=EXAMPLES)
    line.add_argument("--version", action="store_true", help="the same as the verb `version`")
    line.set_defaults(run=_without_verb)
    verbs: Verbs = line.add_subparsers(title="verbs", metavar="VERB")
    for group in (serving, tenants, tokens, moderating, privacy, checking, about):
        group.add_verbs(verbs)
    return line


def _without_verb(chosen: argparse.Namespace) -> int:
    if chosen.version:
        return about.show_version(chosen)
    raise Mistake("say what to do: `crdt-chat demo` to try it, `crdt-chat --help` for all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line (None: the process's own). Returns its exit code."""
    try:
        chosen = parser().parse_args(arguments)
        code: int = chosen.run(chosen)
        sys.stdout.flush()
    except Mistake as mistake:
        sys.stderr.write(f"crdt-chat: {mistake}\n")
        return 2
    except BrokenPipeError:
        # the reader (`| head`) has gone: what is still buffered must not fail once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
