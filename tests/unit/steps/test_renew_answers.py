# SPDX-License-Identifier: Apache-2.0
"""Step 2: every form of a good answer becomes the same candidate, and no bad one becomes any."""

from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.authority import answer_checks
from tedge_cert.net import https
from unit import recipes
from unit.answering import answering
from unit.connected import certify, configure, connect, instance_of, outcome, serials
from unit.local_client import Local
from unit.local_device import LocalDevice

DAY_S = 86_400
END = "-----END CERTIFICATE-----\n"


def ask(device: LocalDevice) -> tuple[int, str]:
    return outcome(lambda: recipes.renew(instance_of(device), None, False))


@pytest.mark.parametrize(
    "settings",
    [
        {"est_format": "ber"},
        {"est_format": "ber", "est_chain": True, "est_order": "leaf-last", "est_newline": "\r\n"},
        {"est_format": "der", "est_columns": 0},
        {"est_format": "der", "est_columns": 76, "est_chain": True, "intermediate": True},
        {"est_format": "raw-der", "est_content_type": "text/plain"},
        {"est_format": "raw-der", "est_chain": True, "intermediate": True, "est_order": "leaf-last"},
        {"est_format": "pem", "est_status": 201},
        {"est_format": "pem", "est_chain": True, "intermediate": True, "est_order": "leaf-last"},
        {"est_format": "pem-pkcs7", "est_chain": True, "est_content_type": "application/octet-stream"},
    ],
)
def test_every_good_form(local_device: LocalDevice, settings: dict[str, Any]) -> None:
    old = certify(local_device)
    local_device.tenant.settings(**settings)
    assert ask(local_device) == (0, "")
    issued = local_device.tenant.device(local_device.device_id)["issued"][-1]
    chain = ""
    if settings.get("est_chain"):
        chain = local_device.tenant.issue_key("somebody")["chain"]
        assert chain.count(END) == (2 if settings.get("intermediate") else 1)
    assert local_device.candidate.read_text() == issued["pem"] + chain
    assert serials(local_device) == (old, issued["serial"], None)


REFUSED = {
    202: "the request waits",
    204: "",
    307: "elsewhere.example",
    400: "",
    401: "",
    403: "",
    404: "",
    429: "in 120 s",
    500: "",
    503: "in 120 s",
}


def status(code: int) -> dict[str, Any]:
    headers = {
        429: {"Retry-After": "120"},
        503: {"Retry-After": "120"},
        307: {"Location": "https://elsewhere.example/"},
    }
    return {"do": "status", "status": code, "headers": headers.get(code, {}), "body": "" if code == 204 else "why"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"do": "wrong-key"}, "for the key of this device"),
        ({"do": "wrong-name"}, "issued to another-device, expected the device id"),
        ({"do": "expired"}, "it expired"),
        ({"do": "garbage"}, ""),
        ({"do": "empty"}, "empty"),
        ({"do": "html"}, ""),
        ({"do": "truncated"}, ""),
        ({"do": "oversized"}, "more than 1048576 bytes"),
        ({"do": "close"}, "no answer"),
        ({"do": "silence"}, "no answer"),
        ({"do": "drip", "interval_s": 0.2}, "no answer"),
        *((status(code), said) for code, said in REFUSED.items()),
    ],
)
def test_no_bad_answer(local_device: LocalDevice, mocker: MockerFixture, fault: dict[str, Any], said: str) -> None:
    mocker.patch.object(https, "READ_S", 1.0)
    mocker.patch.object(https, "DEADLINE_S", 2.0)
    certify(local_device)
    before = local_device.certificate.read_bytes()
    local_device.tenant.fault(where="est", device=local_device.device_id, **fault)
    code, text = ask(local_device)
    assert code == 1
    assert said in text
    assert "\n" not in text
    assert f"127.0.0.1:{local_device.tenant.http_port}" in text
    assert fault["do"] != "status" or f" answered {fault['status']} " in text
    assert (serials(local_device)[1:], local_device.certificate.read_bytes()) == ((None, None), before)


def test_one_that_ends_earlier_is_refused_in_the_unit_and_taken_by_hand(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    certify(local_device)
    local_device.tenant.fault(where="est", do="lifetime", seconds=9 * DAY_S)
    said = "not later than the certificate that it is to replace"
    code, text = outcome(lambda: recipes.renew(instance_of(local_device), None, True))
    assert (code, local_device.candidate.exists()) == (1, False)
    assert said in text
    assert ask(local_device) == (0, "")
    assert local_device.candidate.exists()
    assert f"{said} (" in capsys.readouterr().err


def test_a_clock_that_is_behind_asks_once(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """Every certificate would begin too early for it; the first is kept until it is valid."""
    old = certify(local_device)
    local_device.tenant.fault(where="est", do="not-yet-valid", seconds=7_200, times=1)
    code, text = ask(local_device)
    assert (code, text.count("\n")) == (1, 0)
    assert f"is kept as {local_device.candidate} until it is valid: the clock is wrong" in text
    new = local_device.tenant.device(local_device.device_id)["issued"][-1]["serial"]
    instance, before = instance_of(local_device), len(local_device.tenant.state()["requests"])
    assert outcome(lambda: recipes.renew(instance, None, True))[0] == 1
    # Two hours later.
    mocker.patch.object(answer_checks, "CLOCK_TOLERANCE_S", 7_500)
    assert outcome(lambda: recipes.renew(instance, None, True)) == (0, "")
    assert serials(local_device) == (old, new, None)
    assert len(local_device.tenant.state()["requests"]) == before


def test_a_bad_answer_leaves_bridge_and_candidate_alone(local_device: LocalDevice) -> None:
    certify(local_device)
    connect(local_device)
    local_device.candidate.write_text("an administrator's")
    local_device.tenant.fault(where="est", do="garbage")
    with Local(local_device) as local:
        local.wait_health("1")
        assert ask(local_device)[0] == 1
        assert (local.health, local.losses) == (["1"], 0)
    assert local_device.tenant.device(local_device.device_id)["evictions"] == 0
    assert local_device.candidate.read_text() == "an administrator's"


def test_an_untrusted_server(local_device: LocalDevice, tmp_path: Path) -> None:
    """The token comes from a server that is trusted, the certificate would come from another one."""
    certify(local_device)
    with answering(tmp_path, b"") as other:
        configure(
            local_device, f'http = "127.0.0.1:{local_device.tenant.http_port}"', f'http = "localhost:{other.port}"'
        )
        code, text = ask(local_device)
    assert (code, local_device.candidate.exists(), other.asked) == (1, False, [])
    assert f"localhost:{other.port}" in text
    assert f"localhost:{other.port} is not trusted" in text
