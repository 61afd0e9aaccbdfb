# SPDX-License-Identifier: Apache-2.0
"""Start the tenant; see `--help`."""

import argparse
import asyncio
import json
import os
import resource
import secrets
import signal
import ssl
import sys
from pathlib import Path

from aiohttp import web

from tenant.accesstoken import AccessToken, Front
from tenant.authority import keep_authority, write_server_certificate
from tenant.control import Control
from tenant.est import Est, Issuer
from tenant.faults import FaultList
from tenant.httpfaults import make_faults
from tenant.microservice import Microservice
from tenant.mqtt import MqttServer
from tenant.rest import Rest
from tenant.settings import Settings
from tenant.state import State
from tenant.tokens import Tokens
from tenant.trust import Trust, server_context
from tenant.web import Callers, log_requests

_BACKLOG = 4096  # thousands of devices may come at once


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tenant", description="A Cumulocity tenant for one machine.")
    parser.add_argument("--directory", type=Path, required=True, help="where keys and certificates are kept")
    parser.add_argument("--host", action="append", help="a name or address in the server certificate; may be repeated")
    parser.add_argument("--listen", default="127.0.0.1", help="address for HTTPS and MQTT (default: %(default)s)")
    simple = "its own chain has no key identifiers and nothing critical, as simple tools make it"
    parser.add_argument("--simple-chain", action="store_true", help=simple)
    for name in ("http", "mqtt", "token", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 (default) takes any free one")
    return parser.parse_args()


def _allow_many_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve_web(
    application: web.Application, address: str, port: int, context: ssl.SSLContext | None
) -> web.AppRunner:
    # A client that hangs up ends its handler, else every silent answer would stay for ever.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, port, ssl_context=context, backlog=_BACKLOG).start()
    return runner


async def _serve_tokens(
    application: web.Application, state: State, trust: Trust, arguments: argparse.Namespace
) -> tuple[asyncio.Server, web.AppRunner]:
    """The port for client certificates; what is behind it has a socket without a file."""
    behind = f"\0tenant-{secrets.token_hex(8)}"
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, behind, backlog=_BACKLOG).start()
    front = Front(state, trust, behind)
    return await asyncio.start_server(front.serve, arguments.listen, arguments.token_port, backlog=_BACKLOG), runner


async def _wait_for_parent(parent: int) -> None:
    """Wait until the process that started this one has gone: a run that was killed leaves no port taken."""
    while os.getppid() == parent:
        await asyncio.sleep(1)


async def _run(arguments: argparse.Namespace) -> None:
    parent = os.getppid()
    hosts = arguments.host or ["localhost", "127.0.0.1"]
    directory = arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    root = keep_authority(directory, "device-ca", "tenant CA")
    devices = (root, keep_authority(directory, "device-intermediate", "tenant intermediate CA", root))
    simple = arguments.simple_chain
    above = keep_authority(directory, "server-ca", "tenant server CA", simple=simple)
    server = write_server_certificate(directory, above, hosts, simple)
    settings, faults, state = Settings(), FaultList(), State()
    tokens = Tokens(hosts[0], settings)
    issuer = Issuer(settings, state, devices)
    callers = Callers(settings, tokens)
    application = web.Application(middlewares=[log_requests(state, callers), make_faults(faults)])
    application.add_routes(Est(settings, state, issuer, callers).routes())
    application.add_routes(Microservice(settings, callers, issuer).routes())
    application.add_routes(Rest(settings, state, callers, hosts[0], root).routes())
    https = await _serve_web(application, arguments.listen, arguments.http_port, server_context(*server))
    control = await _serve_web(
        Control(settings, faults, state, issuer).application(), "127.0.0.1", arguments.control_port, None
    )
    mqtt_server = MqttServer(state, settings, faults, Trust(server, devices, settings, state, faults), tokens)
    mqtt = await asyncio.start_server(mqtt_server.serve, arguments.listen, arguments.mqtt_port, backlog=_BACKLOG)
    front, access = await _serve_tokens(
        AccessToken(settings, state, faults, tokens).application(),
        state,
        Trust(server, devices, settings, state, faults, "access"),
        arguments,
    )
    ready = {
        "address": arguments.listen,
        "http": https.addresses[0][1],
        "mqtt": mqtt.sockets[0].getsockname()[1],
        "token": front.sockets[0].getsockname()[1],
        "control": control.addresses[0][1],
        "server_ca": str(directory / "server-ca.pem"),
        "device_ca": str(directory / "device-ca.pem"),
    }
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(json.dumps(ready), flush=True)
    ends = [asyncio.create_task(each) for each in (stop.wait(), _wait_for_parent(parent))]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    mqtt.close()
    front.close()
    await access.cleanup()
    await https.cleanup()
    await control.cleanup()


if __name__ == "__main__":
    _allow_many_connections()
    asyncio.run(_run(_arguments()))
    sys.exit(0)
