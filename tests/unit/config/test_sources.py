"""Settings: who wins, what is refused, and that the sentence helps."""

import math
from pathlib import Path

import pytest

from crdt_chat.config import BadSetting, Config, load, settings


@pytest.fixture
def write(tmp_path: Path):
    def write_text(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text, "utf-8")
        return path

    return write_text


def refusal(**arguments) -> str:
    with pytest.raises(BadSetting) as caught:
        load(**{"environ": {}, **arguments})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_given_is_every_default():
    assert load(environ={}) == Config()


def test_a_flag_beats_the_environment_which_beats_the_file(write):
    path = write("port = 1\nhost = 'a'\nlog_level = 'error'")
    config = load({"port": "3"}, {"CRDT_CHAT_PORT": "2", "CRDT_CHAT_HOST": "b"}, path)
    assert (config.port, config.host, config.log_level) == (3, "b", "error")


def test_a_flag_that_was_not_given_changes_nothing():
    assert load({"port": None}, {"CRDT_CHAT_PORT": "2"}).port == 2


def test_the_environment_may_name_the_file(write):
    path = write("port = 9")
    assert load(environ={"CRDT_CHAT_CONFIG": str(path)}).port == 9


def test_every_setting_can_be_given_by_flag_environment_and_file(write):
    samples = {bool: "true", int: "7", float: "7.5", str: "text", Path: "p.db", tuple: "a,b"}
    for setting in settings():
        text = setting.choices[0] if setting.choices else samples[setting.kind]
        env = {setting.env: "off" if setting.name == "limits_off" else text}
        by_flag, by_env = load({setting.name: text}, {}), load(environ=env)
        assert by_flag == by_env != Config(), setting.name
        quoted = text if setting.kind in (bool, int, float) else f'"{text}"'
        assert load(environ={}, file=write(f"{setting.name} = {quoted}")) == by_flag, setting.name


def test_every_setting_says_what_it_is_for():
    for setting in settings():
        assert setting.unit, setting.name
        assert setting.about not in ("", setting.name.rpartition(".")[2]), setting.name


def test_sizes_may_have_a_unit():
    limits = load({"limits.frame_bytes": "2 MiB", "limits.outbox_bytes": "512KiB"}, {}).limits
    assert (limits.frame_bytes, limits.outbox_bytes) == (2 * 1024**2, 512 * 1024)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"environ": {"CRDT_CHAT_PROT": "1"}},
            "CRDT_CHAT_PROT is unknown; did you mean CRDT_CHAT_PORT?",
        ),
        (
            {"environ": {"CRDT_CHAT_PORT": "x"}},
            "CRDT_CHAT_PORT must be a whole number, 0 or more, not 'x'",
        ),
        ({"flags": {"port": "70000"}}, "--port must be a port from 0 to 65535, not '70000'"),
        (
            {"flags": {"limits.frame_bites": "1"}},
            "limits.frame_bites is unknown; did you mean limits.frame_bytes?",
        ),
        (
            {"flags": {"limits.frame_bytes": "1 parsec"}},
            "for instance 1048576 or 1MiB, not '1 parsec'",
        ),
        ({"flags": {"limits.ping_s": "nan"}}, "must be a number, 0 or more, not 'nan'"),
        (
            {"flags": {"log_level": "loud"}},
            "--log-level must be one of debug, info, warning, error, not 'loud'",
        ),
        (
            {"environ": {"CRDT_CHAT_LIMITS": "none"}},
            "CRDT_CHAT_LIMITS must be on or off, not 'none'",
        ),
        ({"file": Path("absent.toml")}, "cannot read the settings file absent.toml"),
    ],
)
def test_a_mistake_gets_one_sentence_that_helps(arguments, expected):
    assert expected in refusal(**arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot = 1", "prot is unknown; did you mean port?"),
        ("port = true", "port must be a whole number"),
        ("limits = 'off'", "limits is a table: write [limits]"),
        ("[limits]\nping = 1", "limits.ping is unknown; did you mean limits.ping_s?"),
        ("[tenants.acme]\nport = 1", "tenants.acme.port is unknown"),
        (
            "[tenants.acme.page]\nbodi = 1",
            "tenants.acme.page.bodi is unknown; did you mean page.body?",
        ),
        ("tenants = 1", "tenants is a table"),
        ("port =", "is not TOML"),
    ],
)
def test_a_mistake_in_the_file_names_file_and_setting(write, text, expected):
    message = refusal(file=write(text))
    assert "settings.toml" in message
    assert expected in message


def test_a_tenant_overrides_what_is_per_tenant_and_inherits_the_rest(write):
    path = write(
        "open_tenants = ['lab']\n[page]\nbody = 50\nquote = 60\n[limits]\noperations_per_s = 5\n"
        "[tenants.acme]\nopen = true\noperations_burst = 9\n[tenants.acme.page]\nbody = 70"
    )
    config = load(environ={}, file=path)
    acme, lab = config.tenant("acme"), config.tenant("lab")
    assert acme is not None
    assert lab is not None
    assert (acme.open, acme.page.body, acme.page.quote) == (True, 70, 60)
    assert (acme.operations_per_s, acme.operations_burst) == (5, 9)
    assert (lab.open, lab.page.body, lab.operations_per_s) == (True, 50, 5)
    assert config.tenant("nobody") is None
    assert config.tenant_names() == ("lab", "acme")


def test_a_tenant_is_closed_unless_it_is_opened(write):
    closed = load(environ={}, file=write("[tenants.acme]")).tenant("acme")
    assert closed is not None
    assert not closed.open


def test_the_demo_opens_its_own_tenant():
    config = load({"demo": True}, {})
    demo = config.tenant("demo")
    assert demo is not None
    assert demo.open
    assert config.tenant_names() == ("demo",)


def test_limits_off_lifts_rates_but_never_sizes():
    config = load(environ={"CRDT_CHAT_LIMITS": "off"}, flags={"open_tenants": "lab"})
    lifted, tenant = config.limits_in_force(), config.tenant("lab")
    assert tenant is not None
    assert math.isinf(lifted.operations_per_s)
    assert math.isinf(tenant.operations_burst)
    assert lifted.frame_bytes == config.limits.frame_bytes
    assert lifted.first_batch_bytes == config.limits.first_batch_bytes
    assert load(environ={"CRDT_CHAT_LIMITS": "on"}).limits_in_force() == Config().limits
