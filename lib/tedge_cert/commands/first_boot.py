# SPDX-License-Identifier: Apache-2.0
"""The first boot without a person: the unit's credentials, one attempt a start, and root's part after it."""

import os
import time
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge import conf_files
from tedge_cert.commands import connect, download, hardware_id, reconnect, root_tasks
from tedge_cert.commands.download import LONGEST_PASSWORD, SHORTEST_PASSWORD, Registration, checked_host
from tedge_cert.commands.needs_download import is_certified
from tedge_cert.config.edit import set_value
from tedge_cert.config.settings import Config
from tedge_cert.config.values import split_endpoint
from tedge_cert.device import registration_record as record
from tedge_cert.device.connection_settings import est_of, files_of, mosquitto_of, tenant_of
from tedge_cert.device.instance import Instance, Names, device_id_for, load_config, load_instance
from tedge_cert.device.registration_record import Attempts
from tedge_cert.disk import files, owners, privileges
from tedge_cert.durations import format_duration
from tedge_cert.errors import CredentialError, RequestRefusedError, TedgeCertError, WaitsForApprovalError
from tedge_cert.steps import back_off, outcome
from tedge_cert.x509 import certificate, clock

DEVICE_ID = "tedge.device-id"
PASSWORD = "tedge.one-time-password"  # noqa: S105 (the name of the credential)
URL = "tedge.c8y-url"
STORES = (Path("/etc/credstore"), Path("/etc/credstore.encrypted"))
# For which passwords root has connected the device; only root writes there.
_MARKS = Path("/var/lib/tedge-first-boot")
FIRST_PAUSE_S, LAST_PAUSE_S = 10, 3600
# Stands where the digest of the credentials is, once the device is registered and only has to be connected.
_CONNECTING = "connecting"


def wait_to_connect(instance: Instance) -> None:
    """Pause before another attempt to connect a device that is registered; raises ClockError if the clock is wrong."""
    before = _wait(instance, _CONNECTING)
    failed = before.failed + 1
    record.save_attempts(instance, Attempts(_CONNECTING, failed, time.monotonic(), _pause_s(failed)))
    # Connecting needs a clock that is right.
    clock.check_clock(certificate.load(instance.certificate), instance.certificate)
    journal.info("the device is registered and not connected yet")


def read_credentials(instance: Instance, ca: str = "c8y") -> Registration:
    """Read which device to register where; raises CredentialError for credentials that another attempt cannot mend."""
    if ca == download.EST:
        return _at_authority(instance)
    password = read_password()
    url = read(URL)
    try:
        is_set = instance.config.get("c8y.http") is not None
        host = checked_host(url if url and not is_set else instance.config.need("c8y.http"))
        return Registration(_identity(instance), password, generated=False, host=host)
    except TedgeCertError as error:
        raise CredentialError(f"{error}; or give credentials: {DEVICE_ID}, {URL}") from error


def _at_authority(instance: Instance) -> Registration:
    """Return the registration with the operator's own authority; a factory certificate makes a password needless."""
    password = read(PASSWORD)
    try:
        identity = _identity(instance)
        est = est_of(instance.config, identity)
    except TedgeCertError as error:
        raise CredentialError(str(error)) from error
    if est.factory is not None and record.digest(password) == record.last_password(instance):
        password = ""
    if not password and est.factory is None:
        raise CredentialError(
            f"no factory certificate at {instance.config.need('c8y.est.bootstrap.cert_path')} "
            f"(est.bootstrap.cert_path), and no credential {PASSWORD}: the authority {est.enrolment.host} needs one of "
            "them"
        )
    return Registration(identity, password, generated=False, host=est.enrolment.host, est=est)


def refuse_spent_password(instance: Instance, registration: Registration) -> None:
    """Raise CredentialError if the last registration that was finished used the same password."""
    if registration.password and record.digest(registration.password) == record.last_password(instance):
        raise CredentialError(
            f"the one-time password of {registration.device_id} has been used already: register the device again with "
            f"{registration.host}, and give the new password as the credential {PASSWORD}"
        )


def register(instance: Instance, registration: Registration) -> None:
    """Ask once, after a pause that grows with each failed attempt since the boot, or that the last answer asked for.

    Raises TedgeCertError, which the next start may mend. The pause does not apply to other credentials.
    """
    before = _wait(instance, record.digest(registration.device_id, registration.password, registration.host))
    record.begin(instance, record.digest(registration.password))
    try:
        new = download.download_once(instance, registration)
    except TedgeCertError as error:
        failed = before.failed + 1
        pause_s = _pause_s(failed, error)
        record.save_attempts(instance, Attempts(before.credentials, failed, time.monotonic(), pause_s))
        # A certificate that is not valid yet by our clock was written; it only has to be connected.
        state = "registered, but not connected" if is_certified(instance) else "not registered"
        following = format_duration(pause_s, 2)
        raise TedgeCertError(
            f"{registration.device_id} is {state}: {error}; asking again in {following} (attempt {failed})"
        ) from error
    journal.info(f"registered as {registration.device_id}: {instance.certificate}, serial {new.leaf.serial_number:x}")


def finish(profile: str, directory: str = "", ca: str = "c8y") -> int:
    """Connect the device that the unit registered: root's part. Return the exit code; raises TedgeCertError.

    Root acts for a password that root's side gave (a credential of the unit, a file in the store), once for each
    password, and once for the operator's own authority, which root's unit names. Nothing that user tedge can write
    makes root do it.
    """
    names = Names("c8y", profile)
    password, url = (read(each) for each in (PASSWORD, URL))
    mark = _MARKS / f"{names.name}.connected"
    given = password or (ca if ca == download.EST else "")
    if not given:
        return 0
    config = load_config("c8y", profile, directory)
    if mark.exists() and mark.read_text(encoding="ascii") == record.digest(given):
        if config.is_of_system:
            privileges.drop()
        _conclude(load_instance("c8y", profile, directory))
        return 0
    if url and config.get("c8y.http") is None:
        _set_tenant(config, checked_host(url))
    code = root_tasks.serve(profile) if config.is_of_system else None
    if code is None:
        _connect(load_instance("c8y", profile, directory))
        if privileges.has_parent():
            return 0
        code = 0
    if code == 0:
        files.make_directory(_MARKS, owners.DIRECTORY_OF_ROOT)
        files.write(mark, record.digest(given).encode(), owners.CONFIGURATION_LOCK)
        for store in STORES:
            _remove_password(store / PASSWORD)
    return code


def _connect(instance: Instance) -> None:
    """Connect the device as tedge, if its registration was not finished yet."""
    if not record.is_unfinished(instance):
        return
    if not instance.bridge_file.exists():
        connect.connect(instance, offline=False)
    else:
        if conf_files.is_current(files_of(instance), mosquitto_of(instance, tenant_of(instance))):
            journal.info("the bridge uses the new certificate when it connects again, within half a minute")
        else:
            reconnect.reconnect(instance, offline=False)
        # `connect` does this itself.
        outcome.tell_fleet(instance)
    record.finish(instance)


def _conclude(instance: Instance) -> None:
    """Finish, as tedge, a further registration of a device that root has connected before."""
    if not record.is_unfinished(instance):
        return
    journal.info(f"the device has its certificate: {download.next_step(instance)}")
    if instance.bridge_file.exists():
        outcome.tell_fleet(instance)
    record.finish(instance)


def read(name: str) -> str:
    """Read a credential without the line break of an editor; empty if the unit was given none."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        return ""
    try:
        return Path(directory, name).read_bytes().decode().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CredentialError(f"cannot read the credential {name}: {reason}") from error


def read_password() -> str:
    """Read the one-time password; raises CredentialError if there is none, or if it cannot be one."""
    found = read(PASSWORD)
    if not found:
        raise CredentialError(
            f"there is no one-time password: give it as the credential {PASSWORD}, for instance in "
            f"{STORES[0]}/{PASSWORD}; with your own authority, Environment=REGISTER_WITH_CA=est in the unit needs none"
        )
    if not (SHORTEST_PASSWORD <= len(found) <= LONGEST_PASSWORD and found.isprintable()):
        raise CredentialError(
            f"the credential {PASSWORD} is no one-time password: expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} "
            f"characters on one line, got {len(found)}; an encrypted one needs LoadCredentialEncrypted= "
            "(tedge-first-boot(7))"
        )
    return found


def _set_tenant(config: Config, address: str) -> None:
    """Set the tenant, with its port if that is not 443."""
    host, port = split_endpoint(address, 443)
    set_value(config, "c8y.url", host)
    if port != 443:
        set_value(config, "c8y.http", f"{host}:{port}")


def _identity(instance: Instance) -> str:
    given = device_id_for(instance.config, "c8y.device.id", read(DEVICE_ID) or None)
    if given:
        return given
    identity, source = hardware_id.of_this_device()
    journal.info(f"no credential {DEVICE_ID}: the device is {identity}, after {source}")
    return identity


def _wait(instance: Instance, digest: str) -> Attempts:
    """Sleep for the rest of the pause after the last attempt with the same credentials, and return what is recorded.

    Raises TedgeCertError after an hour, because a start of the unit has a time limit; the next one goes on.
    """
    before = record.attempts(instance)
    if before.credentials != digest:
        return Attempts(digest)
    left_s = before.at_s + before.pause_s - time.monotonic()
    time.sleep(min(LAST_PAUSE_S, before.pause_s, max(0.0, left_s)))
    if LAST_PAUSE_S < left_s <= before.pause_s:
        ends = format_duration(int(left_s - LAST_PAUSE_S), 2)
        raise TedgeCertError(f"nothing asked for: the last answer asked for a pause, which ends in {ends}")
    return before


def _pause_s(failed: int, error: TedgeCertError | None = None) -> int:
    """Return ten seconds after the first failure, and twice as long after each further one, up to an hour.

    A pause that the last answer asked for is kept, up to a day; while a person has to approve the request, it alone
    decides.
    """
    growing = min(LAST_PAUSE_S, FIRST_PAUSE_S << min(failed - 1, 20)) if failed else 0
    requested = error.retry_after_s if isinstance(error, RequestRefusedError) else None
    if requested is None:
        return growing
    shortest = FIRST_PAUSE_S if isinstance(error, WaitsForApprovalError) else growing
    return max(shortest, min(requested, back_off.LONGEST_REQUESTED_S))


def _remove_password(path: Path) -> None:
    try:
        if files.remove(path):
            journal.info(f"removed the used one-time password {path}")
    except TedgeCertError as error:
        journal.info(f"the password in {path} is spent, but stays there: {error}")
