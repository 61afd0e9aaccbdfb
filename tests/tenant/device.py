# SPDX-License-Identifier: Apache-2.0
"""A device for tests of the tenant itself, made of paho, requests and the standard library."""

import queue
import socket
import ssl
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion

from tenant.client import Tenant

# A CONNECT that is answered with CONNACK 5, so that a successful handshake ends soon and evicts no client.
_FOREIGN_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe"


def new_client(**options: Any) -> paho.Client:
    """A client of paho 2, whatever version of paho the type checker knows."""
    return paho.Client(**{"callback_api_version": CallbackAPIVersion.VERSION2, **options})


class Device:
    """A device with a certificate from the tenant."""

    def __init__(self, tenant: Tenant, directory: Path, name: str, **options: Any) -> None:
        self.tenant, self.name = tenant, name
        made = tenant.issue_key(name, **options)
        self.serial: str = made["serial"]
        self.cert, self.key = directory / f"{self.serial}.pem", directory / f"{self.serial}.key"
        self.cert.write_text(made["certificate"])
        self.key.write_text(made["key"])
        self.heard: queue.Queue[tuple[str, str]] = queue.Queue()

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.tenant.server_ca))
        context.load_cert_chain(self.cert, self.key)
        return context

    def connect(self, client_id: str = "") -> paho.Client:
        """Connect with paho; what happens is put into `heard`."""
        client = new_client(client_id=client_id or self.name, reconnect_on_failure=False)
        client.tls_set_context(self.context())
        client.on_connect = lambda *a: self.heard.put(("connack", str(a[3])))
        client.on_disconnect = lambda *a: self.heard.put(("disconnect", str(a[3])))
        client.on_subscribe = lambda *_: self.heard.put(("suback", ""))
        client.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload.decode()))
        client.connect("127.0.0.1", self.tenant.mqtt_port)
        client.loop_start()
        return client

    def hears(self, kind: str) -> str:
        """Wait for the next thing, which must be of this kind."""
        found, text = self.heard.get(timeout=20)
        assert found == kind, text
        return text

    def alert(self) -> str:
        """The alert or other error that a TLS connection ends with."""
        with socket.create_connection(("127.0.0.1", self.tenant.mqtt_port), timeout=20) as raw:
            try:
                with self.context().wrap_socket(raw, server_hostname="localhost") as secured:
                    secured.sendall(_FOREIGN_CONNECT)
                    secured.recv(1)
            except ssl.SSLError as error:
                return str(error.reason)
        return "no alert"

    def token(self) -> str:
        """Ask for a token over MQTT."""
        client = self.connect()
        self.hears("connack")
        client.subscribe("s/dat")
        self.hears("suback")
        client.publish("s/uat", b"")
        answer = self.hears("s/dat")
        client.disconnect()
        self.hears("disconnect")
        client.loop_stop()
        return answer.removeprefix("71,")


def post(tenant: Tenant, path: str, body: bytes, **more: Any) -> requests.Response:
    """Send an EST request."""
    url, headers = f"https://localhost:{tenant.http_port}{path}", {"Content-Type": "application/pkcs10"}
    headers |= more.pop("headers", {})
    return requests.post(url, body, headers=headers, verify=str(tenant.server_ca), timeout=20, **more)


def make_csr(name: str, *more: x509.NameAttribute) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """A key and the body of an EST request."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([*more, x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName("device.example")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return key, b"".join(pem.splitlines(keepends=True)[1:-1])
