"""Names of entries: exactly the allowed ones, users encoded as encodeURIComponent does."""

import pytest

from crdt_chat.page import layout

GOOD = [
    ("annotations", "a"),
    ("annotations", "018f-A.b_c:d"),
    ("annotations", "a" * 64),
    ("annotations", "pages"),
    ("comments", "a/page"),
    ("resolved", "a"),
    ("closed", "page"),
    ("closed", "a"),
    ("page", "title"),
    ("deleted", "a/ada"),
    ("deleted", "a/c/auth0%7C7"),
    ("deleted", "a/c/%65da"),
    ("reactions", "a/c/👍/o'neil%20(x)"),
    ("reactions", "a/c/👍🏽/ada"),
    ("reactions", "a/c/❤️/ada"),
    ("reactions", "a/c/👩‍👩‍👧‍👦/ada"),
    ("reactions", "a/c/🇩🇪/ada"),
    ("reactions", "a/c/1️⃣/ada"),
    ("reactions", "a/c/🏴󠁧󠁢󠁥󠁮󠁧󠁿/ada"),
    ("reactions", "a/c/✔/ada"),
]
BAD = [
    ("annotations", ""),
    ("annotations", "page"),
    ("annotations", "-a"),
    ("annotations", "a" * 65),
    ("annotations", "a\n"),
    ("annotations", "ä"),
    ("annotations", "__proto__"),
    ("annotations", "a/b"),
    ("comments", "a"),
    ("comments", "a/b/c"),
    ("comments", "page/c"),
    ("comments", "a/"),
    ("resolved", "page"),
    ("closed", "a/b"),
    ("page", "x"),
    ("deleted", "a"),
    ("deleted", "a/b/c/d"),
    ("deleted", "a//x"),
    ("deleted", "a/%0A"),
    ("deleted", "a/%ff"),
    ("deleted", "a/%zz"),
    ("deleted", "a/a b"),
    ("deleted", "a/" + "x" * 256),
    ("reactions", "a/c/x/ada"),
    ("reactions", "a/c/👍👍/ada"),
    ("reactions", "a/c/👍x/ada"),
    ("reactions", "a/c//ada"),
    ("reactions", "a/c/👍/"),
    ("reactions", "a/c/👍/ada\n"),
    ("reactions", "a/c/" + "👩‍" * 5 + "👩/ada"),
]


@pytest.mark.parametrize(("root", "name"), GOOD)
def test_good_names(root: str, name: str) -> None:
    assert layout.is_name(root, name)


@pytest.mark.parametrize(("root", "name"), BAD)
def test_bad_names(root: str, name: str) -> None:
    assert not layout.is_name(root, name)


@pytest.mark.parametrize(
    ("user", "encoded"),
    [
        ("ada@example.org", "ada%40example.org"),
        ("auth0|7", "auth0%7C7"),
        ("o'neil (x)", "o'neil%20(x)"),
        ("a-_.!~*'()Z9", "a-_.!~*'()Z9"),
        ("Ада", "%D0%90%D0%B4%D0%B0"),
        ("a/b%", "a%2Fb%25"),
        ("👍", "%F0%9F%91%8D"),
    ],
)
def test_users_as_encode_uri_component(user: str, encoded: str) -> None:
    assert layout.encode_user(user) == encoded
    assert layout.decode_user(encoded) == user
    assert layout.is_name("deleted", layout.deleted_name("a/c", user))
    assert layout.is_name("reactions", layout.reaction_name("a/c", "👍", user))


def test_users() -> None:
    assert layout.is_user("x" * 255)
    for bad in ("", "x" * 256, "a\x00", "a\n", "a\x7f", "a\x85"):
        assert not layout.is_user(bad)


def test_parts_of_names() -> None:
    assert layout.entity_of("deleted", "a/c/u") == "a/c"
    assert layout.entity_of("deleted", "a/u") == "a"
    assert layout.entity_of("reactions", "a/c/👍/u") == "a/c"
    assert layout.entity_of("comments", "a/c") == "a/c"
    assert layout.annotation_of("a/c/👍/u") == "a"
    assert layout.user_of("a/c/👍/u") == "u"
    assert layout.is_entity("a/c")
    assert not layout.is_entity("page/c")
