"""What a person's browser loads: `/demo`, the front page `/`, and the files under `/static/`."""

import gzip
import hashlib
import html
import mimetypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crdt_chat.identity import PageKey

DEMO = PageKey("demo", "demo-article")
"""The page that the article of `/demo` is written on."""

OpenPages = Callable[[], Sequence[PageKey]]
"""The pages of open tenants, which anybody may know of; no others may be in it."""

SECURITY_HEADERS = {
    # no inline script or style anywhere; `'self'` covers the WebSocket of the same origin
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types lit-html"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
REVALIDATE = "no-cache"
"""Names carry no version, so browsers ask each time and are mostly answered with 304."""

WEEK = "public, max-age=604800"
LONGEST_LIST = 100
"""Pages the front page lists; a server may have millions."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file in memory, as it is and (text only, where that is shorter) gzipped."""

    body: bytes
    media_type: str
    etag: str
    zipped: bytes | None
    cache_control: str

    @classmethod
    def of(cls, name: str, body: bytes) -> "Asset":
        """The asset of a file of this name."""
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if name.endswith(".woff2"):
            return cls(body, "font/woff2", _etag(body), None, WEEK)
        # mtime=0: the same bytes on every start, so that the ETag stays true
        return cls(body, media_type, _etag(body), gzip.compress(body, mtime=0), REVALIDATE)

    def answer(self, request: Request) -> Response:
        """The file, or 304 where the browser has this version."""
        headers = SECURITY_HEADERS | {"etag": self.etag, "cache-control": self.cache_control}
        if self.zipped is not None:
            headers["vary"] = "accept-encoding"
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if self.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(self.zipped, media_type=self.media_type, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def routes(*, open_pages: OpenPages, demo: bool = True) -> list[Route]:
    """The routes for people.

    open_pages: asked for each front page, must not block. demo: whether the tenant of the demo
    article is open here; without it `/demo` is 404 and the front page does not mention it. Raises
    FileNotFoundError if the package lacks its built files.
    """
    assets = _assets()

    async def static(request: Request) -> Response:
        asset = assets.get(request.path_params["name"])
        if asset is None or asset.media_type == "text/html":
            return _not_found()
        return asset.answer(request)

    async def article(request: Request) -> Response:
        return assets["demo.html"].answer(request) if demo else _not_found()

    async def front(request: Request) -> Response:
        page = front_page(open_pages(), demo=demo)
        return Asset.of("index.html", page.encode()).answer(request)

    return [
        Route("/", front),
        Route("/demo", article),
        Route("/static/{name}", static),
    ]


def front_page(pages: Sequence[PageKey], *, demo: bool) -> str:
    """The HTML of `/`: what this is, where to try it, and which open pages there are."""
    template = (resources.files("crdt_chat") / "static" / "front.html").read_text("utf-8")
    invitation = '<p><a class="call" href="/demo">Write in the margin of an article</a></p>'
    rows = "".join(
        f"<li><code>{html.escape(_address(key))}</code></li>" for key in pages[:LONGEST_LIST]
    )
    more = len(pages) - LONGEST_LIST
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    listing = f"<ul>{rows}</ul>{rest}" if rows else "<p>Nobody has written on an open page yet.</p>"
    return template.replace("<!-- demo -->", invitation if demo else "").replace(
        "<!-- pages -->", listing
    )


def _address(key: PageKey) -> str:
    return f"/ws/{quote(key.tenant, safe='')}/{quote(key.page, safe='')}"


def _assets() -> dict[str, Asset]:
    found = {
        file.name: Asset.of(file.name, file.read_bytes())
        for file in (resources.files("crdt_chat") / "static").iterdir()
        if file.is_file()
    }
    missing = {"demo.html", "demo.css", "demo.js", "front.html"} - found.keys()
    if missing:
        raise FileNotFoundError(f"crdt_chat/static lacks {', '.join(sorted(missing))}")
    return found


def _etag(body: bytes) -> str:
    # weak: one tag for the plain and the gzipped form
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'


def _not_found() -> Response:
    return Response("There is no such page here.\n", 404, SECURITY_HEADERS, "text/plain")
