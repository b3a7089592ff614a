"""What tests of closed tenants say and hear as visitors."""

import httpx
from entries import annotation, fresh
from raw_client import RawClient
from trusted import TrustedServer, token


def hello(client: RawClient) -> dict:
    """The server's first words."""
    while not client.controls:
        client.read()
    return client.controls[0]


def control(client: RawClient, kind: str) -> dict:
    """Read until a control frame of this kind has come."""
    while not (client.controls and client.controls[-1]["type"] == kind):
        client.read()
    return client.controls[-1]


def annotate(client: RawClient, user: str) -> str:
    name = fresh("a")
    client.write(("annotations", name, annotation(user)))
    return name


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def ticket(server: TrustedServer, page: str | None = None, *, user: str = "ada") -> str:
    answer = httpx.post(
        f"{server.http}/api/v1/tickets?tenant=acme",
        headers=bearer(token(user=user)),
        json={} if page is None else {"page": page},
    )
    assert answer.status_code == 201
    assert answer.json()["seconds"] <= 30
    return answer.json()["ticket"]
