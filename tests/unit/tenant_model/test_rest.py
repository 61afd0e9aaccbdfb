# SPDX-License-Identifier: Apache-2.0
"""Calls of an operator about certificates and devices."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tenant.client import Tenant
from tenant.device import make_csr, post

ENROL = "/.well-known/est/simpleenroll"
TRUSTED = "/tenant/tenants/t1/trusted-certificates"
FEATURE = "/features/certificate-authority/by-tenant"
REQUESTS = "/devicecontrol/newDeviceRequests"
VND = "application/vnd.com.nsn.cumulocity."
Call = Callable[..., requests.Response]


@pytest.fixture
def call(tenant: Tenant) -> Call:
    """Send a request as the operator, or as another user."""

    def ask(method: str, path: str, body: Any = None, who: str = "admin", **more: Any) -> requests.Response:
        url = f"https://localhost:{tenant.http_port}{path}"
        more.setdefault("auth", (who, "secret"))
        return requests.request(method, url, json=body, verify=str(tenant.server_ca), timeout=20, **more)

    return ask


def enrol(tenant: Tenant, device: str, password: str = "password1") -> tuple[int, str]:
    answer = post(tenant, ENROL, make_csr(device)[1], auth=(device, password))
    return answer.status_code, "" if answer.ok else answer.json()["message"]


def test_from_nothing_to_a_certificate(tenant: Tenant, call: Call) -> None:
    tenant.settings(certificate_authority_feature="default", authority_exists=False)
    assert call("GET", "/features").json()[0]["active"] is False
    assert call("POST", REQUESTS, {"id": "n1", "enrollmentToken": "password1", "type": "t"}).status_code == 201
    assert enrol(tenant, "n1")[0] == 403
    assert call("POST", "/certificate-authority").status_code == 403
    assert call("PUT", FEATURE, {"active": True}).json()["strategy"] == "TENANT"
    assert call("GET", "/features/certificate-authority").json()["active"] is True
    missing = "Tenant CA certificate is either missing, expired, or has a validity of less than one year"
    assert enrol(tenant, "n1") == (422, missing)
    made = call("POST", "/certificate-authority")
    assert (made.status_code, made.json()["tenantCertificateAuthority"]) == (201, True)
    assert call("POST", "/certificate-authority").status_code == 409
    found = call("GET", TRUSTED + "?certificateAuthority=true&pageSize=5").json()["certificates"]
    assert [each["fingerprint"] for each in found] == [made.json()["fingerprint"]]
    assert call("GET", "/certificate-authority").json() == found[0] | {"self": made.json()["self"]}
    assert enrol(tenant, "n1") == (200, "")
    for days in (364, -1):
        tenant.settings(authority_left_days=days)
        assert enrol(tenant, "n1") == (422, missing)
    assert call("DELETE", made.json()["self"].partition(f":{tenant.http_port}")[2]).status_code == 404
    own = call("GET", "/certificate-authority").json()["fingerprint"]
    assert call("PUT", f"{TRUSTED}/{own}", {"autoRegistrationEnabled": False}).status_code == 200
    assert call("DELETE", f"{TRUSTED}/{own}").status_code == 204
    assert call("GET", "/certificate-authority").status_code == 404


def test_the_management_tenant_turns_it_on(tenant: Tenant, call: Call) -> None:
    assert call("DELETE", FEATURE).json()["strategy"] == "DEFAULT"
    assert call("GET", FEATURE).status_code == 403
    assert call("PUT", FEATURE + "/management", {"active": True}).status_code == 403
    assert call("PUT", FEATURE + "/t1", {"active": True}, "management/manager").status_code == 200
    assert call("PUT", FEATURE + "/t9", {"active": True}, "manager").status_code == 404
    assert call("GET", FEATURE, who="manager").json() == [{"tenantId": "t1", "active": True}]
    assert call("GET", TRUSTED, who="manager").status_code == 403


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("ROLE_TENANT_MANAGEMENT_ADMIN", "PUT", FEATURE),
        ("ROLE_TENANT_MANAGEMENT_ADMIN", "POST", "/certificate-authority"),
        ("ROLE_TENANT_MANAGEMENT_ADMIN", "POST", TRUSTED),
        ("ROLE_DEVICE_CONTROL_ADMIN", "POST", REQUESTS),
        ("ROLE_DEVICE_CONTROL_ADMIN", "POST", "/devicecontrol/bulkNewDeviceRequests"),
    ],
)
def test_without_the_role(tenant: Tenant, call: Call, role: str, method: str, path: str) -> None:
    roles = tenant.settings()["operator_roles"]
    tenant.settings(operator_roles=[each for each in roles if each != role])
    refused = call(method, path, {"active": True})
    assert (refused.status_code, set(refused.json())) == (403, {"error", "message", "info"})
    assert refused.headers["Content-Type"].startswith(VND + "error+json")
    assert call(method, path, auth=("admin", "wrong")).status_code == 401


def test_a_device_that_asks_first(tenant: Tenant, call: Call) -> None:
    assert enrol(tenant, "first")[0] == 401
    made = call("POST", REQUESTS, {"id": "first", "enrollmentToken": "password1"})
    assert (made.json()["status"], made.headers["Content-Type"].split(";")[0]) == (
        "ACCEPTED",
        VND + "newdevicerequest+json",
    )
    assert enrol(tenant, "first")[0] == 200


def test_the_states_of_a_request(tenant: Tenant, call: Call) -> None:
    one = REQUESTS + "/waits"
    assert call("POST", REQUESTS, {"id": "waits"}).json()["status"] == "WAITING_FOR_CONNECTION"
    assert call("POST", REQUESTS, {"id": "waits"}).status_code == 409
    assert call("PUT", one, {"status": "ACCEPTED"}).status_code == 422
    assert enrol(tenant, "waits", "my-own-password")[0] == 401
    assert call("GET", one).json()["status"] == "PENDING_ACCEPTANCE"
    assert call("PUT", one, {"status": "ACCEPTED"}).json()["status"] == "ACCEPTED"
    assert enrol(tenant, "waits", "my-own-password")[0] == 200
    assert call("GET", one).status_code == 404
    for wrong in ({"id": "w"} | {"enrollmentToken": "short"}, {"enrollmentToken": "password1"}):
        assert call("POST", REQUESTS, wrong).status_code == 422


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_many_from_a_table(tenant: Tenant, call: Call, delimiter: str) -> None:
    names = [f"bulk-{ord(delimiter)}-{number}" for number in range(3)]
    rows = [["ID", "AUTH_TYPE", "ENROLLMENT_OTP", "NAME", "TYPE"]]
    rows += [[name, "CERTIFICATES", "password1", name.upper(), "thin-edge.io"] for name in names]
    rows += [["", "CERTIFICATES", "password1", "", ""], ["no-password", "BASIC", "", "", ""]]
    file = ("devices.csv", "\n".join(delimiter.join(row) for row in rows), "text/csv")
    answer = call("POST", "/devicecontrol/bulkNewDeviceRequests", files={"file": file})
    assert answer.status_code == 201
    counts = [answer.json()[f"numberOf{what}"] for what in ("All", "Created", "Failed", "Successful")]
    assert counts == [5, 3, 2, 3]
    assert "ID: expected" in answer.json()["failedCreationList"][0]["failureReason"]
    again = call("POST", "/devicecontrol/bulkNewDeviceRequests", files={"file": file}).json()
    assert [each["deviceId"] for each in again["credentialUpdatedList"]] == names
    assert enrol(tenant, names[1])[0] == 200
    found = call("GET", f"/identity/externalIds/c8y_Serial/{names[0]}").json()["managedObject"]["id"]
    assert call("GET", f"/inventory/managedObjects/{found}").json()["name"] == names[0].upper()


def test_who_asks(tenant: Tenant, call: Call) -> None:
    form = {"grant_type": "PASSWORD", "username": "admin", "password": "secret"}
    token = call("POST", "/tenant/oauth/token", data=form, auth=("", "")).json()["access_token"]
    bearer: dict[str, Any] = {"headers": {"Authorization": f"Bearer {token}"}, "auth": lambda request: request}
    assert call("GET", "/tenant/currentTenant", **bearer).json()["name"] == "t1"
    user = call("GET", "/user/currentUser", **bearer).json()
    assert (user["userName"], len(user["effectiveRoles"])) == ("admin", len(tenant.settings()["operator_roles"]))
    assert call("GET", "/tenant/currentTenant", who="manager").json()["name"] == "management"
    assert call("POST", "/tenant/oauth/token", data=form | {"password": "x"}).status_code == 401
    assert "authorization" in call("POST", "/tenant/oauth", data=form).cookies
    tenant.revoke_tokens()
    assert call("GET", "/tenant/currentTenant", **bearer).status_code == 401


def test_inventory_alarms_and_operations(call: Call) -> None:
    device = call("POST", "/inventory/managedObjects", {"name": "d", "c8y_IsDevice": {}}).json()["id"]
    named = call("POST", f"/identity/globalIds/{device}/externalIds", {"type": "c8y_Serial", "externalId": "d-1"})
    assert named.status_code == 201
    assert call("GET", "/identity/externalIds/c8y_Serial/d-1").json()["managedObject"]["id"] == device
    alarm = {"type": "t", "text": "x", "severity": "MAJOR", "source": {"id": device}}
    raised = call("POST", "/alarm/alarms", alarm).json()
    assert call("PUT", f"/alarm/alarms/{raised['id']}", {"status": "CLEARED"}).json()["status"] == "CLEARED"
    assert len(call("GET", f"/alarm/alarms?source={device}&status=CLEARED").json()["alarms"]) == 1
    ordered = call("POST", "/devicecontrol/operations", {"deviceId": device, "c8y_Restart": {}}).json()
    assert ordered["status"] == "PENDING"
    found = call("GET", f"/devicecontrol/operations?deviceId={device}&pageSize=1&withTotalPages=true").json()
    assert (len(found["operations"]), found["statistics"]["totalPages"]) == (1, 1)
    assert call("DELETE", f"/inventory/managedObjects/{device}").status_code == 204
    assert call("GET", "/identity/externalIds/c8y_Serial/d-1").status_code == 404
