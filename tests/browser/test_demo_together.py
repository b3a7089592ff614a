"""The main job in a real browser: two people write in one margin, and a stopped server loses nothing."""

from itertools import pairwise

LEARNED = "Not every note was learned."
HABIT = "The habit is older than the bound book."
SNAILS = "scholars still disagree about why the snails"


def test_what_one_selects_and_writes_the_other_sees_beside_the_same_words(reader):
    ada, grace = reader("ada", "Ada"), reader("grace", "Grace")
    ada.await_people(2)
    grace.await_people(2)
    ada.annotate(SNAILS, "My money is on a joke about Lombards.")
    grace.await_text("My money is on a joke about Lombards.")
    assert grace.highlighted() == [SNAILS]
    assert grace.thread(SNAILS).locator(".byline b").inner_text() == "Ada"
    grace.reply(SNAILS, "Or about knights.")
    ada.await_text("Or about knights.")
    ada.screenshot("demo-two-readers")
    assert ada.margin() == grace.margin()
    assert ada.document() == grace.document()


def test_notes_stand_beside_their_passages_and_never_on_each_other(reader):
    ada = reader("ada")
    for number, words in enumerate([LEARNED, "Illuminators filled", "ale has killed us", HABIT]):
        ada.annotate(words, f"note {number}")
    ada.page.keyboard.press("Escape")
    boxes = [card.bounding_box() for card in ada.page.locator(".card").all()]
    assert all(a["y"] + a["height"] <= b["y"] for a, b in pairwise(boxes))
    passage = ada.page.evaluate(
        "[...CSS.highlights.get('note')].map(r => r.getBoundingClientRect().y)"
    )
    assert abs(boxes[0]["y"] - min(passage)) < 20


def test_edit_resolve_and_delete_reach_the_other(reader):
    ada, grace = reader("ada"), reader("grace")
    ada.annotate(HABIT, "frist")
    grace.await_text("frist")
    ada.press(HABIT, "Edit")
    ada.page.get_by_label("Edit your comment").fill("first")
    ada.page.get_by_role("button", name="Save").click()
    grace.await_text("first")
    assert grace.thread(HABIT).get_by_text("edited").is_visible()

    grace.reply(HABIT, "second")
    ada.await_text("second")
    grace.press(HABIT, "Delete", twice=True)
    ada.await_no_text("second")

    ada.press(HABIT, "Resolve")
    grace.thread(HABIT).get_by_text("Resolved", exact=True).wait_for()
    grace.page.keyboard.press("Escape")
    grace.page.get_by_label("Show resolved (1)").check()
    assert grace.highlighted("note-resolved") == [HABIT]
    ada.page.get_by_label("Show resolved (1)").check()
    ada.press(HABIT, "Reopen")
    grace.page.locator(".card:not([data-resolved])").wait_for()

    ada.press(HABIT, "Delete thread", twice=True)
    grace.thread(HABIT).wait_for(state="detached")
    assert grace.highlighted() == grace.highlighted("note-active") == []
    content = grace.document()
    assert content["annotations"] == content["comments"] == content.get("resolved", {}) == {}
    assert ada.document() == content


def test_only_what_is_ones_own_can_be_changed(reader):
    ada, grace = reader("ada"), reader("grace")
    ada.annotate(HABIT, "mine")
    grace.await_text("mine")
    buttons = grace.open(HABIT).get_by_role("button").all_inner_texts()
    assert not {"Edit", "Delete", "Delete thread", "Resolve"} & set(buttons)


def test_several_tabs_of_one_user_are_one_person(reader):
    ada, grace = reader("ada"), reader("grace")
    ada.await_people(2)
    second = ada.tab()
    second.locator(".count", has_text="2 people here").wait_for()
    grace.await_people(2)
    second.close()
    reader("mia")
    grace.await_people(3)
    ada.close()
    grace.await_people(2)


def test_what_both_wrote_while_the_server_was_dead_is_merged(reader, server):
    ada, grace = reader("ada", "Ada"), reader("grace", "Grace")
    ada.annotate(HABIT, "before")
    grace.await_text("before")
    server.kill()
    ada.await_link("offline")
    grace.await_link("offline")
    ada.annotate(SNAILS, "by Ada, alone")
    ada.reply(HABIT, "answer by Ada")
    grace.annotate(LEARNED, "by Grace, alone")
    grace.reply(HABIT, "answer by Grace")
    assert "Offline — your 2 changes are kept in this window and will be merged" in ada.strip()
    ada.screenshot("demo-offline")
    server.start()
    ada.page.get_by_text("Back online: what you wrote meanwhile is merged.").wait_for()
    for window in (ada, grace):
        window.await_link("live")
        for text in ("by Ada, alone", "by Grace, alone", "answer by Ada", "answer by Grace"):
            window.await_text(text)
        window.await_people(2)
    late = reader("mia")
    late.await_text("by Ada, alone")
    assert late.document() == ada.document() == grace.document()
    assert [len(comments) for _, comments in late.margin()] == [3, 1, 1]


def test_two_users_and_two_tabs_of_one_browser_merge_as_well_as_strangers(reader, server):
    """Windows of one browser hear each other without a server, which must not mix up who wrote what."""
    ada = reader("ada")
    grace, second = reader("grace", beside=ada), reader("ada", beside=ada)
    ada.await_people(2)
    server.kill()
    for window in (ada, grace, second):
        window.await_link("offline")
    ada.annotate(HABIT, "by Ada")
    second.await_text("by Ada")
    second.reply(HABIT, "by Ada in her second tab")
    grace.annotate(LEARNED, "by Grace")
    assert grace.margin() == [(LEARNED, ["by Grace"])]
    server.start()
    for window in (ada, grace, second):
        window.await_text("by Grace")
        window.await_text("by Ada in her second tab")
        window.await_people(2)
    assert ada.document() == grace.document() == second.document() == reader("mia").document()


def test_what_the_server_does_not_accept_is_taken_back_and_the_window_says_so(reader):
    ada, grace = reader("ada"), reader("grace")
    ada.annotate(HABIT, "short")
    grace.await_text("short")
    ada.page.evaluate("margin.notes.reply(margin.notes.threads()[0].id, 'x'.repeat(10_001))")
    ada.page.get_by_text("The server did not accept your last change").wait_for()
    ada.page.evaluate(
        """() => {
          const comments = margin.doc.getMap('comments')
          for (const [name, comment] of comments)
            comments.set(name, { ...comment, creator: 'grace', body: 'forged' })
        }"""
    )
    ada.await_text("short")
    ada.annotate(LEARNED, "still here")
    grace.await_text("still here")
    assert ada.document() == grace.document()
    assert [comments for _, comments in ada.margin()] == [["short"], ["still here"]]


def test_an_offline_answer_to_a_thread_that_was_deleted_meanwhile_leaves_all_windows_equal(reader):
    ada, grace = reader("ada"), reader("grace")
    ada.annotate(HABIT, "a thread")
    grace.await_text("a thread")
    grace.page.evaluate("margin.provider.disconnect()")
    ada.press(HABIT, "Delete thread", twice=True)
    grace.reply(HABIT, "too late")
    grace.page.evaluate("margin.provider.connect()")
    grace.thread(HABIT).wait_for(state="detached")
    grace.annotate(LEARNED, "and on we go")
    ada.await_text("and on we go")
    assert ada.document() == grace.document()


def test_a_reply_that_is_being_typed_survives_what_others_write(reader):
    ada, grace = reader("ada"), reader("grace")
    ada.annotate(HABIT, "a thread")
    grace.await_text("a thread")
    field = grace.open(HABIT).get_by_label("Reply")
    field.press_sequentially("half a sen")
    ada.annotate(LEARNED, "something else")
    ada.reply(HABIT, "me again")
    grace.await_text("me again")
    field.press_sequentially("tence")
    assert field.input_value() == "half a sentence"
    grace.page.keyboard.press("Control+Enter")
    ada.await_text("half a sentence")


def test_a_note_costs_less_than_a_kilobyte_on_the_wire(reader):
    sent: list[int] = []

    def count(page):
        page.on(
            "websocket",
            lambda socket: socket.on("framesent", lambda frame: sent.append(len(frame))),
        )

    ada = reader("ada", before=count)
    sent.clear()
    ada.annotate("The other runs around it: smaller, hastier, in another ink", "a" * 200)
    ada.page.wait_for_function("margin.doc.getMap('annotations').size === 1")
    assert 500 < sum(sent) < 1_000
    assert len(sent) == 1
