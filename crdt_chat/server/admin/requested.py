"""What an administrator asked for, as JSON said it: parsed into small types, or a sentence why not."""

import json
from collections.abc import Mapping

from crdt_chat.errors import Malformed
from crdt_chat.identity import Grant, Role
from crdt_chat.server.access.keys import BadKey, TenantKey, checked, keys_of_jwks
from crdt_chat.server.access.revocations import KINDS
from crdt_chat.server.access.tokens import ANONYMOUS, NAME_LIMIT, USER_LIMIT, is_clean
from store.tenants import AuditWanted, RevocationRow

TOKEN_S, LONGEST_TOKEN_S = 3_600, 366 * 24 * 3_600
"""Seconds that a token lasts which is made here: default and most."""

REASON_LIMIT, SUBJECT_LIMIT = 200, 255

AUDIT_ROWS = 1_000
"""Entries of the audit log in one answer, at most; a hundred where nobody says how many."""


def wanted_grant(tenant: str, said: Mapping[str, object], token_id: str, now: int) -> Grant:
    """The grant of a token to make; now is in seconds. Raises Malformed."""
    _only(said, "user", "name", "role", "pages", "seconds", "avatar")
    user, pages = said.get("user"), said.get("pages")
    name, avatar = said.get("name") or user, said.get("avatar")
    if not is_text(user, USER_LIMIT):
        raise Malformed("`user` has 1 to 255 characters, none of them control characters")
    if str(user).startswith(ANONYMOUS):
        raise Malformed(f"a `user` that begins with {ANONYMOUS} is a visitor without a token")
    if not is_text(name, NAME_LIMIT) or not (avatar is None or is_text(avatar, 2_048)):
        raise Malformed("`name` has at most 200 characters, `avatar` is a web address")
    if not isinstance(pages, list) or not pages or not all(is_text(p, 2_048) for p in pages):
        raise Malformed('`pages` is a list of globs, at least one; ["*"] for all pages')
    return Grant(
        tenant,
        str(user),
        str(name),
        wanted_role(said.get("role", "editor")),
        None if avatar is None else str(avatar),
        tuple(pages),
        now + _lifetime(said),
        now,
        None,
        token_id,
    )


def wanted_revocation(tenant: str, said: Mapping[str, object], now: int) -> RevocationRow:
    """The revocation of a `token`, a `user` or all of the tenant; now is in ms. Raises Malformed."""
    _only(said, "token", "user", "tenant", "reason", "until")
    kinds = [kind for kind in KINDS if said.get(kind)]
    subject = said.get(kinds[0]) if len(kinds) == 1 else None
    if subject is not True if kinds == ["tenant"] else not is_text(subject, SUBJECT_LIMIT):
        raise Malformed('revoke either a `token` (its id), a `user`, or `"tenant": true`')
    reason, until = said.get("reason", ""), said.get("until")
    if not (reason == "" or is_text(reason, REASON_LIMIT)) or not _is_time(until):
        raise Malformed("`reason` is a short text on one line, `until` a time in seconds")
    end = int(until * 1000) if isinstance(until, int | float) else None
    named = tenant if kinds == ["tenant"] else str(subject)
    return RevocationRow(tenant, kinds[0], named, now, end, str(reason))


def public(wanted: Mapping[str, object]) -> dict[str, object]:
    """What the audit log may keep of it: that a secret was set, not which."""
    return {name: bool(v) if "secret" in name else v for name, v in wanted.items()}


def wanted_keys(said: Mapping[str, object]) -> list[TenantKey]:
    """The keys to add: `id`, `algorithm` and `secret` or `public_key`; or a `jwks`. Raises Malformed."""
    _only(said, "id", "algorithm", "secret", "public_key", "jwks")
    try:
        if "jwks" in said:
            return list(keys_of_jwks(json.dumps(said["jwks"])).values())
        material = [said[name] for name in ("secret", "public_key") if name in said]
        kid, algorithm = said.get("id"), said.get("algorithm", "HS256")
        if len(material) == 1 and all(isinstance(it, str) for it in (kid, algorithm, material[0])):
            return [checked(str(kid), str(algorithm), str(material[0]))]
    except BadKey as error:
        raise Malformed(str(error)) from None
    raise Malformed("a key has an `id`, an `algorithm` and a `secret` or a `public_key`")


def wanted_audit(said: Mapping[str, str]) -> AuditWanted:
    """The entries of the audit log that a query asks for. Raises Malformed."""
    _only(said, "after", "limit", "action", "user", "newest")
    newest = said.get("newest", "false")
    if newest not in ("true", "false"):
        raise Malformed("`newest` is true or false")
    limit = max(1, min(_count(said, "limit", 100), AUDIT_ROWS))
    user = said.get("user") or None
    return AuditWanted(
        _count(said, "after", 0), limit, said.get("action", ""), user, newest == "true"
    )


def _only(said: Mapping[str, object], *known: str) -> None:
    for name in said:
        if name not in known:
            raise Malformed(f"`{name[:50]}` is unknown here: {', '.join(known)}")


def is_text(value: object, limit: int) -> bool:
    """Whether it is text of 1 to `limit` characters that can be shown."""
    return isinstance(value, str) and 0 < len(value) <= limit and is_clean(value)


def _is_time(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and 0 < value < 2**53)  # type: ignore[operator]  # a number


def wanted_role(said: object) -> Role:
    """The role of this name. Raises Malformed."""
    try:
        return Role.parse(str(said))
    except ValueError:
        names = ", ".join(role.name.lower() for role in Role)
        raise Malformed(f"`role` is one of {names}") from None


def _lifetime(said: Mapping[str, object]) -> int:
    seconds = said.get("seconds", TOKEN_S)
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise Malformed("`seconds` is a whole number")
    if not 0 < seconds <= LONGEST_TOKEN_S:
        raise Malformed(f"`seconds` is 1 to {LONGEST_TOKEN_S:,}")
    return seconds


def _count(said: Mapping[str, str], name: str, default: int) -> int:
    text = said.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise Malformed(f"`{name}` is a whole number")
    return int(text)
