"""argparse with manners: mistakes are raised as one sentence that says what would be right."""

import argparse
import re
from typing import Any, NoReturn, TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[CommandLine]"


class Mistake(Exception):
    """Something on the command line or around it is wrong; the message is one sentence."""


class CommandLine(argparse.ArgumentParser):
    """A parser that raises Mistake instead of printing its usage and leaving."""

    def __init__(self, **settings: Any) -> None:
        settings["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise Mistake: argparse's `message`, with the nearest right word where there is one."""
        raise Mistake(self._sentence(message))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but a wrong option is told by the verb that it was given to."""
        chosen, unknown = super().parse_known_args(args, namespace)
        if unknown:
            at = getattr(chosen, "parser", self)
            at.error(f"unrecognized arguments: {' '.join(unknown)}")
        return chosen

    def _sentence(self, message: str) -> str:
        wrong = re.match(r"unrecognized arguments: (\S+)", message)
        if wrong:
            options = [name for action in self._actions for name in action.option_strings]
            return f"`{self.prog}` knows no {wrong[1]}{self._hint(wrong[1], options)}"
        choice = re.match(r"argument VERB: invalid choice: '?(.*?)'? \(choose from (.*)\)", message)
        if choice:
            verbs = re.findall(r"[\w-]+", choice[2])
            return f"there is no verb {choice[1]}{self._hint(choice[1], verbs)}"
        return f"{message} (see `{self.prog} --help`)"

    def _hint(self, word: str, known: list[str]) -> str:
        import difflib  # lazily: only a mistake pays for it

        near = difflib.get_close_matches(word, known, 1)
        return f"; did you mean {near[0]}?" if near else f" (see `{self.prog} --help`)"


def add_verb(verbs: Verbs, name: str, run: Any, about: str, examples: str) -> CommandLine:
    """Add the verb `name`, carried out by `run(chosen) -> exit code`, and return its parser."""
    line = verbs.add_parser(name, help=about, description=about, epilog=f"examples:\n{examples}")
    line.set_defaults(run=run, parser=line)
    return line
