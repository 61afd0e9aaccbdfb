# SPDX-License-Identifier: Apache-2.0
"""Switch certificate, candidate and previous on disk, in an order that survives a power cut.

At every instant the certificate is whole and fits the key; while it is in doubt, previous lies beside it. The caller
holds the lock of the certificate.

A candidate with a key of its own is switched together with the key, by two renames without anything in between: first
the certificate, then the key, as mosquitto and ``ssl`` open them. Previous, with its key, lies on disk before that and
goes last, so an interrupted switch is always found by it. If certificate and key do not fit after an interruption, the
certificate decides: the key that belongs to it lies beside the key, and is known by its public key.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import cures, journal
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import CertificateError, TedgeCertError, UnreadableError
from tedge_cert.hourly.validity import EXPIRED
from tedge_cert.x509 import certificate, keys


def refuse_directory(path: Path, what: str = "a certificate") -> None:
    """Raise TedgeCertError if ``path`` is a directory: no file can be renamed to it."""
    if path.is_dir() and not path.is_symlink():
        raise TedgeCertError(f"{path} is a directory, where {what} belongs; remove it")


@dataclass(frozen=True)
class Prepared:
    """Synced temporary files: the next previous, and the next certificate; the same of the key where that changes."""

    copy: Path
    fresh: Path
    copy_of_key: Path | None = None
    fresh_key: Path | None = None

    def discard(self) -> None:
        """Remove those that still exist."""
        for each in (self.copy, self.fresh, self.copy_of_key, self.fresh_key):
            if each is not None:
                each.unlink(missing_ok=True)


@dataclass(frozen=True)
class Switch:
    """The paths of certificate, candidate and previous, those of their keys, and the steps between them."""

    certificate: Path
    candidate: Path
    previous: Path
    key: Path
    candidate_key: Path
    previous_key: Path

    @staticmethod
    def of(instance: Instance) -> "Switch":
        """Return the switch of an instance's certificate."""
        return Switch(
            instance.certificate,
            instance.candidate,
            instance.previous,
            instance.key_file,
            instance.candidate_key,
            instance.previous_key,
        )

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
        self.settle_keys()
        active = _content(self.certificate)
        if active is None:
            return
        if _content(self.previous) == active:
            files.remove(self.previous)
        if _content(self.candidate) == active and files.remove(self.candidate):
            journal.info(f"removed {self.candidate}: it is the certificate in use already")

    def settle_keys(self) -> None:
        """Give the certificate its key back if they do not fit, and remove keys that mean nothing any more."""
        if not (os.path.lexists(self.candidate_key) or os.path.lexists(self.previous_key)):
            return
        wanted = b""
        try:
            wanted = certificate.load(self.certificate).public_key
            present = keys.public_key(keys.load(self.key))
        except UnreadableError:
            return
        except CertificateError:
            present = b""
            # Whether a broken certificate can be replaced is decided later; no key is touched for it.
            if not wanted:
                return
        if present != wanted and not self._recover_key(wanted):
            return
        for leftover in (self.previous_key, self.candidate_key):
            if _public_key(leftover) == wanted:
                files.remove(leftover)
        if not self.is_unfinished and files.remove(self.previous_key):
            journal.info(f"removed {self.previous_key}, the key of a certificate that is not there any more")

    def _recover_key(self, wanted: bytes) -> bool:
        """Make the key beside the key that belongs to the certificate the key; return whether there is one."""
        if _public_key(self.previous_key) == wanted:
            # The rename of the certificate never happened.
            found, kept = self.previous_key, self.candidate_key
        elif _public_key(self.candidate_key) == wanted:
            # The rename of the key never happened.
            found, kept = self.candidate_key, self.previous_key
        else:
            return False
        present = _content(self.key)
        if present is not None and not os.path.lexists(kept):
            files.write(kept, present, owners.access_of(self.key.stat()))
        files.rename(found, self.key)
        journal.info(f"an interrupted switch left {self.key} without the key of {self.certificate}: it has it again")
        return True

    def flaw_of_previous(self) -> str | None:
        """Return why previous can never be put back; None if it can."""
        try:
            previous = certificate.load(self.previous)
        except CertificateError as error:
            return str(error)
        try:
            keys.load_for(self.previous_key if self.changes_key else self.key, previous, self.previous)
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
        refuse_directory(self.previous_key, "a private key")

    @property
    def changes_key(self) -> bool:
        """Whether previous has a key of its own."""
        return os.path.lexists(self.previous_key)

    def prepare(self, pem: bytes, key: bytes | None = None) -> Prepared:
        """Put ``pem`` and a copy of the certificate beside the certificate, under temporary names.

        A copy, never a hard link: renaming one name of an inode to another does nothing at all (rename(2)). ``key`` is
        the content of the key of ``pem``, if that is not the present key: then the same is done for the key.
        """
        wanted = [
            (self.previous, self.certificate.read_bytes(), owners.CERTIFICATE),
            (self.certificate, pem, owners.CERTIFICATE),
        ]
        if key is not None:
            access = owners.access_of(self.key.stat())
            wanted += [(self.previous_key, self.key.read_bytes(), access), (self.key, key, access)]
        made: list[Path] = []
        try:
            for each in wanted:
                made.append(files.write_temporary(*each))
        except BaseException:
            for temporary in made:
                temporary.unlink()
            raise
        return Prepared(*made)

    def promote(self, prepared: Prepared, found: bytes) -> float:
        """Make the fresh file the certificate, the old one previous; ``found`` is what the candidate held.

        Returns when the certificate was renamed, in monotonic seconds.
        """
        if prepared.copy_of_key is not None and prepared.fresh_key is not None:
            files.rename(prepared.copy_of_key, self.previous_key)
            files.rename(prepared.copy, self.previous)
            renamed_s = files.rename_together((prepared.fresh, self.certificate), (prepared.fresh_key, self.key))
        else:
            files.rename(prepared.copy, self.previous)
            renamed_s = files.rename(prepared.fresh, self.certificate)
        # A candidate that was put there meanwhile is not ours to remove.
        if _content(self.candidate) == found:
            files.remove(self.candidate)
        if prepared.fresh_key is not None and _content(self.candidate_key) == _content(self.key):
            files.remove(self.candidate_key)
        return renamed_s

    def confirm(self) -> None:
        """Remove previous: the certificate has proved itself."""
        if self.changes_key:
            files.remove(self.previous_key)
        files.remove(self.previous)

    def put_back(self, keep: bytes | None = None) -> None:
        """Make previous the certificate again; ``keep`` becomes the candidate first, to be promoted again."""
        if keep is not None:
            if self.changes_key:
                files.write(self.candidate_key, self.key.read_bytes(), owners.access_of(self.key.stat()))
            files.write(self.candidate, keep, owners.CERTIFICATE)
        if self.changes_key:
            files.rename(self.previous_key, self.key)
        files.rename(self.previous, self.certificate)


def _content(path: Path) -> bytes | None:
    try:
        return files.read_regular(path)
    except OSError:
        return None


def _public_key(path: Path) -> bytes:
    """Return the public key of a private key; empty if there is none that can be used. No link is followed."""
    content = _content(path)
    try:
        return keys.public_key(keys.from_content(path, content)) if content else b""
    except CertificateError:
        return b""
