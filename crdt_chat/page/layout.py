"""Where things stand in the page document: the seven root maps and the names of their entries (design 3).

| root        | name of an entry                                                            |
|-------------|-----------------------------------------------------------------------------|
| annotations | annotation id                                                               |
| comments    | `<annotation id>/<comment id>`                                              |
| resolved    | annotation id                                                               |
| reactions   | `<annotation id>/<comment id>/<emoji>/<user id>`                            |
| deleted     | `<annotation id>/<user id>` or `<annotation id>/<comment id>/<user id>`     |
| closed      | annotation id, or `page`                                                    |
| page        | `title`                                                                     |

User ids stand in names as JavaScript's encodeURIComponent writes them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import quote, unquote_to_bytes

Root: TypeAlias = Literal[
    "annotations", "comments", "resolved", "reactions", "deleted", "closed", "page"
]
ROOTS: Final[tuple[Root, ...]] = get_args(Root)

PAGE: Final = "page"
"""The name in `closed` that stands for the whole page; therefore never an annotation id."""

_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
_ANNOTATION: Final = rf"(?!page(?:/|\Z)){_ID}"
_USER: Final = r"(?:[A-Za-z0-9_.!~*'()-]|%[0-9A-Fa-f]{2})+"
_PICTURE: Final = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf"
    "\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_TONE: Final = "\ufe0f?[\U0001f3fb-\U0001f3ff]?\ufe0f?"
_EMOJI: Final = (
    "(?:[\U0001f1e6-\U0001f1ff]{2}"
    "|[0-9#*]\ufe0f?\u20e3"
    f"|{_PICTURE}{_TONE}(?:\u200d{_PICTURE}{_TONE})*[\U000e0020-\U000e007e]*\U000e007f?)"
)
MAX_EMOJI_BYTES: Final = 32
MAX_USER: Final = 255

_ENTITY: Final = re.compile(rf"{_ANNOTATION}(?:/{_ID})?\Z")
_NAMES: Final[Mapping[str, re.Pattern[str]]] = {
    "annotations": re.compile(rf"{_ANNOTATION}\Z"),
    "comments": re.compile(rf"{_ANNOTATION}/{_ID}\Z"),
    "resolved": re.compile(rf"{_ANNOTATION}\Z"),
    "reactions": re.compile(rf"{_ANNOTATION}/{_ID}/{_EMOJI}/{_USER}\Z"),
    "deleted": re.compile(rf"{_ANNOTATION}(?:/{_ID})?/{_USER}\Z"),
    "closed": re.compile(rf"(?:page|{_ANNOTATION})\Z"),
    "page": re.compile(r"title\Z"),
}
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_COMMENT_ID: Final = re.compile(rf"{_ID}\Z")


def is_root(root: str) -> bool:
    """Whether the document of schema 1 has this root map."""
    return root in _NAMES


def is_name(root: str, name: str) -> bool:
    """Whether an entry of this root may have this name; `root` must be one of ROOTS."""
    if not _NAMES[root].match(name):
        return False
    if root == "reactions":
        _, _, emoji, user = name.split("/")
        return len(emoji.encode()) <= MAX_EMOJI_BYTES and _is_encoded_user(user)
    return root != "deleted" or _is_encoded_user(name.rsplit("/", 1)[1])


def is_comment_id(text: str) -> bool:
    """Whether this may be the id of a comment within its annotation."""
    return _COMMENT_ID.match(text) is not None


def is_entity(name: str) -> bool:
    """Whether this is the name of an annotation or of a comment."""
    return _ENTITY.match(name) is not None


def is_user(user: str) -> bool:
    """Whether this may be a user id: 1 to 255 characters, no control characters (design 3)."""
    return 0 < len(user) <= MAX_USER and (user.isprintable() or _CONTROL.search(user) is None)


def _is_encoded_user(part: str) -> bool:
    try:
        return is_user(unquote_to_bytes(part).decode())
    except UnicodeDecodeError:
        return False


@lru_cache(maxsize=4096)
def encode_user(user: str) -> str:
    """A user id as it stands inside a name: exactly what encodeURIComponent gives."""
    return quote(user, safe="!~*'()")


def decode_user(part: str) -> str:
    """The user id whose encoded form this is. Raises UnicodeDecodeError for other bytes."""
    return unquote_to_bytes(part).decode()


def annotation_of(name: str) -> str:
    """The annotation that an entry with this name belongs to (of `page`: "page" itself)."""
    return name.partition("/")[0]


def entity_of(root: str, name: str) -> str:
    """The annotation or comment that this entry is, or is a fact about."""
    if root == "reactions":
        return name.rsplit("/", 2)[0]
    if root == "deleted":
        return name.rsplit("/", 1)[0]
    return name


def user_of(name: str) -> str:
    """The encoded user id at the end of a name in `reactions` or `deleted`."""
    return name.rpartition("/")[2]


def deleted_name(entity: str, user: str) -> str:
    """The name in `deleted` under which `user` deletes an annotation or comment."""
    return f"{entity}/{encode_user(user)}"


def reaction_name(comment: str, emoji: str, user: str) -> str:
    """The name of `user`'s reaction to a comment; `comment` is the comment's name."""
    return f"{comment}/{emoji}/{encode_user(user)}"
