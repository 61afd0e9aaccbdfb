# SPDX-License-Identifier: Apache-2.0
"""`tedge config` as a person or a script runs it."""

import shlex
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import config as config_command
from tedge_cert.errors import ConfigurationError
from unit.certificates import make, make_for
from unit.children import run_here
from unit.local_device import Result


def config(directory: Path, *words: str, **environment: str) -> Result:
    return run_here(["tedge-config", *words], directory, **environment)


@pytest.mark.parametrize(
    ("words", "stdout"),
    [
        ("get device.type", "thin-edge.io\n"),
        ("get c8y.smartrest.templates", "[]\n"),
        ("get mqtt.bind.port", "1883\n"),
        ("get c8y.proxy.client.port", "8001\n"),
        ("get mqtt.bridge.reconnect_policy.maximum_interval", "10m\n"),
        ("set device.id x", ""),
        ("unset c8y.url", ""),
        ("remove c8y.smartrest.templates zzz", ""),
    ],
)
def test_answers_on_a_fresh_device(tmp_path: Path, words: str, stdout: str) -> None:
    assert config(tmp_path, *words.split()) == Result(0, stdout, "")


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ("get c8y.url", 1, "error: 'c8y.url' is not set; `sudo tedge config set c8y.url <value>` sets it"),
        ("get device.id", 1, "'device.id' is not set"),
        ("get nosuch.key", 2, "unknown configuration key 'nosuch.key'"),
        ("get c8y.ulr", 2, "did you mean 'c8y.url'?"),
        ("unset nosuch.key", 2, "unknown configuration key 'nosuch.key'"),
        ("set nosuch.key 1", 2, "unknown configuration key 'nosuch.key'"),
        ("add nosuch.key 1", 2, "unknown configuration key 'nosuch.key'"),
        ("set c8y.url", 2, "the following arguments are required: value"),
        ("set certificate.validity.minimum_duration -1d", 2, "are required: value; see `tedge config set --help`"),
        (
            "set c8y.url https://foo.example/",
            1,
            "cannot set c8y.url to 'https://foo.example/': expected a host name",
        ),
        ("set c8y.url 10.0.0.300", 1, "cannot set c8y.url to '10.0.0.300': expected an IP address with four numbers"),
        ("set c8y.mqtt mqtts://foo.example", 1, "cannot set c8y.mqtt to 'mqtts://foo.example': expected "),
        ("add c8y.url foo.example", 1, "c8y.url is no list: it has one value; `sudo tedge config set c8y.url <value>`"),
        ("remove device.type thin-edge.io", 1, "device.type is no list"),
        ("set c8y.http foo.example:1:2", 1, "cannot set c8y.http to 'foo.example:1:2': expected a port number"),
        ("set mqtt.bind.address nowhere", 1, "expected an IP address"),
        ("get c8y.url --profile second", 1, "no profile 'second' of c8y in"),
        ("set c8y.url a.example --profile ../x", 2, "'../x' cannot be a profile"),
        ("bogus", 2, "invalid choice: 'bogus'"),
        ("", 2, "the following arguments are required: COMMAND"),
        ("get c8y.url --prof x", 2, "unrecognized arguments: --prof"),
    ],
)
def test_refusals_have_their_code_and_reason(tmp_path: Path, words: str, exit_code: int, said: str) -> None:
    result = config(tmp_path, *words.split())
    assert (result.exit, result.stdout) == (exit_code, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("steps", "words", "stdout"),
    [
        (["set certificate.validity.minimum_duration 20%"], "get certificate.validity.minimum_duration", "20%\n"),
        (["set certificate.validity.minimum_duration 45days"], "get certificate.validity.minimum_duration", "45days\n"),
        (["set c8y.mqtt foo.example:1883"], "get c8y.mqtt", "foo.example:1883\n"),
        (["set c8y.smartrest.templates a,b"], "get c8y.smartrest.templates", '["a", "b"]\n'),
        (["set c8y.url foo.example"], "get c8y.mqtt", "foo.example:8883\n"),
        (
            [
                "add c8y.smartrest.templates one",
                "add c8y.smartrest.templates two",
                "remove c8y.smartrest.templates one",
            ],
            "get c8y.smartrest.templates",
            '["two"]\n',
        ),
        (["set c8y.url two.example --profile second"], "get c8y.url --profile second", "two.example\n"),
        (["set c8y.url foo.example", "unset c8y.url", "set device.type x"], "list device.type", "device.type=x\n"),
    ],
)
def test_reads_what_was_set(tmp_path: Path, steps: list[str], words: str, stdout: str) -> None:
    for step in steps:
        assert config(tmp_path, *step.split()) == Result(0, "", "")
    assert config(tmp_path, *words.split()) == Result(0, stdout, "")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("30", "the threshold (30s) is shorter than 3h, so that the hourly check has less than three attempts"),
        ("400d", "the threshold (1y 35d) is no shorter than the life of the certificate (1y)"),
        # A percentage of a certificate that lives for ten hours, and of one that lives for a year.
        ("20%", "the threshold (2h) is shorter than 3h"),
        ("50%", ""),
        ("3h", ""),
    ],
)
def test_a_threshold_that_does_not_fit_is_set_with_a_warning(tmp_path: Path, value: str, said: str) -> None:
    short, key = value == "20%", "certificate.validity.minimum_duration"
    (tmp_path / "tedge.toml").write_text(f'[device]\ncert_path = "{tmp_path}/cert.pem"\n')
    (tmp_path / "cert.pem").write_bytes((make_for(9 / 24, -1 / 24) if short else make_for(364, -1)).pem)
    result = config(tmp_path, "set", key, value)
    assert (result.exit, result.stdout, said in result.stderr) == (0, "", True)
    advice = f"three times the longest time that the device is offline, such as `sudo tedge config set {key} "
    assert result.stderr == "" if not said else (advice in result.stderr and result.stderr.startswith("warning: "))
    assert config(tmp_path, "get", key).stdout == f"{value}\n"


def test_a_threshold_is_judged_without_a_certificate(tmp_path: Path) -> None:
    key = "certificate.validity.minimum_duration"
    assert f"such as `sudo tedge config set {key} 30d`" in config(tmp_path, "set", key, "90").stderr
    assert config(tmp_path, "set", key, "20%").stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("c8y.url tenant.example.", "c8y.url is set to tenant.example\n"),
        ("c8y.http tenant.example.:443", "c8y.http is set to tenant.example:443\n"),
        ("c8y.auth_method password", "c8y.auth_method is set to basic\n"),
        ("c8y.topics te/x", "c8y.topics is kept for thin-edge; nothing in this package reads it\n"),
        (
            "device.key_uri pkcs11:x",
            "device.key_uri says that the private key is in a token, but device.cryptoki.mode is off: no key",
        ),
        ("device.cryptoki.mode socket", "until `sudo tedge config set device.cryptoki.mode module`\n"),
        ("device.cryptoki.mode module", ""),
        ("device.cryptoki.pin 4711", "every user of this device can read device.cryptoki.pin: write the PIN to "),
        ("device.cryptoki.mode off", ""),
    ],
)
def test_what_a_value_means_is_said_when_it_is_set(tmp_path: Path, words: str, said: str) -> None:
    result = config(tmp_path, "set", *words.split())
    assert (result.exit, result.stdout, result.stderr.count("\n")) == (0, "", int(bool(said)))
    assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("set c8y.url b.example", ["c8y"]),
        ("unset c8y.mqtt", ["c8y"]),
        ("add c8y.smartrest.templates one", ["c8y"]),
        ("set c8y.url b.example --profile p", ["c8y --profile p"]),
        ("set c8y.profiles.p.bridge.keepalive_interval 30s", ["c8y --profile p"]),
        ("set mqtt.bind.port 1884", ["c8y", "c8y --profile p"]),
        # The first has no bridge, the second is not the bridge's.
        ("set c8y.url b.example --profile q", []),
        ("set certificate.organization ACME", []),
    ],
)
def test_the_bridge_is_reconnected_for_what_it_uses(tmp_path: Path, words: str, said: list[str]) -> None:
    (tmp_path / "tedge.toml").write_text("[c8y]\nurl = 'a.example'\nprofiles = { p = {}, q = {} }\n")
    (tmp_path / "mosquitto-conf").mkdir()
    for name in ("c8y", "c8y@p"):
        (tmp_path / f"mosquitto-conf/{name}-bridge.conf").write_text("")
    result = config(tmp_path, *words.split())
    line = "the bridge takes the new value when it reconnects\n    => tedge reconnect "
    assert (result.exit, result.stdout, result.stderr) == (0, "", "".join(f"{line}{each}\n" for each in said))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("list c8y.url", "no key with 'c8y.url' has a value; `tedge config list --all c8y.url` shows all keys\n"),
        (
            "list c8y.ulr",
            "no key contains 'c8y.ulr'; did you mean 'c8y.url'? (`tedge config list --all` shows all keys)\n",
        ),
        ("list c8y.ulr --doc", "no key contains 'c8y.ulr'; did you mean 'c8y.url'?"),
        ("list c8y.ulr --all", "no key contains 'c8y.ulr'"),
    ],
)
def test_an_empty_list_says_so(tmp_path: Path, words: str, said: str) -> None:
    result = config(tmp_path, *words.split())
    assert (result.exit, result.stdout, said in result.stderr) == (0, "", True)


@pytest.mark.parametrize(
    "words", ["set c8y.url a.example", "set nosuch.key 'a b'", "unset c8y.url", "add c8y.smartrest.templates x"]
)
def test_without_rights_only_the_command_of_root_is_said(mocker: MockerFixture, words: str) -> None:
    """Before a file is read: this directory has none, and the first key exists nowhere."""
    mocker.patch("os.geteuid", return_value=1000)
    mocker.patch("os.access", return_value=False)
    typed = shlex.split(words)
    mocker.patch("sys.argv", ["tedge-config", *typed])
    parser = Parser("config")
    config_command.add_to(parser)
    with pytest.raises(ConfigurationError) as raised:
        config_command.execute(parser.read(typed))
    assert str(raised.value) == f"this needs root: sudo tedge config {words}"


def test_the_environment_chooses_profile_and_value(tmp_path: Path) -> None:
    config(tmp_path, "set", "c8y.url", "two.example", "--profile", "second")
    assert config(tmp_path, "get", "c8y.url", TEDGE_CLOUD_PROFILE="second").stdout == "two.example\n"
    assert config(tmp_path, "get", "c8y.url").exit == 1
    assert config(tmp_path, "get", "c8y.http", TEDGE_C8Y_URL="env.example").stdout == "env.example:443\n"


def test_the_certificate_tells_the_identity(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    config(tmp_path, "set", "device.cert_path", str(certificate))
    config(tmp_path, "set", "device.id", "configured")
    assert config(tmp_path, "get", "device.id").stdout == "configured\n"
    certificate.write_bytes(make("from-certificate").pem)
    assert config(tmp_path, "get", "device.id").stdout == "from-certificate\n"
    assert config(tmp_path, "get", "c8y.device.id").stdout == "from-certificate\n"


def test_lists_keys_with_and_without_value(tmp_path: Path) -> None:
    assert config(tmp_path, "list", "--all", "certificate").stdout == (
        "certificate.organization=Thin Edge\ncertificate.organization_unit=Device\n"
        "certificate.validity.requested_duration=365d\ncertificate.validity.minimum_duration=30d\n"
    )
    assert config(tmp_path, "list", "rotate_key").stdout.startswith("certificate.rotate_key=false\n")
    assert "rotate_key" in config(tmp_path, "list", "--doc", "rotate_key").stdout
    config(tmp_path, "set", "certificate.rotate_key", "true")
    assert "certificate.rotate_key=true\n" in config(tmp_path, "list", "certificate").stdout
    assert config(tmp_path, "list", "c8y.url").stdout == ""
    assert config(tmp_path, "list", "c8y.url", "--all").stdout == "\nc8y.url=\n"
    config(tmp_path, "set", "c8y.url", "two.example", "--profile", "second")
    everything = config(tmp_path, "list").stdout.splitlines()
    assert {"c8y.profiles.second.url=two.example", "c8y.profiles.second.http=two.example:443"} < set(everything)
    assert config(tmp_path, "list", "--profile", "second", "c8y").stdout.startswith(
        "c8y.profiles.second.url=two.example\n"
    )


def test_explains_keys(tmp_path: Path) -> None:
    blocks = config(tmp_path, "list", "certificate.validity", "--doc").stdout.split("\n\n")
    margin = "\n" + " " * 41
    assert blocks == [
        "certificate.validity.requested_duration  Requested validity duration for a new certificate. "
        f"{margin}Note: The CA might return certificates valid for period shorter than requested{margin}Example: 365d",
        "  certificate.validity.minimum_duration  Minimum validity duration below which a new certificate should be "
        f"requested. {margin}Note: This is an advisory setting and the renewal has to be scheduled{margin}Example: 30d",
        "",
    ]


@pytest.mark.parametrize("words", ["get device.type", "set device.type y", "list", "unset device.type"])
def test_a_broken_file_is_named_and_kept(tmp_path: Path, words: str) -> None:
    (tmp_path / "tedge.toml").write_text("c8y = [")
    result = config(tmp_path, *words.split())
    assert (result.exit, result.stdout) == (1, "")
    assert f"error: {tmp_path}/tedge.toml is not valid TOML" in result.stderr
    assert (tmp_path / "tedge.toml").read_text() == "c8y = ["


def test_one_bad_value_is_reported_before_anything_is_printed(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text("[aws]\nurl = 5\n[device]\ntype = 'x'\n")
    for words in ("get device.type", "list", "list device.type", "get c8y.url", "get aws.url"):
        result = config(tmp_path, *words.split())
        assert (result.exit, result.stdout) == (1, "")
        assert f"{tmp_path}/tedge.toml: aws.url is a number, expected text in quotes" in result.stderr
    # Which is how it is mended.
    assert config(tmp_path, "set", "aws.url", "x.example").exit == 0
    assert config(tmp_path, "get", "device.type").stdout == "x\n"
