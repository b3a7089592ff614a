"""How legacy clients spell a page, and which page they mean."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_chat.errors import Forbidden, Malformed
from crdt_chat.protocol import url_ids


def known(name: str) -> bool:
    return name in {"demo", "other"}


@pytest.mark.parametrize(
    ("url_id", "page"),
    [
        ("my-article", "my-article"),
        ("my article?utm_source=x", "my article?utm_source=x"),
        ("https://a.example/p/?utm_source=x&b=1&gclid=2#part", "https://a.example/p/?b=1#part"),
        ("https://a.example/p?b=2&a=1&fbclid=9", "https://a.example/p?b=2&a=1"),
        ("https://a.example/?UTM_Campaign=x", "https://a.example/"),
        ("https://a.example/p/", "https://a.example/p/"),
        ("https://a.example/p#?utm_source=x", "https://a.example/p#?utm_source=x"),
        ("HTTP://a.example/?q=%20&mc_cid=1", "HTTP://a.example/?q=%20"),
        ("https://[bad", "https://[bad"),
    ],
)
def test_tracking_parameters_do_not_make_another_page(url_id: str, page: str) -> None:
    assert url_ids.cleaned(url_id) == page
    assert url_ids.cleaned(page) == page


@pytest.mark.parametrize("url_id", ["", "a\nb", "x" * 2_049, "\ud800"])
def test_what_is_no_page_name_is_malformed(url_id: str) -> None:
    with pytest.raises(Malformed):
        url_ids.cleaned(url_id)


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1))
def test_cleaning_twice_changes_nothing(tail: str) -> None:
    once = url_ids.cleaned(f"https://a.example/{tail}")
    assert url_ids.cleaned(once) == once


@pytest.mark.parametrize(
    "page", ["my-page", "https://a.example/p?b=1#x", "100%25", "a:b", "demo:a", "日本 {x}", "p.x"]
)
@pytest.mark.parametrize("encodings", [0, 1, 2])
def test_a_token_names_its_page_however_often_it_is_encoded(page: str, encodings: int) -> None:
    text = url_ids.page_token("demo", page)
    for _ in range(encodings):
        text = quote(text, safe="")
    assert url_ids.page_of(unquote(text), "demo", known) == page


@pytest.mark.parametrize("page", ["my-page", "https://a.example/p?b=1#x", "a:b", "日本"])
@pytest.mark.parametrize("encodings", [1, 2, 3])
def test_tenant_and_url_id_are_taken_in_every_encoding(page: str, encodings: int) -> None:
    text = f"demo:{page}"
    for _ in range(encodings):
        text = quote(text, safe="")
    assert url_ids.page_of(unquote(text), "demo", known) == page


@pytest.mark.parametrize("page", ["my-page", "https://a.example/p?b=1", "https://a.example/a%20b"])
def test_a_bare_url_id_is_taken(page: str) -> None:
    assert url_ids.page_of(page, "demo", known) == page
    assert url_ids.page_of(f"{page}", "demo", known) == page


def test_a_bare_url_encoded_once_too_often_is_decoded() -> None:
    text = "https%3A%2F%2Fa.example%2F%3Futm_source%3Dx"
    assert url_ids.page_of(text, "demo", known) == "https://a.example/"


@pytest.mark.parametrize(
    "text", [url_ids.page_token("other", "p"), "other:p", "other%3Ap", "other%253Ap"]
)
def test_another_tenants_page_is_refused(text: str) -> None:
    with pytest.raises(Forbidden):
        url_ids.page_of(text, "demo", known)


def test_tokens_hold_unreserved_characters_only() -> None:
    for token in (url_ids.page_token("demo", "ß/%?&"), url_ids.user_token("a|7", "Ä b")):
        assert quote(token, safe="") == token


@pytest.mark.parametrize(("user", "name"), [("ada@example.org", "Ada"), ("auth0|7", "")])
def test_a_user_token_names_its_user(user: str, name: str) -> None:
    assert url_ids.user_of(url_ids.user_token(user, name)) == (user, name or user)


@pytest.mark.parametrize("token", ["anon", "pingtest", "u.", "u.!!", "x" * 5_000, "日本"])
def test_any_other_user_token_is_a_visitor(token: str) -> None:
    user, _ = url_ids.user_of(token)
    assert user.startswith("anon:")
    assert len(user) <= url_ids.MAX_USER
