"""From a JSON Web Token to a Grant and back (RFC 7519): nothing in a token is believed unverified.

Time is an argument: PyJWT would read the clock by itself, so `exp`, `nbf` and `iat` are judged
here. No message quotes a token.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from crdt_chat.errors import Unauthorized
from crdt_chat.identity import Grant, Role
from crdt_chat.page.layout import MAX_USER
from crdt_chat.server.access.keys import SERVER, TenantKey

TOKEN_LIMIT = 8_192
"""Characters of a token; a person's with fifty page patterns has about two thousand."""

CLOCK_SKEW_S = 30.0
"""How far the signer's clock may be ahead (`nbf`, `iat`). None for `exp`: it closes on time."""

PAGES_LIMIT, PATTERN_LIMIT = 100, 2_048
AVATAR_LIMIT, USER_LIMIT, NAME_LIMIT, JTI_LIMIT = 2_048, MAX_USER, 200, 100
"""Characters of the claims, and the number of page patterns."""

ANONYMOUS = "anon:"
"""User ids with this prefix are this server's own: no tenant's token may name one."""


def read(
    token: str, keys: Mapping[str, TenantKey], tenant: str, audience: str, now: float
) -> Grant:
    """What the token grants on `tenant`, if one of its `keys` (by key id) signed it.

    now is in seconds. Without a `kid` the token is taken only where there is a single key. Raises
    Unauthorized.
    """
    kid = kid_of(token)
    key = _only(keys) if kid is None else keys.get(kid)
    if key is None:
        raise Unauthorized("the token is not signed by a key of this tenant")
    claims = _verified(token, key, audience)
    if claims.get("tenant") != tenant:
        raise Unauthorized("the token is for another tenant")
    user = _user(claims)
    try:
        expires, issued = _check_times(claims, now)
    except Unauthorized as fault:
        fault.user = user
        raise
    if user.startswith(ANONYMOUS) and key.kid != SERVER:
        raise Unauthorized(f"no token may name a user that begins with {ANONYMOUS}")
    return Grant(
        tenant,
        user,
        _text(claims, "name", NAME_LIMIT) or user,
        _role(claims),
        _avatar(claims),
        _pages(claims),
        expires,
        issued,
        key.kid if key.kid != SERVER else _text(claims, "vouched", JTI_LIMIT) or SERVER,
        _text(claims, "jti", JTI_LIMIT),
    )


def kid_of(token: str) -> str | None:
    """The key id that the token names, not verified yet; None where it names none.

    Raises Unauthorized for what is no token.
    """
    if len(token) > TOKEN_LIMIT or not token.isascii() or token.count(".") != 2:
        raise Unauthorized("that is no token")
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        raise Unauthorized("that is no token") from None
    kid = header.get("kid", "") if isinstance(header, dict) else None
    if not isinstance(kid, str):
        raise Unauthorized("that is no token")
    return kid or None


def claims_of(grant: Grant, audience: str) -> dict[str, Any]:
    """The claims that `read` turns into this grant again; it must expire."""
    claims: dict[str, Any] = {
        "aud": audience,
        "tenant": grant.tenant,
        "sub": grant.user,
        "name": grant.name,
        "role": grant.role.name.lower(),
        "pages": list(grant.pages),
        "exp": grant.expires,
    }
    more = {"iat": grant.issued, "jti": grant.token, "avatar": grant.avatar}
    return claims | {name: value for name, value in more.items() if value is not None}


def sign(claims: Mapping[str, Any], key: TenantKey) -> str:
    """A token with these claims. Raises ValueError for a key that can only verify."""
    import jwt

    if not key.signs:
        raise ValueError(f"the key {key.kid!r} is a public one: it can only verify")
    return jwt.encode(dict(claims), key.parsed, algorithm=key.algorithm, headers={"kid": key.kid})


def _only(keys: Mapping[str, TenantKey]) -> TenantKey | None:
    return next(iter(keys.values())) if len(keys) == 1 else None


def _verified(token: str, key: TenantKey, audience: str) -> dict[str, Any]:
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.parsed,
            algorithms=[key.algorithm],
            audience=audience,
            options={
                "require": ["exp", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except jwt.InvalidAudienceError:
        raise Unauthorized("the token is for another audience") from None
    except jwt.MissingRequiredClaimError as error:
        raise Unauthorized(f"the token lacks the claim `{error.claim}`") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Unauthorized("the token is not signed by a key of this tenant") from None
    return claims


def _check_times(claims: Mapping[str, Any], now: float) -> tuple[float, float | None]:
    expires = _seconds(claims, "exp")
    if expires is None or expires <= now:
        raise Unauthorized("the token has expired")
    issued, begins = _seconds(claims, "iat"), _seconds(claims, "nbf")
    for moment in (issued, begins):
        if moment is not None and moment > now + CLOCK_SKEW_S:
            raise Unauthorized("the token is not valid yet")
    return expires, issued


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # json reads NaN and Infinity, and no comparison with NaN is ever true
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise Unauthorized(f"the token's claim `{name}` is no time in seconds")
    return float(value)


def _user(claims: Mapping[str, Any]) -> str:
    subject, user = _text(claims, "sub", USER_LIMIT), _text(claims, "user", USER_LIMIT)
    if subject and user and subject != user:
        raise Unauthorized("the token names two people: `sub` and `user` differ")
    found = user or subject
    if not found:
        raise Unauthorized("the token lacks the claim `sub`")
    return found


def _text(claims: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit or not is_clean(value):
        raise Unauthorized(f"the token's claim `{name}` is no text of at most {limit} characters")
    return value


def is_clean(text: str) -> bool:
    """Whether `text` has no control characters and no half of a surrogate pair."""
    return not any(
        character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"
        for character in text
    )


def _role(claims: Mapping[str, Any]) -> Role:
    """The least role where the claim is missing."""
    said = claims.get("role")
    if said is None:
        return Role.VIEWER
    try:
        return Role.parse(said) if isinstance(said, str) and said == said.lower() else _no_role()
    except ValueError:
        return _no_role()


def _no_role() -> Role:
    raise Unauthorized("the token's claim `role` names no role")


def _avatar(claims: Mapping[str, Any]) -> str | None:
    """Only a web address: any other scheme would be run or fetched by somebody else's browser."""
    said = _text(claims, "avatar", AVATAR_LIMIT)
    return said if said is not None and said.startswith(("https://", "http://")) else None


def _pages(claims: Mapping[str, Any]) -> tuple[str, ...]:
    said = claims.get("pages")
    patterns = [said] if isinstance(said, str) else said
    if patterns is None or patterns == []:
        raise Unauthorized("the token grants no page: it lacks the claim `pages`")
    if not isinstance(patterns, list) or len(patterns) > PAGES_LIMIT:
        raise Unauthorized(f"the token's claim `pages` is no list of at most {PAGES_LIMIT} globs")
    for pattern in patterns:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= PATTERN_LIMIT:
            raise Unauthorized("the token's claim `pages` is no list of globs")
    return tuple(patterns)
