"""What can go wrong in the store, each with the sentence an operator needs."""


class StoreError(Exception):
    """Base of every error the store raises on purpose."""


class Closed(StoreError):
    """The store was closed, or its writer thread has ended: nothing more is written."""


class Locked(StoreError):
    """Another process has this file open for writing. `pid` is that process, None if unreadable."""

    def __init__(self, path: str, pid: int | None) -> None:
        owner = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{path} is in use by {owner}: one process writes a file")
        self.path = path
        self.pid = pid


class NotAStore(StoreError):
    """The file exists but is no store of ours; it is left as it is."""


class SchemaMismatch(StoreError):
    """The file has a schema version this program cannot use; it is left as it is."""


class Damaged(StoreError):
    """The file itself cannot be trusted or read at all."""


class Unavailable(StoreError):
    """The disk did not do what was asked (full, I/O error, busy): it may do it later."""


class Quarantined(StoreError):
    """One page's rows do not verify: it is not served, all others are.

    Raised instead of an empty or partial page: a damaged page is never "not found, start empty".
    """

    def __init__(self, tenant: str, page: str, reason: str) -> None:
        super().__init__(f"page {page!r} of tenant {tenant!r} is damaged: {reason}")
        self.tenant = tenant
        self.page = page
        self.reason = reason
