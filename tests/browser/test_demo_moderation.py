"""Flags and moderation in the page that `crdt-chat demo` serves: its moderator's link, a keyboard, axe."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_window import NARROW, DemoWindow
from waiting import PATIENCE_S

AXE = Path(__file__).parents[2] / "widget" / "node_modules" / "axe-core" / "axe.min.js"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HABIT = "The habit is older than the bound book."
POINT = "here, look"


@dataclass(frozen=True)
class Demo:
    """The running demo: its address, and what stands behind `#` in its moderator's link."""

    http: str
    fragment: str


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    command = [sys.executable, "-m", "crdt_chat", "demo", "--port", "0", "--db", "demo.db"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    links = (line.strip() for line in running.stdout if "#moderator=" in line)
    http, _, fragment = next(links).partition("/demo#")
    yield Demo(http, fragment)
    running.terminate()
    running.communicate(timeout=PATIENCE_S)


def flag(window: DemoWindow, comment: str, reason: str) -> None:
    """Tell the moderators of a comment in the open thread."""
    note = window.page.locator(".comment").filter(has_text=comment)
    note.get_by_role("button", name="Flag").click()
    window.page.get_by_label("Why should a moderator look at this?").fill(reason)
    window.page.get_by_role("button", name="Send to the moderators").click()
    window.page.get_by_text("The moderators have been told.").wait_for()


def desk(window: DemoWindow, text: str) -> None:
    """Wait until the desk of a moderator says this, of what waits or of what was decided."""
    window.page.locator(".desk").get_by_text(text, exact=True).first.wait_for()


def answer(window: DemoWindow, button: str, reason: str = "") -> None:
    """Press a button of the desk and say why, or nothing; by the keyboard, which is where the cursor is."""
    window.page.locator(".desk").get_by_role("button", name=button, exact=True).first.click()
    window.page.locator(".desk [data-ask] textarea:focus").wait_for()
    window.page.keyboard.type(reason)
    window.page.keyboard.press("Control+Enter")


def decision(window: DemoWindow, text: str) -> None:
    """Wait until the newest decision at the desk of a moderator reads so, its time left out."""
    newest = window.page.locator(".decisions li").first
    newest.filter(has_text=re.compile(text)).wait_for()


def test_what_a_reader_flags_a_moderator_sees_hides_and_brings_back(reader, demo):
    ada, ben = (reader(user, user.title(), http=demo.http) for user in ("ada", "ben"))
    ada.annotate(HABIT, "Is it?")
    ben.await_text("Is it?")
    ben.reply(HABIT, "You fool.")
    ada.await_text("You fool.")
    mod = reader("", http=demo.http, fragment=demo.fragment)
    flag(ada, "You fool.", "that hurts")
    mod.page.locator(".flag-count", has_text="1 flag").wait_for()
    assert mod.thread(HABIT).locator(".flagged").inner_text() == "1 flag"
    desk(mod, "that hurts")
    mod.screenshot("moderation-flag")
    for other in (ada, ben):
        assert other.page.locator(".desk, .flagged, .flags").count() == 0
        assert other.page.get_by_role("button", name="Hide").count() == 0
    mod.page.locator(".desk").get_by_role("button", name="Show").click()
    note = mod.page.locator(".comment").filter(has_text="You fool.")
    note.get_by_role("button", name="Hide").click()
    mod.page.keyboard.type("it is rude")
    mod.page.keyboard.press("Control+Enter")
    for window in (ada, ben):
        window.await_no_text("You fool.")
    desk(mod, "it is rude")
    desk(mod, "You fool.")
    mod.page.locator(".flag-count", has_text="0 flags").wait_for()
    mod.screenshot("moderation-hidden")
    answer(mod, "Unhide", "it is a quotation")
    ada.await_text("You fool.")
    decision(mod, "Shown again Ben’s “You fool.”, .*: it is a quotation")
    flag(ada, "You fool.", "again")
    desk(mod, "again")
    answer(mod, "It may stay")
    mod.page.locator(".flag-count", has_text="0 flags").wait_for()
    decision(mod, "May stay Ben’s “You fool.”, .*: no reason given")
    for other in (ada, ben):
        assert "it is a quotation" not in other.page.content()
    late = reader("", http=demo.http, fragment=demo.fragment)
    decision(late, "May stay")
    told = [each.inner_text() for each in late.page.locator(".decisions li").all()]
    said = ["no reason given", "it is a quotation", "it is rude"]
    assert [reason in text for reason, text in zip(said, told, strict=True)] == [True] * 3


def test_what_is_closed_says_so_and_takes_nothing_new(reader, demo):
    ada = reader("ada", "Ada", http=demo.http)
    ada.annotate(HABIT, "Is it?")
    mod = reader("", http=demo.http, fragment=demo.fragment)
    mod.await_text("Is it?")
    mod.press(HABIT, "Close to replies")
    mod.page.keyboard.type("enough")
    mod.page.keyboard.press("Control+Enter")
    mod.thread(HABIT).get_by_text("Closed by a moderator: enough").wait_for()
    said = ada.thread(HABIT).get_by_text("Closed by a moderator", exact=True)
    said.wait_for()
    assert ada.page.get_by_label("Reply").count() == 0
    mod.press(HABIT, "Reopen to replies")
    mod.page.keyboard.type("they are calm")
    mod.page.keyboard.press("Control+Enter")
    said.wait_for(state="detached")
    decision(mod, "Reopened the thread on “.*: they are calm")
    ada.reply(HABIT, "As I was saying")
    mod.page.get_by_role("button", name="Close the page").click()
    mod.page.keyboard.type("a wave of spam")
    mod.page.keyboard.press("Control+Enter")
    notice = "A moderator has closed this page: nothing new is taken."
    ada.page.locator(".margin-head").get_by_text(notice).wait_for()
    ada.select(POINT)
    ada.page.get_by_role("button", name="Write a note").click()
    ada.page.locator("#strip").get_by_text(notice).wait_for()
    assert ada.page.get_by_label("Your note").count() == 0
    answer(mod, "Reopen the page", "the wave is over")
    decision(mod, "Reopened the page, .*: the wave is over")
    ada.page.locator(".margin-head").get_by_text(notice).wait_for(state="detached")
    ada.annotate(POINT, "A hand.")
    mod.await_text("A hand.")
    # Four decisions: the newest three are open, the first one is folded.
    folded = mod.page.locator("details", has=mod.page.get_by_text("1 earlier", exact=True))
    assert folded.locator("li").is_hidden()
    folded.locator("summary").focus()
    mod.page.keyboard.press("Enter")
    folded.get_by_text("enough", exact=True).wait_for()


def test_a_moderator_restores_what_was_deleted_and_the_desk_says_why(reader, demo):
    ada = reader("ada", "Ada", http=demo.http)
    ada.annotate(HABIT, "Is it?")
    mod = reader("", http=demo.http, fragment=demo.fragment)
    mod.await_text("Is it?")
    ada.press(HABIT, "Delete thread", twice=True)
    mod.await_no_text("Is it?")
    mod.page.locator(".gone summary", has_text="1 deleted").focus()
    mod.page.keyboard.press("Enter")
    answer(mod, "Restore", "deleted by mistake")
    ada.await_text("Is it?")
    decision(mod, "Restored the thread on “The habit.*: deleted by mistake")
    mod.page.locator(".gone").wait_for(state="detached")
    assert ada.page.locator(".gone, .decisions").count() == 0


def test_a_moderator_needs_no_mouse(reader, demo):
    ada = reader("ada", "Ada", http=demo.http)
    ada.annotate(HABIT, "Is it?")
    mod = reader("", http=demo.http, fragment=demo.fragment)
    mod.await_text("Is it?")
    mod.page.locator(".card .quote").focus()
    press, said = mod.page.keyboard.press, "document.activeElement.textContent.trim()"
    press("Enter")
    press("Tab")
    assert mod.page.evaluate(said) == "Flag"
    press("Tab")
    assert mod.page.evaluate(said) == "Hide"
    press("Enter")
    assert mod.page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    press("Escape")
    assert mod.page.evaluate("document.activeElement.closest('.comment') !== null")
    press("Tab")
    press("Enter")
    mod.page.keyboard.type("typed")
    press("Control+Enter")
    ada.await_no_text("Is it?")
    assert mod.page.evaluate("document.activeElement.className") == "desk"
    desk(mod, "typed")
    press("Tab")
    assert mod.page.evaluate(said) == "Unhide"
    press("Enter")
    assert mod.page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    press("Escape")
    assert mod.page.evaluate("document.activeElement.className") == "desk"
    press("Tab")
    press("Enter")
    mod.page.keyboard.type("typed back")
    press("Control+Enter")
    ada.await_text("Is it?")
    decision(mod, "typed back")
    assert mod.page.evaluate("document.activeElement.className") == "desk"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda link: link[:-6] + "AAAAAA", "the token is not signed"),
        (lambda _link: "moderator=gibberish", "that is no token"),
        (lambda _link: "moderator=a.b.c", "that is no token"),
    ],
)
def test_a_link_that_is_no_good_opens_nothing(reader, demo, spoil, why):
    mod = reader("", http=demo.http, fragment=spoil(demo.fragment), live=False)
    mod.await_link("refused")
    assert f"You are no longer signed in. (4401: {why}" in mod.strip()
    assert mod.page.locator(".desk").count() == 0


def test_who_only_says_to_be_the_moderator_is_none(reader, demo):
    mod = reader("moderator", "Moderator", http=demo.http)
    mod.annotate(HABIT, "I am the moderator.")
    assert mod.page.locator(".desk").count() == 0
    assert mod.page.get_by_role("button", name=re.compile("Hide|Close to replies")).count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_axe_finds_nothing_to_complain_of_at_the_desk(reader, demo, scheme, size):
    if not AXE.exists():
        pytest.skip("needs the npm packages of widget: run script/test")
    ada, ben = (reader(user, user.title(), http=demo.http) for user in ("ada", "ben"))
    ada.annotate(HABIT, "Is it?")
    ben.await_text("Is it?")
    ben.reply(HABIT, "You fool.")
    ada.await_text("You fool.")
    settings = {"viewport": NARROW} if size == "narrow" else {}
    look = {"color_scheme": scheme, "bypass_csp": True, **settings}
    mod = reader("", http=demo.http, fragment=demo.fragment, **look)
    flag(ada, "You fool.", "that hurts")
    mod.page.locator(".flag-count", has_text="1 flag").wait_for()
    ada.annotate(POINT, "A hand.")
    mod.await_text("A hand.")
    mod.press(POINT, "Hide thread")
    mod.page.keyboard.type("off topic")
    mod.page.keyboard.press("Control+Enter")
    desk(mod, "off topic")
    ada.reply(HABIT, "Sorry.")
    hers = ada.page.locator(".comment").filter(has_text="Sorry.")
    for label in ("Delete", "Delete for everybody?"):
        hers.get_by_role("button", name=label, exact=True).click()
    mod.page.locator(".gone summary").click()
    mod.open(HABIT)
    note = mod.page.locator(".comment").filter(has_text="You fool.")
    note.get_by_role("button", name="Hide").click()
    mod.screenshot(f"moderation-{scheme}-{size}")
    mod.page.add_script_tag(path=AXE)
    found = mod.page.evaluate(
        "tags => axe.run({ runOnly: tags }).then(found => found.violations)", AXE_TAGS
    )
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []
