"""Rows beside the pages: how the verbs of such tables run their SQL, in the file or in memory."""

import sqlite3
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, TypeAlias, TypeVar

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], T]
Run: TypeAlias = Callable[[Work[object]], Awaitable[object]]


class BesideTables:
    """Tables of one kind. write runs its argument alone where it may write, read anywhere.

    statements make the tables; a migration runs them in a file.
    """

    statements: ClassVar[Sequence[str]] = ()

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write

    async def _reading(self, work: Work[T]) -> T:
        return await self._read(work)  # type: ignore[return-value]  # what work returns

    async def _writing(self, work: Work[T]) -> T:
        """Run `work` in one transaction: all of it is durable, or nothing."""

        def transaction(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            value = work(db)
            db.execute("COMMIT")
            return value

        return await self._write(transaction)  # type: ignore[return-value]  # what work returns


def in_memory(*kinds: type[BesideTables]) -> Run:
    """What runs the verbs of these tables on a database that nothing outlives, for the store in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for kind in kinds:
        for statement in kind.statements:
            db.execute(statement)

    async def run(work: Work[object]) -> object:
        try:
            return work(db)
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    weakref.finalize(run, db.close)
    return run
