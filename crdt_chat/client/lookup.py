"""Which note is meant: by object, by id, or by the beginning of an id that fits one note only."""

from collections.abc import Iterable

from crdt_chat.client.mirror import Mirror
from crdt_chat.client.model import Annotation, Comment
from crdt_chat.errors import CrdtChatError


class NoSuchNote(CrdtChatError, LookupError):
    """There is no such annotation or comment here (any more), or the beginning fits several."""


def find_annotation(mirror: Mirror, which: Annotation | str) -> Annotation:
    """The annotation as it is now. Raises NoSuchNote."""
    wanted = which.id if isinstance(which, Annotation) else which
    found = mirror.annotation(wanted)
    if found is None and wanted:
        names = (name for name in mirror.roots["annotations"] if name.startswith(wanted))
        only = _only(names, wanted)
        found = mirror.annotation(only) if only is not None else None
    if found is None:
        raise NoSuchNote(f"no annotation {wanted!r} on this page")
    return found


def find_comment(mirror: Mirror, which: Comment | str) -> Comment:
    """The comment as it is now; a text is its id or `<annotation id>/<comment id>`.

    Raises NoSuchNote.
    """
    wanted = which.name if isinstance(which, Comment) else which
    names = (
        name
        for name in mirror.roots["comments"]
        if wanted and (name.startswith(wanted) or name.partition("/")[2].startswith(wanted))
    )
    name = wanted if wanted in mirror.roots["comments"] else _only(names, wanted)
    thread = mirror.annotation(name.partition("/")[0]) if name is not None else None
    for comment in thread.comments if thread is not None else ():
        if comment.name == name:
            return comment
    raise NoSuchNote(f"no comment {wanted!r} on this page")


def find_either(mirror: Mirror, which: Annotation | Comment | str) -> Annotation | Comment:
    """An annotation or else a comment. Raises NoSuchNote."""
    if isinstance(which, Comment):
        return find_comment(mirror, which)
    try:
        return find_annotation(mirror, which)
    except NoSuchNote:
        if isinstance(which, str) and (which in mirror.roots["comments"] or "/" not in which):
            return find_comment(mirror, which)
        raise


def entity_named(mirror: Mirror, which: Annotation | Comment | str) -> str:
    """The name of a note for the server; a text that names none here may be hidden or deleted."""
    try:
        note = find_either(mirror, which)
    except NoSuchNote:
        if not isinstance(which, str):
            raise
        return which
    return note.name if isinstance(note, Comment) else note.id


def _only(names: Iterable[str], wanted: str) -> str | None:
    found = list(names)
    if len(found) > 1:
        raise NoSuchNote(f"{wanted!r} is the beginning of {len(found)} notes")
    return found[0] if found else None
