"""Promise 4 through real sockets: hostile inputs of every role, an honest person on the same page."""

from pathlib import Path

import pytest
from hostile.sockets import Seen, besiege
from server import running_server
from trusted import SETTINGS

from crdt_chat.identity import Role

pytestmark = pytest.mark.timeout(300)


def test_hostile_inputs_harm_nobody_on_the_page(tmp_path: Path) -> None:
    """`bench/fuzz.py --sockets` plays more of them. The server's log must hold no traceback."""
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS, "utf-8")
    seen = Seen()
    arguments = ["--config", str(settings), "--limits", "off"]
    with running_server(tmp_path, tenants=(), arguments=arguments) as server:
        besiege(server, 7, 1_500, seen)
    assert seen.counts["closed with 4400"] > 20, seen.counts
    assert all(seen.counts[f"as {role.name.lower()}"] for role in Role)
    assert seen.waits
