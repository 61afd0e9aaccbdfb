# SPDX-License-Identifier: Apache-2.0
"""Keys of a certificate authority that speaks EST (RFC 7030); the hourly check reads none of them.

Each has a second name for a cloud profile: ``c8y.est.url`` is ``est.url`` where it is not set.
"""

from tedge_cert.config.keys import Key
from tedge_cert.config.keys.kinds import parse_est_url, parse_username
from tedge_cert.config.values import one_of, parse_path

_PLAIN: dict[str, Key] = {
    "est.url": Key(
        parse_est_url, None,
        "Address of your own certificate authority, up to the operation; a host alone is completed by "
        "/.well-known/est. `sudo tedge cert download c8y --ca est` and "
        "`sudo tedge cert renew c8y --ca est` ask it.",
        "https://est.example.com/.well-known/est/devices"),
    "est.renew_url": Key(
        parse_est_url, None,
        "Address for renewals, where the authority takes certificates at another one than est.url.",
        "https://clientauth.est.example.com/.well-known/est/devices"),
    "est.root_cert_path": Key(
        parse_path, "/etc/ssl/certs",
        "Trust anchors of the authority's server: a file, or a directory of files. Nothing else trusts them.",
        "/etc/tedge/est-root.pem"),
    "est.username": Key(
        parse_username, None, "User of the one-time password at the first enrolment; by default the device id.",
        "sensor-0815"),
    "est.password_in": Key(
        one_of("basic", "challenge", "both"), "basic",
        "Where the one-time password goes: basic (HTTP Basic), challenge (the challengePassword of the signing "
        "request), or both.", "challenge"),
    "est.bootstrap.cert_path": Key(
        parse_path, "/etc/tedge/factory.pem",
        "Factory certificate, followed by its chain. Where the file exists, a first enrolment shows it. It belongs to "
        "root, because it lets the device register without a person.", "/etc/tedge/factory.pem"),
    "est.bootstrap.key_path": Key(
        parse_path, "/etc/tedge/factory-key.pem", "Private key of the factory certificate; user tedge has to read it.",
        "/etc/tedge/factory-key.pem"),
    "est.credentials_path": Key(
        parse_path, None,
        "File with user and password for an authority that wants them together with the certificate at each renewal: "
        "username, password, and host in the table [est]. User tedge has to read it.",
        "/etc/tedge/est-credentials.toml"),
}  # fmt: skip


def _of_cloud(name: str, key: Key) -> Key:
    return Key(key.parse, None, f"{name} for c8y, where a profile has an authority of its own.", key.example, (name,))


EST: dict[str, Key] = {**_PLAIN, **{f"c8y.{name}": _of_cloud(name, key) for name, key in _PLAIN.items()}}
