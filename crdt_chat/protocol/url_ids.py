"""Names of pages as legacy clients spell them: cleaned urlIds, and the tokens of their sockets.

Every inbound urlId passes through `cleaned`; `/sub` takes every encoding that a published client
was seen to send: three encode the token once more, one falls back to the bare urlId.
"""

import base64
import binascii
import re
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

from crdt_chat.errors import Forbidden, Malformed
from crdt_chat.page.layout import MAX_USER

MAX_URL_ID = 2_048
"""Characters of a page name that a legacy client may give; encoded it still fits a request line."""

TRACKING = re.compile(
    r"utm_.*|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|twclid|ttclid|li_fat_id|igshid"
    r"|yclid|ysclid|mc_cid|mc_eid|mkt_tok|vero_id|vero_conv|oly_anon_id|oly_enc_id|_hsenc|_hsmi"
    r"|__hs(tc|sc|fp)|hsctatracking|_openstat|_ga|_gl|s_cid|wickedid|srsltid",
    re.IGNORECASE,
)
"""Query parameters that say where a reader came from, not what she reads."""

TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
USER_FEED = "__internal_profiles"
"""The pseudo tenant of the SDKs' notification feed: accepted, and silent."""

PAGE_MARK, USER_MARK = "p.", "u."


def cleaned(url_id: str) -> str:
    """The name of the page that this urlId means: a URL without its tracking parameters.

    Order, path, trailing slash and hash stay as they are; what is no http(s) URL stays whole.
    Idempotent. Raises Malformed where it is empty, too long or holds control characters.
    """
    if not url_id or len(url_id) > MAX_URL_ID:
        raise Malformed(f"urlId must have 1 to {MAX_URL_ID} characters")
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in url_id):
        raise Malformed("urlId must not hold control characters")
    if not _is_url(url_id):
        return url_id
    rest, mark, fragment = url_id.partition("#")
    base, question, query = rest.partition("?")
    if not question:
        return url_id
    kept = [part for part in query.split("&") if not _tracks(part)]
    query = f"?{'&'.join(kept)}" if kept and kept != [""] else ""
    return f"{base}{query}{mark}{fragment}"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme.lower() in {"http", "https"} and bool(parts.netloc)


def _tracks(part: str) -> bool:
    return TRACKING.fullmatch(unquote(part.partition("=")[0])) is not None


def page_token(tenant: str, page: str) -> str:
    """The urlIdWS of a page: unreserved characters only, encoding it again changes nothing."""
    return PAGE_MARK + _encode(f"{tenant}\n{page}")


def page_of(text: str, tenant: str, is_tenant: Callable[[str], bool]) -> str:
    """The page that a urlIdWS (percent-decoded once, as any query value) names on `tenant`.

    Takes our token, `tenant:urlId`, that encoded once or twice more, or a bare urlId. Raises
    Forbidden where it names another tenant, Malformed where it is no urlId at all.
    """
    for candidate in (text, unquote(text), unquote(unquote(text))):
        named = _named(candidate, tenant)
        if named is not None:
            owner, page = named
        else:
            owner, colon, page = candidate.partition(":")
            if not colon or not (owner == tenant or is_tenant(owner)):
                continue
        if owner != tenant:
            raise Forbidden("urlId belongs to another tenant than tenantIdWS")
        return cleaned(page)
    return cleaned(_bare(text))


def _named(text: str, tenant: str) -> tuple[str, str] | None:
    if not text.startswith(PAGE_MARK):
        return None
    owner, newline, page = (_decode(text[len(PAGE_MARK) :]) or "").partition("\n")
    return (owner, page) if newline and (owner == tenant or TENANT.match(owner)) else None


def _bare(text: str) -> str:
    """A bare urlId; a URL that somebody encoded once too often is decoded."""
    decoded = unquote(text)
    return decoded if not _is_url(text) and _is_url(decoded) else text


def user_token(user: str, name: str) -> str:
    """The userIdWS of a person on an open tenant, where anybody is believed: no secret is in it."""
    return USER_MARK + _encode(f"{user}\n{name}")


def user_of(token: str) -> tuple[str, str]:
    """(user id, name) behind a userIdWS; any other text, such as `anon`, is a visitor."""
    if token.startswith(USER_MARK):
        user, newline, name = (_decode(token[len(USER_MARK) :]) or "").partition("\n")
        if newline and 0 < len(user) <= MAX_USER:
            return user, name or user
    return f"anon:{quote(token, safe='')[:64]}", "Anonymous"


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(text: str) -> str | None:
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        return None
