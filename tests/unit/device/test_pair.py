# SPDX-License-Identifier: Apache-2.0
"""From which settings an instance has its certificate and its key, as messages name them."""

from pathlib import Path

import pytest

from tedge_cert.device.instance import load_instance, pair_of
from unit.certificates import make
from unit.children import run

OWN = 'device.cert_path = "{here}/cert.pem"\ndevice.key_path = "{here}/key.pem"\n'
LAYOUTS = {
    "device": ("", "[device]\n" + OWN.replace("device.", "") + "[c8y]\n", "device.cert_path", "device.key_path"),
    "cloud": ("", "[c8y]\n" + OWN, "c8y.device.cert_path", "c8y.device.key_path"),
    "profile": (
        "p",
        "[c8y.profiles.p]\n" + OWN,
        "c8y.profiles.p.device.cert_path",
        "c8y.profiles.p.device.key_path",
    ),
    "half of it": (
        "p",
        '[device]\nkey_path = "{here}/key.pem"\n[c8y.profiles.p]\n' + OWN.splitlines()[0] + "\n",
        "c8y.profiles.p.device.cert_path",
        "device.key_path",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_key_that_does_not_fit_names_both_settings(tmp_path: Path, layout: str) -> None:
    profile, text, certificate, key = LAYOUTS[layout]
    (tmp_path / "tedge.toml").write_text(text.format(here=tmp_path) + f'[run]\npath = "{tmp_path}"\n')
    assert pair_of(load_instance("c8y", profile, str(tmp_path))) == (certificate, key)
    (tmp_path / "cert.pem").write_bytes(make().pem)
    (tmp_path / "key.pem").write_bytes(make().key_pem)
    options = ["--profile", profile] if profile else []
    result = run(["tedge-cert-renew", "c8y", *options, "--ca", "self-signed"], tmp_path)
    assert result.exit == 1
    assert f"({key} and {certificate} name them): set the one that is wrong" in result.stderr
