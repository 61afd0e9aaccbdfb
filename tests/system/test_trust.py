# SPDX-License-Identifier: Apache-2.0
"""Which certificates vouch for the tenant on a device, where Debian's own libraries bring theirs along."""

from system.device import Device
from system.renewer import CERTIFICATE

OTHER_ROOT = "/etc/tedge/other-root.pem"


def test_only_the_anchors_of_the_settings_vouch_for_the_tenant(connected: Device) -> None:
    """The tenant's root is among those of the system; Debian 12's urllib3 adds these to those of the settings."""
    connected.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=another root' "
        f"-keyout /dev/null -out {OTHER_ROOT}"
    )
    connected.run(f"tedge config set c8y.root_cert_path {OTHER_ROOT}")
    before = connected.read(CERTIFICATE)
    renewed = connected.run("tedge cert renew c8y", check=False)
    assert renewed.exit_code == 1, renewed
    assert "cannot speak TLS with" in renewed.stderr, renewed
    assert f"{OTHER_ROOT}" in renewed.stderr, renewed
    assert connected.read(CERTIFICATE) == before
