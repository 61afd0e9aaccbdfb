# SPDX-License-Identifier: Apache-2.0
"""Private keys in a TPM 2.0 or a PKCS#11 token: a PEM file names the key, and OpenSSL's provider uses it.

``cryptography`` must never see such a file: its version 43 panics in Rust, 38 returns a key that cannot sign. So the
label in the file is read before anything else, and signatures are made by ``openssl``.
"""

import errno
import grp
import io
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import cures, processes
from tedge_cert.config import token_uri
from tedge_cert.disk import files
from tedge_cert.errors import CertificateError, TedgeCertError, UnreadableError
from tedge_cert.hourly import pem
from tedge_cert.hourly.der import element
from tedge_cert.hourly.pem_faults import PemError
from tedge_cert.x509 import pin_guard, provider, token
from tedge_cert.x509.token import TokenKey

TPM, TOKEN = b"TSS2 PRIVATE KEY", b"PKCS#11 PROVIDER URI"
# TPM 2.0 Library, part 2: algorithms (§6.3) and curves (§6.4).
_RSA, _ECC, _NULL = 0x0001, 0x0023, 0x0010
_CURVES = {0x0003: "SECP256R1", 0x0004: "SECP384R1", 0x0005: "SECP521R1"}
# The options of `openssl genpkey` for each kind of key, as `tedge hsm create-key` names the kind.
_KINDS = {
    "p256": ["-algorithm", "EC", "-pkeyopt", "group:P-256"],
    "p384": ["-algorithm", "EC", "-pkeyopt", "group:P-384"],
    "2048": ["-algorithm", "RSA", "-pkeyopt", "bits:2048"],
    "3072": ["-algorithm", "RSA", "-pkeyopt", "bits:3072"],
    "4096": ["-algorithm", "RSA", "-pkeyopt", "bits:4096"],
}
_BOOLEAN_TRUE = b"\x01\x01"


@dataclass(frozen=True)
class HardwareKey:
    """A private key that never leaves its hardware; ``public_key`` is its SubjectPublicKeyInfo in DER."""

    path: Path
    kind: bytes
    public_key: bytes

    @property
    def is_rsa(self) -> bool:
        return _RSA_ENCRYPTION in self.public_key[:32]

    def sign(self, content: bytes) -> bytes:
        """Return the signature of the SHA-256 of ``content``: ECDSA in DER, or RSA by PKCS#1 v1.5."""
        return _openssl(self.path, self.kind, ["dgst", "-sha256", "-sign", str(self.path)], content)


# The object identifier rsaEncryption (RFC 8017 appendix C).
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")


def kind_in(content: bytes) -> bytes:
    """Return ``TPM`` or ``TOKEN`` if the PEM file names a key in hardware; empty if not."""
    return _block(content)[0]


def content_at(path: Path) -> bytes:
    """Return the file of a key; empty where it cannot be read: what loads the key says why."""
    try:
        return files.read_regular(path, follow=True)
    except OSError:
        return b""


def load(path: Path, content: bytes) -> HardwareKey:
    """Return the key that the ``content`` of ``path`` names; raises CertificateError.

    The public key of a TPM key is in the file, so no TPM is needed. That of a token comes from the token, after the PIN
    was tried once: raises UnreadableError, which names what is missing.
    """
    kind, der = _block(content)
    if kind == TPM:
        return HardwareKey(path, kind, _public_key_in(path, der))
    unlock(path, content)
    found = _openssl(path, kind, ["pkey", "-in", str(path), "-pubout", "-outform", "DER"], b"")
    return HardwareKey(path, kind, found)


def attributes_in(content: bytes) -> dict[str, str] | None:
    """Return the attributes of the URI in a file that names a key in a token; None for any other file."""
    kind, der = _block(content)
    try:
        return token_uri.parse(token_uri.in_der(der)) if kind == TOKEN else None
    except ValueError:
        return None


def unlock(path: Path, content: bytes) -> None:
    """Try the PIN of the token that the file at ``path`` names, once in this process, and find the key in it.

    OpenSSL would try a wrong PIN five times. A file that names no token is passed over. Raises UnreadableError.
    """
    kind, der = _block(content)
    if kind == TOKEN and der not in _unlocked:
        find_in_token(path, content)
        _unlocked.add(der)


_unlocked: set[bytes] = set()


def find_in_token(path: Path, content: bytes) -> TokenKey:
    """Return the key in the token that the file at ``path`` names; each cause of a failure has words of its own."""
    try:
        attributes = token_uri.parse(token_uri.in_der(_block(content)[1]))
    except ValueError as error:
        raise CertificateError(f"the private key {path} names a key in a token that cannot be read: {error}") from error
    try:
        module = provider.module_in_use()
        if not module:
            raise UnreadableError(
                provider.why_off()
                or "OpenSSL is not set up for tokens; `sudo tedge config set device.cryptoki.mode module` does that"
            )
        check_installed()
        there = pin_guard.keys(module, token.chosen(module, attributes), attributes)
        return _chosen_key(there, attributes)
    except UnreadableError as error:
        # The class says whether the PIN was refused.
        raise type(error)(f"cannot use the private key {path}: {error}") from error


def _chosen_key(there: list[TokenKey], attributes: Mapping[str, str]) -> TokenKey:
    wanted = token_uri.text_of({name: attributes[name] for name in token_uri.OF_KEY if name in attributes})
    private = [each for each in there if each.is_private and each.is_meant_by(attributes)]
    if not private:
        others = " and ".join(each.uri for each in there if each.is_private)
        raise UnreadableError(
            f"there is no key {wanted} in the token (it has {others or 'none'}); `sudo tedge hsm list-keys` lists them"
        )
    if len(private) > 1:
        found = " and ".join(f"id {each.identifier}" for each in private)
        raise UnreadableError(
            f"{len(private)} keys in the token are meant by {wanted} ({found}); name one of them: "
            f"`sudo tedge config set device.key_uri '{private[0].uri}'`"
        )
    if not any(not each.is_private and each.identifier == private[0].identifier for each in there):
        raise UnreadableError(
            f"the token has only the private half of {wanted}, and OpenSSL needs the public one too; make another key"
        )
    return private[0]


def made_in_tpm(kind: str, reached_by: str) -> bytes:
    """Make a key in the TPM and return its file; raises TedgeCertError with what is missing.

    ``kind`` is p256, p384, or the bits of an RSA key; ``reached_by`` says how the TPM is reached (its TCTI).
    """
    wanted = _KINDS[kind]
    variables = provider.variables() | {"TPM2OPENSSL_TCTI": reached_by, "TSS2_LOG": "all+none"}
    providers = ["-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2"]
    done = processes.pipe(["openssl", "genpkey", *providers, *wanted], b"", variables)
    if done.returncode or kind_in(done.stdout) != TPM:
        refused = (
            f"the TPM makes no key of this kind ({' '.join(wanted[1::2])}); another --type, --curve or --bits may do"
        )
        raise TedgeCertError(why_no_tpm(reached_by) or refused)
    return done.stdout


def kind_of(present: HardwareKey) -> str:
    """Return the kind of a key, as ``tedge hsm create-key`` names it; raises CertificateError for any other."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    public = load_der_public_key(present.public_key)
    curves = {"secp256r1": "p256", "secp384r1": "p384"}
    kind = str(public.key_size) if isinstance(public, rsa.RSAPublicKey) else ""
    kind = curves.get(public.curve.name, "") if isinstance(public, ec.EllipticCurvePublicKey) else kind
    if kind not in _KINDS:
        raise CertificateError(
            f"no new key is made like {present.path}: expected one on P-256 or P-384, or RSA of 2048, 3072 or 4096 bits"
        )
    return kind


def tried(path: Path, content: bytes) -> HardwareKey:
    """Sign once with the key whose file at ``path`` will have this content; raises CertificateError."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / path.name
        file.write_bytes(content)
        try:
            made = load(file, content)
            made.sign(b"tedge")
        except TedgeCertError as error:
            raise type(error)(str(error).replace(str(file), str(path))) from error
    return made


def _block(content: bytes) -> tuple[bytes, bytes]:
    try:
        return next(((label, der) for label, der, _ in pem.blocks(content) if label in (TPM, TOKEN)), (b"", b""))
    except PemError:
        return b"", b""


def _public_key_in(path: Path, der: bytes) -> bytes:
    """Return the public key in a TPMKey (the format of ``TSS2 PRIVATE KEY``)."""
    try:
        fields = _fields(der)
        # [0] EXPLICIT emptyAuth; its true is any octet but zero, and tpm2-openssl writes 1.
        has_password = not any(tag == 0xA0 and value[:2] == _BOOLEAN_TRUE and value[2] for tag, value in fields)
        public = next((value for tag, value in fields if tag == 0x04), b"")
        found = _of_tpm_public(public)
    except (IndexError, ValueError) as error:
        raise CertificateError(
            f"the private key {path} is a key of a TPM that cannot be read ({error}); expected what "
            "`openssl genpkey -provider tpm2` writes; restore the file"
        ) from error
    if has_password:
        raise CertificateError(
            f"the private key {path} is a key of a TPM with a password of its own, which mosquitto's bridge cannot "
            "give; expected one without password"
        )
    return found


def _fields(der: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element of a SEQUENCE."""
    _, begin, end = element(der, 0)
    found = []
    while begin < end:
        _, value, after = element(der, begin)
        found.append((der[begin], der[value:after]))
        begin = after
    return found


def _of_tpm_public(public: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a TPM2B_PUBLIC (TPM 2.0 Library, part 2, §12.2.5)."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    data = io.BytesIO(public)

    def taken(size: int) -> bytes:
        found = data.read(size)
        if len(found) < size:
            raise ValueError("its public part is cut off")
        return found

    def number(size: int) -> int:
        return int.from_bytes(taken(size), "big")

    number(2)
    kind, _, _ = number(2), number(2), number(4)
    taken(number(2))
    if number(2) != _NULL:
        number(4)
    if number(2) != _NULL:
        number(2)
    made: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    if kind == _RSA:
        number(2)
        exponent = number(4) or 65_537
        made = rsa.RSAPublicNumbers(exponent, int.from_bytes(taken(number(2)), "big")).public_key()
    elif kind == _ECC:
        curve = getattr(ec, _CURVES.get(number(2), ""), None)
        if curve is None:
            raise ValueError("its curve is not one of NIST's")
        if number(2) != _NULL:
            number(2)
        x, y = (int.from_bytes(taken(number(2)), "big") for _ in range(2))
        made = ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()
    else:
        raise ValueError(f"it is of the kind {kind:#06x}, expected RSA or EC")
    return made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _openssl(path: Path, kind: bytes, words: list[str], content: bytes) -> bytes:
    """Return what ``openssl`` prints with the provider of this process's environment; raises UnreadableError."""
    try:
        done = processes.pipe(["openssl", *words], content, provider.variables())
    except TedgeCertError as error:
        raise UnreadableError(f"cannot use the private key {path}: {error}") from error
    if done.returncode or not done.stdout:
        raise UnreadableError(f"cannot use the private key {path}: {_why(path, kind, words, content)}")
    return done.stdout


def _why(path: Path, kind: bytes, words: list[str], content: bytes) -> str:
    """Return the cause: OpenSSL's own words are the same for all of them, so they are looked at one by one."""
    name, what = ("tpm2", "TPM") if kind == TPM else ("pkcs11", "token")
    if kind == TPM and _is_installed(name) and "OPENSSL_CONF" not in os.environ:
        return "OpenSSL is not set up for it; `sudo tedge hsm create-key --tpm` does that, and keeps the key"
    if why := why_no_tpm(os.environ.get("TPM2OPENSSL_TCTI", "")) if kind == TPM else why_no_token(path):
        return why
    if name not in _said(["openssl", "list", "-providers"]).split():
        return f"OpenSSL's provider {name} is not on; expected an OPENSSL_CONF that names it, and a {what} that answers"
    if kind == TPM:
        return _answer_of_tpm(words, content)
    return (
        "OpenSSL's provider pkcs11 is on, and the token does not sign with this key; expected the token in which the "
        "key was made, with nothing cleared since"
    )


def _answer_of_tpm(words: list[str], content: bytes) -> str:
    """Return what the TPM answers when it is asked once more: only its library's log tells the answers apart."""
    said = processes.pipe(["openssl", *words], content, {**provider.variables(), "TSS2_LOG": "all+error"}).stderr
    for codes, answer in _ANSWERS.items():
        if any(f"(0x{code:08x})".encode() in said for code in codes):
            return answer.replace("NEW KEY", cures.command("hsm create-key", "--tpm", "--force-new"))
    return "the TPM answers, and does not sign with this key; `sudo journalctl -k --grep=tpm` may tell why"


# Answers of a TPM (TPM 2.0 Library, part 2, §6.6.3), with the parameter or session that they are about.
_ANSWERS = {
    (0x1DF,): "the TPM did not make this key, or was cleared since, which ends the key for good; expected the TPM in "
    "which the key was made. If there is no way back to it, NEW KEY makes another one, and then the device has to be "
    "registered again",
    (0x98E, 0x9A2): "the TPM's owner hierarchy has a password now, and keys are used without one; "
    "`sudo tpm2_changeauth -c owner -p PASSWORD` (package tpm2-tools) takes it away",
    (0x921,): "the TPM is locked out because some program tried wrong passwords, and this key has none; it ends by "
    "itself after a time, `sudo tpm2_dictionarylockout --clear-lockout` (package tpm2-tools) ends it at once",
    (0x902, 0x903): "other programs fill the TPM; the kernel makes room for all on /dev/tpmrm0: `sudo tedge config set "
    "device.tpm.tcti device:/dev/tpmrm0`, then `sudo tedge hsm create-key --tpm`, which keeps the key",
    (0x908, 0x922): "the TPM is busy; try again",
}


def why_no_token(path: Path) -> str:
    """Return why the token cannot be used now, after it could when this process began; empty if it can."""
    try:
        find_in_token(path, files.read_regular(path, follow=True))
    except UnreadableError as error:
        return str(error).partition(f"{path}: ")[2]
    except (OSError, CertificateError):
        pass
    return ""


def why_no_tpm(reached_by: str) -> str:
    """Return why the TPM cannot be used, and what to do; empty if it can be reached."""
    if not _is_installed("tpm2"):
        return _PACKAGES["tpm2"]
    node = reached_by.removeprefix("device:")
    if node.startswith("/") and (why := _why_shut(node)):
        return why
    listed = processes.pipe(
        ["openssl", "list", "-providers", "-provider", "tpm2", "-provider", "default"],
        b"",
        {**provider.variables(), "TPM2OPENSSL_TCTI": reached_by, "TSS2_LOG": "all+none"},
    )
    if listed.returncode == 0:
        return ""
    # The daemon runs as user tss.
    is_without_user = reached_by.startswith("tabrmd") and _group() is None
    return _PACKAGES["tpm-udev"] if is_without_user else f"the TPM does not answer (device.tpm.tcti {reached_by})"


def _why_shut(node: str) -> str:
    try:
        os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"there is no TPM at {node}; switch it on in the firmware, or set device.tpm.tcti to where it is"
    except PermissionError:
        return _why_refused(node)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return (
                f"another program uses the TPM {node}, which serves one at a time; `sudo tedge config set "
                "device.tpm.tcti device:/dev/tpmrm0`, then `sudo tedge hsm create-key --tpm`, which keeps the key"
            )
        return f"the TPM {node} cannot be opened: {error.strerror}; restart the device"
    return ""


def _why_refused(node: str) -> str:
    if _group() is None:
        return _PACKAGES["tpm-udev"]
    if _lets_group_in(node):
        cure = "`sudo tedge hsm create-key --tpm` lets it, and keeps the key"
        return f"user tedge may not open the TPM {node}; {cure}"
    return (
        f"the TPM {node} is shut to group {provider.GROUP}; expected mode 0660 and that group, which a rule of "
        f"package tpm-udev sets: `sudo udevadm trigger --action=add {node}`"
    )


def _lets_group_in(node: str) -> bool:
    """Return whether members of the group may use the TPM."""
    with suppress(OSError):
        facts = Path(node).stat()
        return facts.st_gid == _group() and facts.st_mode & 0o060 == 0o060
    return False


def _group() -> int | None:
    """Return the group that may use the TPM; None where its package is not installed."""
    try:
        return grp.getgrnam(provider.GROUP).gr_gid
    except KeyError:
        return None


_PACKAGES = {
    "tpm2": "OpenSSL's provider for a TPM is not installed: `sudo apt install tpm2-openssl`, then try again",
    # Debian 12 and 13 install it with the provider; testing only recommends it.
    "tpm-udev": f"there is no group {provider.GROUP}, which may use the TPM; its package is not installed: "
    "`sudo apt install tpm-udev`, then `sudo tedge hsm create-key --tpm`",
    "pkcs11": "OpenSSL's provider for a token is not installed: `sudo apt install pkcs11-provider` (Debian 12: with "
    "`-t bookworm-backports`), then try again",
}


def check_installed() -> None:
    """Raise UnreadableError with what to install, if OpenSSL's provider for a key in a token is missing."""
    if not _is_installed("pkcs11"):
        raise UnreadableError(_PACKAGES["pkcs11"])


def _is_installed(name: str) -> bool:
    directory = _said(["openssl", "version", "-m"]).partition('"')[2].partition('"')[0]
    return os.path.exists(f"{directory}/{name}.so")  # noqa: PTH110 (a name that openssl said)


def _said(command: list[str]) -> str:
    return processes.pipe(command, b"", provider.variables()).stdout.decode("utf-8", "replace")
