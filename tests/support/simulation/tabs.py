"""One browser tab, or one Python client: a replica, the person before it, and her connection."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crdt_chat.identity import Grant

from .network import Connection, Message
from .replicas import Replica


@dataclass(slots=True, eq=False)
class Tab:
    """What one client program holds.

    believed: the grant as this tab knows it (a role lost while offline is not known). browser: tabs
    with the same number hear each other without the server. attacker: may be made to do what is
    forbidden. stubborn: comes back with its old replica after a reset. own_rules: one of our clients
    (re-submits after a reset, keeps undo away from deletions). The other flags say what has happened
    here that may explain a refusal later.
    """

    name: str
    replica: Replica
    believed: Grant
    browser: int
    attacker: bool = False
    own_rules: bool = True
    can_undo: bool = False
    stubborn: bool = False
    connection: Connection | None = None
    undid: bool = False
    demoted: bool = False
    restored: bool = False
    shared: bool = False
    wants_reset: bool = False
    sent: list[Message] = field(default_factory=list)

    @property
    def user(self) -> str:
        """Whose tab it is."""
        return self.believed.user

    def connect(self, connection: Connection) -> None:
        """As y-websocket on open: step 1, then the awareness that announces the client id."""
        self.connection = connection
        self.believed = connection.grant
        connection.to_server.append(Message("step1", self.replica.state_vector()))
        connection.to_server.append(Message("announce", client=self.replica.client))

    def send(self, updates: Sequence[bytes]) -> None:
        """What the provider does with local changes: nothing at all while offline."""
        if self.connection is None:
            return
        for update in updates:
            message = Message("update", update)
            self.sent.append(message)
            self.connection.to_server.append(message)

    def take(self) -> str | None:
        """Handle the next frame from the server; returns "reset" or "close" if that is what it was."""
        assert self.connection is not None
        message = self.connection.to_tab.popleft()
        if message.kind in ("reset", "close"):
            return message.kind
        if message.kind == "step1":
            answer = Message("step2", self.replica.step2(message.body))
            self.connection.to_server.append(answer)
        else:
            self.send(self.replica.receive(message.body))
        return None
