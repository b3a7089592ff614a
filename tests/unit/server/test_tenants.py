"""Tenants: those of the settings, those of the database, and key files that change."""

import json
import os
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from crdt_chat.config import BadSetting, Config, TenantSettings, load
from crdt_chat.identity import Role
from crdt_chat.server.access.keys import checked
from crdt_chat.server.access.tenants import BadTenant, TenantBody, Tenants, check_name
from store.tenants import TenantRow

SECRET = "a" * 40


def jwks(*names: str) -> str:
    keys = []
    for name in names:
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        keys.append({**jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True), "kid": name})
    return json.dumps({"keys": keys})


def test_a_settings_file_describes_a_closed_tenant(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(jwks("e1"))
    (tmp_path / "a.toml").write_text(
        f'[tenants.acme]\ndomains = ["a.example"]\nanonymous = "viewer"\njwks = "{path}"\n'
        f'keys.k1.secret = "{SECRET}"\npage.body = 5\n'
    )
    tenant = Tenants(load(environ={}, file=tmp_path / "a.toml")).find("acme")
    assert tenant is not None
    assert {kid: key.algorithm for kid, key in tenant.keys.items()} == {
        "k1": "HS256",
        "e1": "ES256",
    }
    assert (tenant.anonymous, tenant.settings.open, tenant.settings.page.body) == (
        Role.VIEWER,
        False,
        5,
    )
    assert SECRET not in repr(tenant)
    assert SECRET not in json.dumps(tenant.shown())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('keys.k1.secret = "short"', "32 bytes"),
        ('keys.k1.algorithm = "HS256"', "either a `secret` or a `public_key`"),
        ("keys.k1.secret = 7", "either a `secret`"),
        ("keys = 7", "is a table"),
        ('domains = ["not a domain"]', "no domain"),
        ('anonymous = "admin"', "one of"),
        ('jwks = "absent.json"', "cannot read absent.json"),
    ],
)
def test_a_tenant_that_cannot_be_is_told_by_its_name(tmp_path, text, sentence):
    (tmp_path / "a.toml").write_text(f"[tenants.acme]\n{text}\n")
    with pytest.raises(BadSetting, match=sentence) as refusal:
        Tenants(load(environ={}, file=tmp_path / "a.toml"))
    assert "acme" in str(refusal.value)


def test_a_key_file_that_changed_is_read_again_and_a_broken_one_is_not(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(jwks("e1"))
    tenants = Tenants(Config(tenants=(TenantSettings("acme", jwks=str(path)),)))
    before = tenants.key_files()
    path.write_text(jwks("e1", "e2"))
    os.utime(path, ns=(1, 1))
    assert tenants.key_files() != before
    tenants.reread()
    assert set(tenants.find("acme").keys) == {"e1", "e2"}
    path.write_text("{")
    with pytest.raises(BadSetting):
        tenants.reread()
    assert set(tenants.find("acme").keys) == {"e1", "e2"}
    path.unlink()
    assert tenants.key_files() == {str(path): 0}


def test_a_tenant_of_the_database_comes_and_goes():
    tenants = Tenants(Config())
    body = TenantBody().changed({"title": "A", "domains": ["a.example"], "page.body": 7})
    body = body.with_keys([checked("k1", "HS256", SECRET)])
    assert TenantBody.parse(body.text()) == body
    tenants.put("acme", body)
    found = tenants.find("acme")
    assert (found.settings.page.body, found.title, found.stored) == (7, "A", True)
    assert tenants.config.tenant("acme") == found.settings
    assert tenants.config.tenant_names() == ("acme",)
    tenants.drop("acme")
    assert tenants.find("acme") is None
    tenants.drop("acme")


def test_a_damaged_tenant_is_not_served_and_the_others_are(caplog):
    tenants = Tenants(Config())
    good = TenantBody().text()
    tenants.adopt([TenantRow("bad", None), TenantRow("worse", "{"), TenantRow("good", good)])
    assert tenants.config.tenant_names() == ("good",)
    assert caplog.text.count("not served") == 2


def test_the_settings_overrule_the_database(caplog):
    tenants = Tenants(Config(tenants=(TenantSettings("acme"),)))
    tenants.put("acme", TenantBody().changed({"open": True}))
    assert not tenants.find("acme").settings.open
    assert "overrule" in caplog.text


def test_a_flag_opens_a_tenant_of_the_database():
    tenants = Tenants(Config(open_tenants=("acme",)))
    tenants.put("acme", TenantBody().with_keys([checked("k1", "HS256", SECRET)]))
    assert tenants.find("acme").settings.open
    assert set(tenants.find("acme").keys) == {"k1"}


def test_a_setting_is_taken_back_by_nothing():
    body = TenantBody().changed({"domains": ["a.example"], "page.body": 7})
    assert body.changed({"domains": [], "page.body": None}).settings == {}


def test_keys_have_ids_of_their_own_and_an_end():
    body = TenantBody().with_keys([checked("k1", "HS256", SECRET)])
    with pytest.raises(BadTenant, match="already"):
        body.with_keys([checked("k1", "HS256", SECRET)])
    with pytest.raises(BadTenant, match="at most 20"):
        body.with_keys(replace(checked("k", "HS256", SECRET), kid=f"n{i}") for i in range(20))
    with pytest.raises(BadTenant, match="no key"):
        body.without_key("k2")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a:b",
        "a/b",
        "..",
        ".",
        "-a",
        "_a",
        "a b",
        "a%2Fb",
        "аcme",
        "a\x00",
        "a\n",
        "a" * 65,
        7,
        None,
    ],
)
def test_a_tenants_name_leaves_no_doubt(name):
    with pytest.raises(BadTenant):
        check_name(name)
