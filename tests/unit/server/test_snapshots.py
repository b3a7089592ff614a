"""When a page in use is written whole, in virtual time."""

import anyio
import pytest
from simnet.site import Site, at_a_site

from crdt_chat.server.rooms import snapshots


def test_a_page_in_use_is_written_whole_again_once_its_log_has_three_quarters_as_many_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "ROWS", 10)

    async def story(site: Site) -> None:
        await site.joined()
        for number in range(40):
            await site.write(f"a{number}")
        await anyio.sleep(3.0)
        assert site.room.snapshot_seq == 40
        for number in range(116):
            await site.write(f"b{number}")
        await anyio.sleep(3.0)
        assert site.room.snapshot_seq == 40
        await site.write("c")
        await anyio.sleep(3.0)
        assert site.room.snapshot_seq == 157

    at_a_site(story)
