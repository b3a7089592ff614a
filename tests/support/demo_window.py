"""A reader of the demo article in a real Chromium: one window, one user, driven as a person would."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page
from waiting import PATIENCE_S

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parents[1] / "output"
WIDE = {"width": 1360, "height": 900}
NARROW = {"width": 390, "height": 844}
SERVER_IS_AWAY = re.compile(r"WebSocket connection to .* failed|Failed to load resource")

RANGE_OF_WORDS = """words => {
  const walker = document.createTreeWalker(document.getElementById('article'), NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const at = walker.currentNode.data.indexOf(words)
    if (at < 0) continue
    const range = document.createRange()
    range.setStart(walker.currentNode, at)
    range.setEnd(walker.currentNode, at + words.length)
    walker.currentNode.parentElement.scrollIntoView({ block: 'center', behavior: 'instant' })
    return range
  }
  throw new Error(`the article does not say: ${words}`)
}"""
HIGHLIGHTED = """name => [...(CSS.highlights.get(name) ?? [])].map(String)"""


class DemoWindow:
    """One window on the demo article. `errors` holds what its console and scripts complained of."""

    def __init__(
        self,
        browser: Browser,
        http: str,
        user: str,
        name: str = "",
        *,
        before: Callable[[Page], None] | None = None,
        beside: "DemoWindow | None" = None,
        fragment: str = "",
        **settings: object,
    ) -> None:
        """Open `http`/demo as this user; `settings` are Playwright's for a context, `before` sees
        the blank page first. `beside`: a window of the same browser, sharing its storage and its
        BroadcastChannels. `fragment`: what stands behind `#` in the address, as a moderator's link has it."""
        options: dict[str, object] = {"viewport": WIDE, "reduced_motion": "reduce", **settings}
        self.context = beside.context if beside else browser.new_context(**options)  # type: ignore[arg-type]
        self.context.set_default_timeout(PATIENCE_S * 1000)
        self.user = user
        self.errors: list[str] = []
        self.http = http
        self._name = name
        self._before = before
        self._fragment = fragment
        self.page = self.tab()

    def tab(self) -> Page:
        """One more tab of the same user."""
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(f"{self.user}: {error}"))
        if self._before is not None:
            self._before(page)
        query = {"user": self.user} | ({"name": self._name} if self._name else {})
        end = f"#{self._fragment}" if self._fragment else ""
        page.goto(f"{self.http}/demo?{urlencode(query)}{end}")
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not SERVER_IS_AWAY.search(message.text):
            self.errors.append(f"{self.user}: {message.text}")

    # -- what the reader does

    def select(self, words: str) -> None:
        """Select these words with the mouse, as they stand in one text node of the article."""
        self.page.bring_to_front()  # Chromium draws tabs in the background rarely, the mouse waits
        box = self.page.evaluate(
            f"""words => {{
              const boxes = ({RANGE_OF_WORDS})(words).getClientRects()
              const [first, last] = [boxes[0], boxes[boxes.length - 1]]
              const middle = ({{ top, height }}) => top + height / 2
              return [first.left + 1, middle(first), last.right - 1, middle(last)]
            }}""",
            words,
        )
        mouse = self.page.mouse
        mouse.move(box[0], box[1])
        mouse.down()
        mouse.move((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        mouse.move(box[2], box[3])
        mouse.up()
        assert self.page.evaluate("String(getSelection())") == words

    def select_without_mouse(self, words: str) -> None:
        """Select these words as caret browsing or a touch screen's handles would."""
        self.page.evaluate(
            f"""words => {{
              const range = ({RANGE_OF_WORDS})(words)
              getSelection().setBaseAndExtent(
                range.startContainer, range.startOffset, range.endContainer, range.endOffset)
            }}""",
            words,
        )

    def annotate(self, words: str, body: str) -> None:
        """Select words and write a note beside them."""
        self.select(words)
        self.page.get_by_role("button", name="Write a note").click()
        self.page.get_by_label("Your note").fill(body)
        self.page.get_by_role("button", name="Comment").click()

    def open(self, words: str) -> Locator:
        """Open the thread on these words."""
        card = self.thread(words)
        card.locator(".quote").click()
        return card

    def reply(self, words: str, body: str) -> None:
        """Answer in the thread on these words."""
        card = self.open(words)
        card.get_by_label("Reply").fill(body)
        card.get_by_role("button", name="Reply").click()

    def press(self, words: str, button: str, *, twice: bool = False) -> None:
        """Press a button of the thread on these words; twice where it asks to be sure."""
        card = self.thread(words)
        if card.get_attribute("data-active") is None:
            self.open(words)
        card.get_by_role("button", name=button, exact=True).click()
        if twice:
            card.get_by_role("button", name=f"{button} for everybody?").click()

    # -- what the reader sees

    def thread(self, words: str) -> Locator:
        """The card of the thread on these words."""
        return self.page.locator(".card").filter(
            has=self.page.locator(".quote", has_text=re.compile(f"^{re.escape(words)}$"))
        )

    def await_text(self, text: str) -> None:
        """Wait until this text can be seen in the margin."""
        self.page.locator("#margin").get_by_text(text, exact=True).wait_for()

    def await_no_text(self, text: str) -> None:
        """Wait until this text is nowhere in the margin."""
        self.page.locator("#margin").get_by_text(text, exact=True).wait_for(state="detached")

    def await_people(self, count: int) -> None:
        """Wait until the bar says that this many people are here."""
        said = "1 person here" if count == 1 else f"{count} people here"
        self.page.locator(".count", has_text=re.compile(f"^{said}$")).wait_for()

    def await_link(self, state: str) -> None:
        """Wait for a state of the connection: connecting, live, offline or refused."""
        self.page.locator(f".link[data-link={state}]").wait_for()

    def strip(self) -> str:
        """What the strip under the bar says."""
        return self.page.locator("#strip").inner_text()

    def highlighted(self, name: str = "note") -> list[str]:
        """The passages painted with one of the page's highlights."""
        found: list[str] = self.page.evaluate(HIGHLIGHTED, name)
        return found

    def margin(self) -> list[tuple[str, list[str]]]:
        """Every thread as its quote and the texts of its comments, from top to bottom."""
        cards = self.page.locator(".card")
        return [
            (card.locator(".quote").inner_text(), card.locator(".body").all_inner_texts())
            for card in cards.all()
        ]

    def document(self) -> dict[str, dict[str, object]]:
        """The shared document of this window, as JSON."""
        found: dict[str, dict[str, object]] = self.page.evaluate("margin.doc.toJSON()")
        return found

    def screenshot(self, name: str) -> None:
        """Keep a picture of the window under tests/output."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def close(self) -> None:
        """Close all tabs of the window; no error if its browser is gone."""
        try:
            self.context.close()
        except Error as error:
            if "closed" not in str(error):
                raise
