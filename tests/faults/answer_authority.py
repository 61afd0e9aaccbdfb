# SPDX-License-Identifier: Apache-2.0
"""Bad answers of an authority of the operator's own, and of what stands before it."""

from collections.abc import Callable

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from faults.answers import Row, Standing
from tenant.ports import free_port
from unit.certificates import Made, make
from unit.est_authority import Answer

RENEW, BY_UNIT = "tedge-cert-renew c8y --ca est", "tedge-cert-renew --systemd c8y --ca est"
PORTAL = b"<!DOCTYPE html><html><body>Log in</body></html>"
ALONE = "comes without the one of its issuer, CN=ACME devices"
Bend = Callable[[Standing], None]


def named(bend: Bend) -> Bend:
    """Name the authority in the settings, and let it do something."""

    def arrange(standing: Standing) -> None:
        with (standing.device.directory / "tedge.toml").open("a") as file:
            file.write(standing.authority.settings)
        bend(standing)

    return arrange


def answering(*answers: Answer) -> Bend:
    return named(lambda standing: standing.authority.answers.extend(answers))


def issuing(extension: x509.ExtensionType) -> Bend:
    return named(lambda standing: setattr(standing.authority, "extensions", [extension]))


def giving(make_answer: Callable[[Standing], Answer | list[Made]]) -> Bend:
    """Answer so to the request for the certificates of the authority, which the chain needs."""
    return named(lambda standing: setattr(standing.authority, "cacerts", make_answer(standing)))


def twins(standing: Standing) -> list[Made]:
    """Two issuers of one name; the first one has not signed."""
    authority = standing.authority
    return [make(authority.issuing.certificate.subject), authority.issuing, authority.root]


def away(standing: Standing) -> None:
    """Nothing listens at the address."""
    with (standing.device.directory / "tedge.toml").open("a") as file:
        file.write(f'[est]\nurl = "localhost:{free_port()}"\nroot_cert_path = "{standing.authority.trust}"\n')


def unauthorized(challenge: str, words: str, body: bytes = b"") -> Row:
    sent = {"WWW-Authenticate": challenge} if challenge else {}
    name = f"own authority: 401 {challenge.partition(' ')[0] or body.decode()}".rstrip()
    return Row(name, answering(Answer(401, body, sent)), {RENEW: 1}, words)


ISSUERS: dict[str, Callable[[Standing], Answer | list[Made]]] = {
    "down": lambda _: Answer(503),
    "huge": lambda _: Answer(200, b"A" * 2_000_000),
    "too many": lambda _: [make("x")] * 101,
    "foreign": lambda _: [make("x")],
    "behind a portal": lambda _: Answer(200, PORTAL),
}
ROWS = [
    Row("own authority: none named", lambda _: None, {RENEW: 1}, "no value for 'est.url'"),
    Row("own authority: nothing listens", away, {RENEW: 1}, "Connection refused; check the network and est.url"),
    Row("own authority: 202", answering(Answer(202)), {RENEW: 1}, "the request waits for approval at the authority"),
    unauthorized("", "does not take <CERT>"),
    unauthorized('Basic realm="x"', "wants user and password too"),
    unauthorized('Digest realm="x", nonce="y"', "wants HTTP Digest"),
    unauthorized("", "bound to the TLS connection", b"Proof of Possession Mismatch."),
    Row("own authority: portal, 403", answering(Answer(403, PORTAL)), {RENEW: 1}, "something before the authority"),
    Row("own authority: portal, 200", answering(Answer(200, PORTAL)), {RENEW: 1}, "it begins '<!DOCTYPE html>"),
    Row("own authority: 404", answering(Answer(404, PORTAL)), {RENEW: 1}, "est.url has to end before the operation"),
    Row("own authority: huge body", answering(Answer(200, b"A" * 2_000_000)), {RENEW: 1}, "more than 1048576 bytes"),
    Row("own authority: attributes", answering(Answer(400, b"CSR Attributes missing")), {RENEW: 1}, "wants attributes"),
    Row(
        "own authority: certificate for servers",
        issuing(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
        {RENEW: 1},
        "its extended key usage has no clientAuth",
    ),
    Row(
        "own authority: certificate of an authority",
        issuing(x509.BasicConstraints(ca=True, path_length=None)),
        {RENEW: 1},
        "the certificate of an authority",
    ),
    *(
        Row(f"own authority: issuers {name}", giving(answer), {BY_UNIT: 0}, ALONE, changes=True)
        for name, answer in ISSUERS.items()
    ),
    Row("own authority: two issuers of one name", giving(twins), {BY_UNIT: 0}, "new certificate", changes=True),
]
