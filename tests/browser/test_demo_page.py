"""The demo page by itself: anchoring, keyboard, small screens, refusals, accessibility."""

import json
from pathlib import Path

import pytest
from demo_window import NARROW

WIDGET = Path(__file__).parents[2] / "widget"
AXE = WIDGET / "node_modules" / "axe-core" / "axe.min.js"
HABIT = "The habit is older than the bound book."
POINT = "here, look"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


CHANGE_TEXT = """
document.addEventListener('readystatechange', () => {
  if (document.readyState !== 'interactive') return
  const walker = document.createTreeWalker(document.getElementById('article'), NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replace(OLD, NEW)
})
"""


def article_changed(old: str, new: str):
    """Let one window have an article with other words, from before its script runs."""
    script = CHANGE_TEXT.replace("OLD", json.dumps(old)).replace("NEW", json.dumps(new))
    return lambda page: page.add_init_script(script)


def test_a_note_finds_its_words_after_the_article_has_changed(reader):
    ada = reader("ada")
    ada.annotate("the court does not recognise either", "A fine maxim.")
    moved = article_changed(
        "Open almost", "Two words, and the court does not recognise. Open almost"
    )
    grace = reader("grace", before=moved)
    grace.await_text("A fine maxim.")
    assert grace.highlighted() == ["the court does not recognise either"]


def test_of_two_equal_passages_the_one_in_the_same_context_is_meant(reader):
    ada = reader("ada")
    page = ada.page.evaluate("document.getElementById('article').textContent")
    assert page.count("margins") > 3
    ada.select_without_mouse("margins, and find both sets")
    ada.page.evaluate(
        "getSelection().setBaseAndExtent(...(r => [r.startContainer, r.startOffset, "
        "r.startContainer, r.startOffset + 7])(getSelection().getRangeAt(0)))"
    )
    ada.page.keyboard.press("Control+Alt+m")
    ada.page.get_by_label("Your note").fill("these ones")
    ada.page.keyboard.press("Control+Enter")
    ada.await_text("these ones")
    grace = reader("grace", before=article_changed("fill its margins", "fill all of its margins"))
    grace.await_text("these ones")
    around = grace.page.evaluate(
        "(r => r.startContainer.data.slice(r.startOffset - 7, r.endOffset + 9))"
        "([...CSS.highlights.get('note')][0])"
    )
    assert around == "of its margins, and fin"


def test_a_note_whose_words_are_gone_is_kept_and_says_so(reader):
    ada = reader("ada")
    ada.annotate(HABIT, "Is it?")
    grace = reader("grace", before=article_changed(HABIT, "The custom is very old."))
    grace.await_text("Is it?")
    assert grace.thread(HABIT).get_by_text("These words are no longer in the article.").is_visible()
    assert grace.highlighted() == []


def test_everything_works_without_a_mouse(reader):
    ada = reader("ada")
    ada.select_without_mouse(HABIT)
    ada.page.keyboard.press("Control+Alt+m")
    ada.page.keyboard.type("Typed.")
    ada.page.keyboard.press("Control+Enter")
    ada.await_text("Typed.")
    assert ada.page.evaluate("document.activeElement.className") == "quote"
    ada.page.keyboard.press("Tab")
    ada.page.keyboard.press("Enter")
    ada.page.keyboard.press("Control+a")
    ada.page.keyboard.type("Edited.")
    ada.page.keyboard.press("Control+Enter")
    ada.await_text("Edited.")
    ada.page.keyboard.press("Tab")
    ada.page.keyboard.type("Replied.")
    ada.page.keyboard.press("Control+Enter")
    ada.await_text("Replied.")
    ada.page.keyboard.press("Escape")
    assert ada.page.locator(".card[data-active]").count() == 0
    assert ada.page.evaluate("document.activeElement.className") == "quote"


def test_escape_gives_the_selection_back(reader):
    ada = reader("ada")
    ada.select(HABIT)
    ada.page.get_by_role("button", name="Write a note").click()
    ada.page.keyboard.press("Escape")
    assert ada.page.evaluate("String(getSelection())") == HABIT
    assert ada.page.locator(".card").count() == 0


def test_a_passage_that_is_too_long_is_not_offered(reader):
    ada = reader("ada")
    ada.page.evaluate("getSelection().selectAllChildren(document.getElementById('article'))")
    button = ada.page.get_by_role("button", name="Too long for one note")
    button.wait_for()
    assert button.is_disabled()
    ada.page.keyboard.press("Control+Alt+m")
    assert ada.page.locator(".card").count() == 0


def test_the_document_says_who_and_where_as_the_design_wants_it(reader):
    ada = reader("ada@example.org", "Ada")
    ada.annotate(HABIT, "A note")
    found = ada.document()
    ((annotation_id, annotation),) = found["annotations"].items()
    ((comment_id, comment),) = found["comments"].items()
    assert comment_id.startswith(f"{annotation_id}/")
    assert annotation_id[14] == "7"
    assert annotation["creator"] == comment["creator"] == "ada@example.org"
    assert annotation["broadcastId"] == comment["broadcastId"]
    quote, position = annotation["target"]["selector"]
    assert quote["exact"] == HABIT
    assert len(quote["prefix"]) == len(quote["suffix"]) == 32
    assert position["end"] - position["start"] == len(HABIT)
    ada.press(HABIT, "Delete thread", twice=True)
    ada.thread(HABIT).wait_for(state="detached")
    assert list(ada.document()["deleted"]) == [f"{annotation_id}/ada%40example.org"]


def test_a_closed_door_is_shown_and_not_tried_again(reader):
    tries = []

    def refuse(page):
        def close(socket):
            tries.append(socket.url)
            socket.close(code=4403, reason="Not for you.")

        page.route_web_socket("**/ws/**", close)

    ada = reader("ada", before=refuse, live=False)
    ada.await_link("refused")
    assert "The server does not accept what this window holds. (4403: Not for you.)" in ada.strip()
    assert ada.page.get_by_role("button", name="Reload the page").is_visible()
    ada.page.wait_for_timeout(1_000)  # a second try would come after 200 ms
    assert len(tries) == 1
    assert "/ws/demo/demo-article?user=ada" in tries[0]


def test_without_a_user_in_the_address_one_is_made_up_and_kept(reader, browser):
    ada = reader("ada")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{ada.http}/demo")
    ada.await_people(2)
    name = page.locator(".margin-head p").inner_text()
    page.reload()
    page.locator(".link[data-link=live]").wait_for()
    assert page.locator(".margin-head p").inner_text() == name
    with context.expect_page() as opened:
        page.get_by_role("link", name="Second window").click()
    opened.value.locator(".link[data-link=live]").wait_for()
    assert opened.value.locator(".margin-head p").inner_text() != name
    ada.await_people(3)
    context.close()


def test_on_a_phone_the_open_note_lies_at_the_lower_edge(reader):
    ada = reader("ada", viewport=NARROW, has_touch=True, is_mobile=True)
    ada.select_without_mouse(POINT)
    ada.page.get_by_role("button", name="Write a note").tap()
    ada.page.get_by_label("Your note").fill("On the train.")
    ada.page.get_by_role("button", name="Comment").tap()
    ada.await_text("On the train.")
    box = ada.thread(POINT).bounding_box()
    assert box["x"] == 0
    assert box["width"] == NARROW["width"]
    assert abs(box["y"] + box["height"] - NARROW["height"]) <= 1
    ada.screenshot("demo-phone")
    ada.page.get_by_role("button", name="Close").tap()
    ada.page.evaluate("scrollTo(0, 0)")
    assert ada.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_those_who_listen_hear_what_others_write_but_not_what_was_there(reader):
    ada = reader("ada", "Ada")
    ada.annotate(HABIT, "Before you came.")
    grace = reader("grace")
    grace.await_text("Before you came.")
    heard = grace.page.locator("#announcer")
    assert heard.inner_text() == ""
    ada.reply(HABIT, "And now.")
    heard.get_by_text("Ada wrote: And now.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_axe_finds_nothing_to_complain_of(reader, scheme, size):
    if not AXE.exists():
        pytest.skip("needs the npm packages of widget: run script/test")
    settings = {"viewport": NARROW} if size == "narrow" else {}
    ada = reader("ada", color_scheme=scheme, bypass_csp=True, **settings)
    grace = reader("grace", "Grace Hopper")
    grace.annotate(HABIT, "One.")
    ada.await_text("One.")
    grace.annotate(POINT, "Two.")
    ada.await_text("Two.")
    ada.open(HABIT)
    ada.screenshot(f"demo-{scheme}-{size}")
    ada.page.add_script_tag(path=AXE)
    run = "tags => axe.run({ runOnly: tags }).then(found => found.violations)"
    for violations in (ada.page.evaluate(run, AXE_TAGS), audit_offline(ada, run)):
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in violations] == []


def audit_offline(window, run):
    """The same with the strip of an absent server."""
    window.page.evaluate("margin.provider.disconnect()")
    window.await_link("offline")
    return window.page.evaluate(run, AXE_TAGS)
