"""What the Python peer raises: Refused and Offline tell of writes that did not reach the page.

Closes that must not be retried raise the RemoteFault of their close code (crdt_chat/errors.py).
"""

from collections.abc import Sequence

from crdt_chat.errors import CrdtChatError, RemoteFault
from crdt_chat.page.verdict import Json, Refusal


class Refused(CrdtChatError):
    """The rules of the page did not allow a write; it has been taken back here too.

    `key` is `root/name`, `rule` the rule's name in design 4, `reason` a sentence for people,
    `value` what was to be written (so that no text is lost), `refusals` all of them where there
    were several.
    """

    def __init__(
        self,
        key: str,
        rule: str,
        reason: str,
        *,
        value: Json = None,
        refusals: Sequence[Refusal] = (),
    ) -> None:
        self.key, self.rule, self.reason, self.value = key, rule, reason, value
        self.refusals = tuple(refusals) or (Refusal(key, rule, reason),)
        more = len(self.refusals) - 1
        super().__init__(f"{key}: {reason} ({rule})" + (f", and {more} more" if more else ""))


class Offline(CrdtChatError):
    """The server was not reached in time. What is unsaved is kept, and sent when it is back."""

    def __init__(self, unsaved: int, seconds: float) -> None:
        self.unsaved = unsaved
        plural = "change is" if unsaved == 1 else "changes are"
        what = f"{unsaved} {plural} not saved at the server yet" if unsaved else "no server answers"
        super().__init__(f"after {seconds:g} s {what}")


_FAULTS = {
    fault.close_code: fault
    for fault in RemoteFault.__subclasses__()
    if 4400 <= fault.close_code < 4500
}


def fault_of(close_code: int, reason: str) -> RemoteFault | None:
    """The error for a close code of 44xx (do not retry, design 5), None for one that is retried."""
    if not 4400 <= close_code < 4500:
        return None
    sentence = reason or f"the server closed the connection with code {close_code}"
    return _FAULTS.get(close_code, _FAULTS[4403])(sentence)
