# SPDX-License-Identifier: Apache-2.0
"""``tedge cert renew --dry-run``: look at everything that a renewal needs before its request; nothing is written."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from tedge_cert import cures, terminal
from tedge_cert.authority import est_server
from tedge_cert.device.connection_settings import connected_broker, est_of, tenant_of
from tedge_cert.device.connections import Tenant
from tedge_cert.device.instance import Instance, identity
from tedge_cert.disk.space import space_in
from tedge_cert.durations import format_duration
from tedge_cert.errors import CertificateError, ClockError, TedgeCertError
from tedge_cert.net import https, server_clock
from tedge_cert.net.https import Request
from tedge_cert.net.server import Server
from tedge_cert.steps.renew import EST, SELF_SIGNED, Wanted, changes_key, check_place
from tedge_cert.steps.switch import Switch
from tedge_cert.tenant import rest, token
from tedge_cert.x509 import certificate, clock, keys, requests

# No file can be there, so the check for a token remembers nothing.
_NOWHERE = Path("/dev/null/nothing")

Check = tuple[str, Callable[[], str]]


def rehearse(instance: Instance, wanted: Wanted) -> int:
    """Print a line for each thing that the request needs; return 1 if one is missing."""
    failed = False
    for name, look in _checks(instance, wanted):
        try:
            is_good, said = True, look()
        except TedgeCertError as error:
            is_good, said, failed = False, str(error), True
        terminal.out(f"{terminal.mark(is_good)} {name}: {said}\n")
    terminal.out("nothing was asked for and nothing was written\n")
    return 1 if failed else 0


def _checks(instance: Instance, wanted: Wanted) -> Iterator[Check]:
    authority = wanted.authority
    yield "switch", partial(_switch, instance)
    yield "certificate", partial(_certificate, instance, authority)
    yield "key", partial(_key, instance, wanted)
    yield "directory", partial(_directory, instance)
    if authority == EST:
        yield "authority and clock", partial(_est, instance)
    elif authority != SELF_SIGNED:
        tenant = replace(tenant_of(instance), token_memory=_NOWHERE)
        yield "authority and clock", partial(_clock_of, tenant, Request("GET", rest.OPEN_PATH))
        yield "token", partial(_token, instance, tenant)


def _switch(instance: Instance) -> str:
    if Switch.of(instance).is_unfinished:
        raise TedgeCertError(f"the last one is unfinished, so none is asked for; {cures.finish()}")
    return "none is unfinished"


def _certificate(instance: Instance, authority: str) -> str:
    current = certificate.load(instance.certificate)
    # The device signs a successor of an expired certificate too.
    check = clock.check_clock if authority == SELF_SIGNED else clock.check_presentable
    check(current, instance.certificate)
    if authority == SELF_SIGNED and not current.is_self_signed:
        raise CertificateError(f"{instance.certificate} is not self-signed; renew it with `--ca c8y`")
    return f"{instance.certificate}, {format_duration(current.validity.left_s(time.time()), 2)} left"


def _key(instance: Instance, wanted: Wanted) -> str:
    changes = changes_key(instance, wanted)
    key = keys.load_for(instance.key, certificate.load(instance.certificate), instance.certificate)
    said = f"{instance.key} is that of the certificate"
    if changes:
        return f"{said}, and a new one can be put beside it ({instance.candidate_key})"
    if wanted.csr is not None:
        requests.load_request(wanted.csr, key)
    return said


def _directory(instance: Instance) -> str:
    check_place(instance.candidate)
    directory = instance.certificate.parent
    try:
        space = space_in(directory)
    except OSError as error:
        raise TedgeCertError(f"cannot look at {directory}: {error.strerror}") from error
    if space.fault:
        raise TedgeCertError(f"{space.fault}; see `{space.cure}`")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise TedgeCertError(f"this user may not write in {directory}; {cures.write_refused(instance.candidate)}")
    return f"{directory} can be written, {space.free_bytes >> 20} MiB free"


def _est(instance: Instance) -> str:
    authority = est_of(instance.config, identity(instance))
    return _clock_of(authority.renewal, est_server.request_of_ca_certificates(authority.renewal))


def _clock_of(server: Server, request: Request) -> str:
    # A request without a credential: what it answers tells nothing of the certificate.
    answer = https.ask(server, request, compares_clock=False)
    found = server_clock.difference(answer.headers)
    if found is None:
        return f"{server.host} answers, but does not tell its time"
    if found.is_too_large:
        raise ClockError(f"the clock is {found} that of {server.host}; {cures.clock()}")
    return f"{server.host} answers, and the clock is {found} that of it"


def _token(instance: Instance, tenant: Tenant) -> str:
    active = certificate.load(tenant.certificate)
    clock.check_presentable(active, tenant.certificate)
    keys.load_for(tenant.key, active, tenant.certificate)
    token.get_credential(tenant, connected_broker(instance), again=False)
    return f"{tenant.host} gives one"
