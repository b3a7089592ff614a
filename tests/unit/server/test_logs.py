"""Log lines can be read by programs and people, and never hold a token, a query or a comment."""

import io
import json
import logging
import sys
import threading

import pytest

from crdt_chat.errors import PageBroken
from crdt_chat.server.process import logs

LOG = logging.getLogger("crdt_chat.test")


@pytest.fixture(autouse=True)
def restored():
    root, before = logging.getLogger(), {}
    kept, level = root.handlers[:], root.level
    for name in logs.FLOORS:
        before[name] = logging.getLogger(name).level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = kept
    root.setLevel(level)
    for name, number in before.items():
        logging.getLogger(name).setLevel(number)
    logging.captureWarnings(capture=False)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_json_lines_carry_the_fields(stream):
    logs.configure("info", as_json=True, stream=stream)
    LOG.info("page opened", extra={"tenant": "demo", "page": "a/b", "seq": 4})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "crdt_chat.test",
        "message": "page opened",
        "tenant": "demo",
        "page": "a/b",
        "seq": 4,
    }


def test_text_lines_are_one_line_whatever_is_in_them(stream):
    logs.configure("info", stream=stream)
    LOG.info("joined", extra={"user": "eve\n2030-01-01 INFO forged\x1b[2J"})
    assert stream.getvalue().count("\n") == 1
    assert "user=eve\\n2030" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_withheld_wherever_they_come_in(stream, as_json):
    logs.configure("debug", as_json=as_json, stream=stream)
    LOG.info("who", extra={"token": "s3cret", "body": "s3cret", "authorization": "s3cret"})
    logging.getLogger("uvicorn.error").warning(
        '%s - "WebSocket %s" [accepted]', "a", "/ws/t/p?token=s3cret"
    )
    logging.getLogger("uvicorn.access").info("GET /x?token=s3cret")
    logging.getLogger("websockets.server").debug("< TEXT 's3cret'")
    assert "s3cret" not in stream.getvalue()
    assert "/ws/t/p?[withheld]" in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_failure_shows_type_and_stack_but_not_what_it_quotes(stream, as_json):
    logs.configure("info", as_json=as_json, stream=stream)
    try:
        int("a private comment")
    except ValueError:
        LOG.exception("apply failed", extra={"page": "p"})
    assert "builtins.ValueError" in stream.getvalue()
    assert "test_logs.py" in stream.getvalue()
    assert "invalid literal" not in stream.getvalue()


def test_causes_and_members_of_a_failure_are_shown(stream):
    logs.configure("info", stream=stream)
    try:
        try:
            {}["pri" + "vate"]
        except KeyError as error:
            raise ExceptionGroup("several", [PageBroken("ours")]) from error
    except ExceptionGroup:
        LOG.exception("connection ended")
    told = stream.getvalue()
    assert told.index("builtins.KeyError") < told.index("and that led to:")
    assert "  | crdt_chat.errors.PageBroken: ours" in told
    assert "private" not in told


def test_mistakes_in_our_code_are_told_in_full(stream):
    logs.configure("info", stream=stream)
    try:
        len(1)  # type: ignore[arg-type]
    except TypeError:
        LOG.exception("connection ended")
    assert "builtins.TypeError: object of type 'int' has no len()" in stream.getvalue()


def test_the_end_of_the_process_and_of_a_thread_is_told_by_the_same_rules(stream):
    logs.configure("info", stream=stream)
    sys.excepthook(ValueError, ValueError("private"), None)
    worker = threading.Thread(target=int, args=("private",), name="writer")
    worker.start()
    worker.join()
    assert "the process ends" in stream.getvalue()
    assert "a thread has ended worker=writer" in stream.getvalue()
    assert "private" not in stream.getvalue()


def test_our_own_sentences_are_shown(stream):
    logs.configure("info", stream=stream)
    LOG.error("rebuilding", exc_info=PageBroken("the document must be rebuilt"))
    assert "crdt_chat.errors.PageBroken: the document must be rebuilt" in stream.getvalue()


def test_the_level_is_kept(stream):
    logs.configure("warning", stream=stream)
    LOG.info("quiet")
    assert stream.getvalue() == ""


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="loud"):
        logs.configure("loud")


def test_a_socket_that_opens_is_not_worth_a_line():
    """The library says `connection open`, and nothing of who it is."""
    logs.configure("info")
    assert not logging.getLogger("crdt_chat.server.sockets.handshake").isEnabledFor(logging.INFO)
    assert logging.getLogger("crdt_chat.server.access.guard").isEnabledFor(logging.INFO)
