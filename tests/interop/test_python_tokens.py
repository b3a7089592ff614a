"""`crdt_chat.connect` on a closed tenant: tokens that grant, end, are renewed, and are not ours."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from server import RealServer, free_port, running_server
from waiting import until

import crdt_chat
from crdt_chat.client import link
from crdt_chat.client.page import Page
from crdt_chat.errors import Forbidden, Unauthorized

PAGE = "acme/an article"


def cli(server: RealServer, *arguments: str) -> str:
    command = [sys.executable, "-m", "crdt_chat", *arguments, "--db", str(server.db)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with running_server(tmp_path_factory.mktemp("closed")) as running:
        cli(running, "tenant", "add", "acme")
        yield running


@pytest.fixture
def url(closed: RealServer) -> str:
    return closed.http.replace("http", "ws", 1)


@pytest.fixture
def sign(closed: RealServer) -> Callable[..., str]:
    """A token of the tenant for somebody."""

    def make(user: str, *more: str) -> str:
        return cli(closed, "token", "acme", "--user", user, *more)

    return make


def test_moderators_see_and_do_from_python_what_readers_tell_them(url: str, sign) -> None:
    page = "acme/to moderate"
    with (
        crdt_chat.connect(url, page, token=sign("ada")) as ada,
        crdt_chat.connect(url, page, token=sign("eve", "--role", "moderator")) as eve,
    ):
        note = ada.annotate("a passage", "first")
        reply = ada.reply(note, "rude")
        ada.flush()
        with pytest.raises(Forbidden):
            ada.moderation()
        with pytest.raises(Forbidden):
            ada.moderate("hide", reply)
        ada.flag(reply, "that hurts")
        [flag] = eve.moderation()["flags"]
        assert (flag["user"], flag["entity"], flag["reason"]) == ("ada", reply.name, "that hurts")
        eve.flush()
        eve.moderate("hide", reply, "it does")
        eve.flush()
        assert [comment.body for comment in eve[note.id].comments] == ["first"]
        seen = eve.moderation()
        assert (list(seen["hidden"]), seen["flags"]) == ([reply.name], [])
        assert seen["log"][-1]["reason"] == "it does"
        eve.moderate("unhide", reply.name)
        eve.flush()
        assert len(eve[note.id].comments) == 2
        with pytest.raises(Forbidden) as refused:
            eve.moderate("close", "never-there")
        assert [operation["rule"] for operation in refused.value.operations] == ["unknown"]


def test_who_asks_a_server_that_is_away_is_told_so() -> None:
    with (
        crdt_chat.connect(f"ws://127.0.0.1:{free_port()}", "acme/p", "ada") as page,
        pytest.raises(crdt_chat.Offline),
    ):
        page.moderation()


def test_nobody_comes_in_without_a_token(url: str) -> None:
    with pytest.raises(Unauthorized):
        crdt_chat.connect(url, PAGE, "ada")
    with pytest.raises(Unauthorized):
        crdt_chat.connect(url, PAGE, "ada", token="a.b.c")


def test_a_token_says_who_writes(url: str, closed: RealServer, sign: Callable[..., str]) -> None:
    token = sign("ada@example.org")
    with crdt_chat.connect(url, PAGE, name="Ada", token=token) as page:
        assert page.annotate("quote", "why?").creator == "ada@example.org"
        page.flush()
        assert [user.id for user in page.users] == ["ada@example.org"]
    assert token not in closed.log()


def test_somebody_elses_token_is_not_used_to_write_in_ones_own_name(
    url: str, sign: Callable[..., str]
) -> None:
    with pytest.raises(Unauthorized, match="knows us as ada, not bob"):
        crdt_chat.connect(url, PAGE, "bob", token=sign("ada"))


def test_what_a_role_does_not_allow_is_refused_before_it_is_written(
    url: str, sign: Callable[..., str]
) -> None:
    with (
        crdt_chat.connect(url, PAGE, token=sign("eve", "--role", "editor")) as editor,
        crdt_chat.connect(url, PAGE, token=sign("mia", "--role", "moderator")) as moderator,
        crdt_chat.connect(url, PAGE, token=sign("vic", "--role", "viewer")) as viewer,
    ):
        thread = editor.annotate("quote", "to be moderated")
        editor.flush()
        viewer.flush()
        with pytest.raises(crdt_chat.Refused, match="viewer"):
            viewer.reply(thread.id, "may I?")
        assert viewer.unsaved == 0
        moderator.flush()
        moderator.delete(thread.id)
        moderator.flush()
        viewer.flush()
        assert thread.id not in {item.id for item in viewer.annotations}


def test_a_role_given_by_hand_counts_at_once_here_too(
    closed: RealServer, url: str, sign: Callable[..., str]
) -> None:
    with crdt_chat.connect(url, PAGE, token=sign("rob")) as page:
        page.annotate("quote", "while an editor")
        page.flush()
        cli(closed, "tenant", "set", "acme", "--role", "rob=viewer")
        until(lambda: refused(page))
        cli(closed, "tenant", "set", "acme", "--role", "rob=")
        until(lambda: not refused(page))


def refused(page: Page) -> bool:
    """Whether a note is refused before it is written."""
    try:
        page.annotate("quote", "again")
    except crdt_chat.Refused as fault:
        return fault.rule == "role"
    with contextlib.suppress(crdt_chat.Refused):
        page.flush()
    return False


def test_a_token_that_ends_ends_the_page_and_keeps_its_notes(
    url: str, sign: Callable[..., str]
) -> None:
    page = crdt_chat.connect(url, PAGE, token=sign("ada", "--seconds", "6"))
    page.annotate("quote", "in time")
    page.flush()
    until(lambda: page.status == "closed")
    page.annotate("quote", "too late")
    assert page.annotations[-1].body == "too late"
    with pytest.raises(Unauthorized):
        page.close()


def test_a_function_gives_fresh_tokens_on_the_live_connection(
    url: str, sign: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "SHORTEST_RENEWAL_S", 0.5)
    given: list[str] = []

    def fresh() -> str:
        given.append(sign("ada", "--seconds", "6"))
        return given[-1]

    with crdt_chat.connect(url, PAGE, "ada", token=fresh) as page:
        told: list[str] = []
        page.on("status", lambda event: told.append(event.detail))
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > 7)  # longer than the first token lasts
        assert len(given) > 1
        page.annotate("quote", "with a fresh token")
        page.flush()
        assert "offline" not in told


def test_a_token_that_has_ended_is_replaced_at_the_next_connection(
    url: str, sign: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "SHORTEST_RENEWAL_S", 60)
    given: list[str] = []

    def fresh() -> str:
        given.append(sign("ada", "--seconds", "6"))
        return given[-1]

    with crdt_chat.connect(url, PAGE, "ada", token=fresh) as page:
        until(lambda: len(given) > 1)
        page.annotate("quote", "after the first one ended")
        page.flush()
        assert page.status == "synced"


def test_a_function_that_fails_is_asked_again(
    url: str, sign: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    answers = [sign("ada")]

    def fresh() -> str:
        if answers[-1]:
            answers.append("")
            raise ConnectionError
        return answers[0]

    with crdt_chat.connect(url, PAGE, "ada", token=fresh) as page:
        page.annotate("quote", "offline first")
        page.flush()
    assert "there is no token to connect with" in caplog.text
