# SPDX-License-Identifier: Apache-2.0
"""The forms in which an operator's command line asks, which are not those of a hand-written request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509

from tenant.client import Tenant
from tenant.device import Device, make_csr, post

ENROL = "/.well-known/est/simpleenroll"
BULK = "/devicecontrol/bulkNewDeviceRequests"
OBJECTS = "/inventory/managedObjects"
TRUSTED = "/tenant/tenants/t1/trusted-certificates"
AGENT = "com_cumulocity_model_Agent"
Ask = Callable[..., requests.Response]


@pytest.fixture
def ask(tenant: Tenant) -> Ask:
    """A request of the operator, by user name with the tenant before it."""

    def send(method: str, path: str, **more: Any) -> requests.Response:
        url = f"https://localhost:{tenant.http_port}{path}"
        more.setdefault("auth", ("t1/admin", "secret"))
        return requests.request(method, url, verify=str(tenant.server_ca), timeout=20, **more)

    return send


def register(ask: Ask, device: str, password: str, name: str = "A device", **more: str) -> requests.Response:
    """One device as a table of one line, its cells apart by tabs, in a form whose file has no name."""
    row = {"ID": device, "AUTH_TYPE": "CERTIFICATES", "ENROLLMENT_OTP": password, "NAME": name, "TYPE": "thin-edge.io"}
    row |= {"IDTYPE": "c8y_Serial", **more}
    table = "\t".join(row) + "\n" + "\t".join(row.values()) + "\n"
    return ask("POST", BULK, files={"file": (None, table)}, headers={"Accept": "application/json"})


def test_a_device_is_registered_for_the_authority_by_a_table_of_one_line(tenant: Tenant, ask: Ask) -> None:
    password = "pa,ss;w0rd#%&^'xyz"
    done = register(ask, "line-1", password, **{f"{AGENT}.active": "true"}).json()
    assert (done["numberOfFailed"], done["numberOfCreated"], done["failedCreationList"]) == (0, 1, [])
    found = ask("GET", "/identity/externalIds/c8y_Serial/line-1").json()["managedObject"]["id"]
    assert AGENT in ask("GET", f"{OBJECTS}/{found}").json()
    assert ask("GET", "/tenant/currentTenant").json()["name"] == "t1"
    assert post(tenant, ENROL, make_csr("line-1")[1], auth=("line-1", "another one")).status_code == 401
    assert post(tenant, ENROL, make_csr("line-1")[1], auth=("line-1", password)).status_code == 200


def test_a_table_that_cannot_be_taken_names_device_and_reason(ask: Ask) -> None:
    done = register(ask, "line-2", "short").json()
    assert done["numberOfFailed"] == 1
    assert done["failedCreationList"][0]["deviceId"] == "line-2"
    assert "enrollmentToken" in done["failedCreationList"][0]["failureReason"]


@pytest.mark.parametrize("feature", ["default", "off"])
def test_the_feature_is_enabled_for_whoever_wants_a_representation_of_the_tenant(
    tenant: Tenant, ask: Ask, feature: str
) -> None:
    tenant.settings(certificate_authority_feature=feature)
    media = {"Accept": "application/vnd.com.nsn.cumulocity.tenant+json"}
    path = "/features/certificate-authority/by-tenant"
    assert ask("PUT", path, json={"active": True}, headers=media).json()["active"] is True
    assert ask("PUT", f"{path}/t1", json={"active": True}, headers=media).status_code == 200


def test_the_authority_is_created_without_a_body_or_found_and_then_set(tenant: Tenant, ask: Ask) -> None:
    tenant.settings(authority_exists=False)
    made = ask("POST", "/certificate-authority", headers={"Accept": "application/json"})
    assert (made.status_code, made.json()["autoRegistrationEnabled"]) == (201, True)
    assert ask("POST", "/certificate-authority").status_code == 409
    listed = ask("GET", TRUSTED, params={"pageSize": 2000}).json()["certificates"]
    [own] = [each["fingerprint"] for each in listed if each["tenantCertificateAuthority"]]
    changed = ask("PUT", f"{TRUSTED}/{own}", json={"autoRegistrationEnabled": False, "status": "DISABLED"})
    assert (changed.json()["autoRegistrationEnabled"], changed.json()["status"]) == (False, "DISABLED")


def test_the_authority_is_renewed_when_it_has_less_than_two_years_left(tenant: Tenant, ask: Ask) -> None:
    renew = "/certificate-authority/renew"
    assert ask("POST", renew).status_code == 422
    tenant.settings(authority_left_days=729)
    before = ask("GET", "/certificate-authority").json()
    after = ask("POST", renew)
    assert (after.status_code, after.json()["subject"]) == (200, before["subject"])
    assert after.json()["notAfter"] > before["notAfter"]
    tenant.settings(authority_exists=False)
    assert ask("POST", renew).status_code == 404


def test_devices_are_found_by_a_query(ask: Ask) -> None:
    register(ask, "q-1", "password1", name="Queried one", **{f"{AGENT}.active": "true"})
    register(ask, "q-2", "password1", name="Queried two")
    ask("POST", OBJECTS, json={"name": "Queried group", "c8y_IsDeviceGroup": {}})

    def names(**query: str) -> list[str]:
        answer = ask("GET", OBJECTS, params={"pageSize": "2000", **query})
        return [each["name"] for each in answer.json()["managedObjects"] if each["name"].startswith("Queried")]

    assert names(q="$filter= $orderby=name") == ["Queried one", "Queried two"]
    assert names(q="$filter=(name eq 'Queried t*') $orderby=name") == ["Queried two"]
    assert names(q=f"$filter=(type eq 'thin-edge.io') and has({AGENT}) $orderby=name") == ["Queried one"]
    assert names(query="$filter=(has(c8y_IsDeviceGroup)) $orderby=name") == ["Queried group"]
    assert ask("GET", OBJECTS, params={"q": "$filter=(name gt 3)"}).status_code == 422


def test_a_microservice_signs_for_the_device_that_asks(tenant: Tenant, tmp_path: Path) -> None:
    device = Device(tenant, tmp_path, "signed-for")
    bearer = {"Authorization": f"Bearer {device.token()}", "Content-Type": "application/octet-stream"}

    def ask(name: str, device_id: str = "signed-for", **headers: str) -> requests.Response:
        lines = make_csr(device_id)[1].decode()
        csr = f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}-----END CERTIFICATE REQUEST-----\n".encode()
        return post(tenant, f"/service/{name}/renew", csr, headers=headers)

    assert ask("signer", **bearer).status_code == 404
    tenant.settings(microservice="signer")
    assert ask("signer").status_code == 401
    assert ask("other", **bearer).status_code == 404
    assert ask("signer", "another-device", **bearer).status_code == 403
    assert post(tenant, "/service/signer/renew", b"no CSR", headers=bearer).status_code == 400
    assert "CN=signed-for" in x509.load_pem_x509_certificate(ask("signer", **bearer).content).subject.rfc4514_string()
