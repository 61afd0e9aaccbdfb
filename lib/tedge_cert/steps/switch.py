# SPDX-License-Identifier: Apache-2.0
"""Switch certificate, candidate and previous on disk, in an order that survives a power cut.

At every instant the certificate is whole and fits the key; while it is in doubt, previous lies beside it. The caller
holds the lock of the certificate.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import cures
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import CertificateError, TedgeCertError, UnreadableError
from tedge_cert.hourly.validity import EXPIRED
from tedge_cert.x509 import certificate, keys


def refuse_directory(path: Path) -> None:
    """Raise TedgeCertError if ``path`` is a directory: no file can be renamed to it."""
    if path.is_dir() and not path.is_symlink():
        raise TedgeCertError(f"{path} is a directory, where a certificate belongs; remove it")


@dataclass(frozen=True)
class Prepared:
    """Two synced temporary files: the next previous, and the next certificate."""

    copy: Path
    fresh: Path

    def discard(self) -> None:
        """Remove those of both that still exist."""
        self.copy.unlink(missing_ok=True)
        self.fresh.unlink(missing_ok=True)


@dataclass(frozen=True)
class Switch:
    """The paths of certificate, candidate and previous, and the steps between them."""

    certificate: Path
    candidate: Path
    previous: Path

    @staticmethod
    def of(instance: Instance) -> "Switch":
        """Return the switch of an instance's certificate."""
        return Switch(instance.certificate, instance.candidate, instance.previous)

    @property
    def is_unfinished(self) -> bool:
        """Whether a certificate was replaced and not yet confirmed."""
        # A link that points nowhere counts too, as it does in the hourly check.
        return os.path.lexists(self.previous)

    @property
    def has_candidate(self) -> bool:
        """Whether there is a file at the candidate's path, or a link, even one that points nowhere."""
        return os.path.lexists(self.candidate)

    def settle(self) -> None:
        """Remove leftovers of an interrupted run that mean nothing any more.

        If previous equals the certificate, the rename never happened. If the candidate equals the certificate, it was
        promoted.
        """
        self._check_kinds()
        active = _content(self.certificate)
        if active is None:
            return
        for leftover in (self.previous, self.candidate):
            if _content(leftover) == active:
                files.remove(leftover)

    def flaw_of_previous(self, key: Path) -> str | None:
        """Return why previous can never be put back; None if it can."""
        try:
            previous = certificate.load(self.previous)
        except CertificateError as error:
            return str(error)
        try:
            keys.load_for(key, previous, self.previous)
        except UnreadableError:
            # Nothing is known of a key in a token that is not there: previous stays.
            raise
        except CertificateError as error:
            return str(error)
        if previous.validity.state(time.time(), 0) == EXPIRED:
            return (
                f"{self.previous} has expired; {cures.once_expired(cures.register_again(previous.validity.device_id))}"
            )
        return None

    def _check_kinds(self) -> None:
        if self.certificate.is_symlink():
            # A link that leads to itself cannot be resolved.
            there = self.certificate.resolve() if self.certificate.exists() else "there is none where the link leads"
            raise TedgeCertError(
                f"{self.certificate} is a symbolic link, which a renewal would replace by a file; set device.cert_path "
                f"to the file itself: {there}"
            )
        refuse_directory(self.previous)

    def prepare(self, pem: bytes) -> Prepared:
        """Put ``pem`` and a copy of the certificate beside the certificate, under temporary names.

        A copy, never a hard link: renaming one name of an inode to another does nothing at all (rename(2)).
        """
        copy = files.write_temporary(self.previous, self.certificate.read_bytes(), owners.CERTIFICATE)
        try:
            return Prepared(copy, files.write_temporary(self.certificate, pem, owners.CERTIFICATE))
        except BaseException:
            copy.unlink()
            raise

    def promote(self, prepared: Prepared, found: bytes) -> float:
        """Make the fresh file the certificate, the old one previous; ``found`` is what the candidate held.

        Returns when the certificate was renamed, in monotonic seconds.
        """
        files.rename(prepared.copy, self.previous)
        renamed_s = files.rename(prepared.fresh, self.certificate)
        # A candidate that was put there meanwhile is not ours to remove.
        if _content(self.candidate) == found:
            files.remove(self.candidate)
        return renamed_s

    def confirm(self) -> None:
        """Remove previous: the certificate has proved itself."""
        files.remove(self.previous)

    def put_back(self, keep: bytes | None = None) -> None:
        """Make previous the certificate again; ``keep`` becomes the candidate first, to be promoted again."""
        if keep is not None:
            files.write(self.candidate, keep, owners.CERTIFICATE)
        files.rename(self.previous, self.certificate)


def _content(path: Path) -> bytes | None:
    try:
        return files.read_regular(path)
    except OSError:
        return None
