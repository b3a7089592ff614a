"""Structured logs on stderr, as text or JSON lines: never a token, a query string or any content.

Fields go in `extra=`: `log.info("page opened", extra={"tenant": key.tenant, "page": key.page})`.
"""

import json
import logging
import re
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

log = logging.getLogger(__name__)

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
WITHHELD = frozenset(
    {"token", "authorization", "cookie", "query", "body", "value", "content", "sso"}
)
"""Fields that are never written, whoever passes them."""
QUERY = re.compile(r"\?[^\s\"']+")
OWN_WORDS = ("crdt_chat", "store", "sqlite3", "anyio", "uvicorn")
"""Packages whose exceptions hold fixed sentences."""
PROGRAMMING = (TypeError, AttributeError, NameError, ImportError)
"""Built-in exceptions whose texts name types and variables, never values."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
FLOORS = {
    "uvicorn.access": logging.CRITICAL,
    "uvicorn.error": logging.WARNING,
    "websockets": logging.INFO,
    "crdt_chat.server.sockets.handshake": logging.WARNING,
    "asyncio": logging.INFO,
}
"""Lowest levels of loggers that below them write addresses with queries, frames, or nothing new."""


def configure(level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send the logs of the whole process to `stream` (stderr), replacing what was set up before.

    What ends the process or one of its threads is logged, too, by the same rules as all else.
    level: debug, info, warning or error. Raises ValueError for any other.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"no such log level: {level!r}")
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonLines() if as_json else TextLines())
    logging.basicConfig(level=number, handlers=[output], force=True)
    logging.captureWarnings(capture=True)
    for name, floor in FLOORS.items():
        logging.getLogger(name).setLevel(max(number, floor))
    sys.excepthook = _log_the_end
    threading.excepthook = _log_the_end_of_a_thread


def _log_the_end(
    kind: type[BaseException], error: BaseException, stack: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, stack)
    else:
        log.critical("the process ends", exc_info=error)


def _log_the_end_of_a_thread(ending: threading.ExceptHookArgs) -> None:
    named = {"worker": ending.thread.name if ending.thread else "unknown"}
    log.critical("a thread has ended", extra=named, exc_info=ending.exc_value)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was passed in `extra=`, without what must not be written."""
    extra = {key: item for key, item in vars(record).items() if key not in STANDARD}
    return {key: "[withheld]" if key in WITHHELD else item for key, item in extra.items()}


def message_of(record: logging.LogRecord) -> str:
    """The sentence of `record`, query strings cut off (uvicorn logs whole request paths)."""
    return QUERY.sub("?[withheld]", record.getMessage())


def failure_of(record: logging.LogRecord) -> str:
    """Type and stack of the exception in `record`, its causes and its members, or ""."""
    if record.exc_info is None or record.exc_info[1] is None:
        return ""
    return "\n".join(_told(record.exc_info[1]))


def _told(error: BaseException) -> list[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [] if cause is None else [*_told(cause), "", "and that led to:", ""]
    stack = "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    lines += ["Traceback (most recent call last):", *stack.splitlines(), _sentence(error)]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"  | {line}" for member in error.exceptions for line in _told(member)]
    return lines


def _sentence(error: BaseException) -> str:
    """What kind it is, with its text where that cannot quote a comment."""
    kind = type(error)
    shown = isinstance(error, (*PROGRAMMING, OSError)) or kind.__module__.startswith(OWN_WORDS)
    sentence = f"{kind.__module__}.{kind.__qualname__}" + (f": {error}" if shown else "")
    return QUERY.sub("?[withheld]", sentence)


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, fields, error."""

    def format(self, record: logging.LogRecord) -> str:
        """`record` as one line; a value that JSON cannot say is written as its str()."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
            **fields_of(record),
        }
        if failure := failure_of(record):
            line["error"] = failure
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """One line for people: time, level, logger, message, fields; a stack on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """`record` as text; control characters are escaped, so that nobody forges a line."""
        extra = "".join(f" {key}={item}" for key, item in fields_of(record).items())
        line = f"{_time(record)} {record.levelname:7} {record.name}: {message_of(record)}{extra}"
        line = CONTROL.sub(lambda match: repr(match[0])[1:-1], line)
        failure = failure_of(record)
        return f"{line}\n{failure}" if failure else line


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
