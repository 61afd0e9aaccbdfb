# SPDX-License-Identifier: Apache-2.0
"""The MQTT server: who gets in, and how."""

import asyncio
import ssl
import time

from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.connect import ConnectPacket

from tenant.faults import ACCEPT_FAULTS, REFUSALS, TLS_REFUSALS, FaultList, Peer
from tenant.session import MqttSession, Office
from tenant.settings import Settings
from tenant.state import State
from tenant.tlsstream import TlsStream, drain_peer, reset
from tenant.tokens import TENANT_ID, Tokens
from tenant.trust import Trust

_CONNECT_S = 60.0
_NOT_AUTHORIZED = 5
_BRIDGE_BIT = 0x80  # mosquitto marks a bridge in the protocol level


class MqttServer:
    """Serves every MQTT connection."""

    def __init__(self, state: State, settings: Settings, faults: FaultList, trust: Trust, tokens: Tokens) -> None:
        self._state = state
        self._settings = settings
        self._faults = faults
        self._trust = trust
        self._office = Office(state, faults, tokens)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection from its first octet to its last."""
        peername = writer.get_extra_info("peername")
        address = str(peername[0]) if peername else ""
        if fault := self._faults.take("mqtt", ACCEPT_FAULTS, Peer(address=address)):
            await _refuse_at_accept(fault.do, reader, writer)
            return
        stream = TlsStream(reader, writer, self._trust.context())
        try:
            async with asyncio.timeout(_CONNECT_S):
                await stream.handshake()
                connect = await ConnectPacket.from_stream(stream)
        except ssl.SSLError as error:
            self._note_failure(address, str(error))
            await stream.linger()
        except (ConnectionError, TimeoutError, EOFError, AMQTTError, MQTTError, NoDataError) as error:
            self._note_failure(address, f"{type(error).__name__}: {error}")
            writer.close()
        else:
            await self._admit(stream, connect, address)

    def _note_failure(self, address: str, reason: str) -> None:
        self._state.failed_handshakes.append({"time": time.time(), "address": address, "reason": reason})

    async def _admit(self, stream: TlsStream, connect: ConnectPacket, address: str) -> None:
        """Judge a CONNECT, then serve the session or turn it away."""
        serial, common_name = stream.certificate()
        device = str(connect.payload.client_id)
        if not serial and self._knows(connect):
            common_name = device
        peer = Peer(device=common_name, serial=serial, issued_at=self._state.issued_at(serial), address=address)
        refusal, code = self._refusal(connect, device, peer)
        if refusal:
            await _turn_away(stream, refusal, code)
            if refusal != "close-after-connack":
                self._note_failure(address, f"{device}: refused: {refusal} {code}")
        if refusal and refusal != "close-after-connack":
            return
        if self._faults.take("mqtt", ("silent-after-connect",), peer):
            await stream.swallow()
            return
        if slow := self._faults.take("mqtt", ("slow-connack",), peer):
            await asyncio.sleep(slow.get("delay_s", 5))
        session = MqttSession(self._office, stream, peer, connect.keep_alive)
        await session.run(close_at_once=refusal == "close-after-connack")

    def _knows(self, connect: ConnectPacket) -> bool:
        """Whether user and password are those of a device, the user with the tenant before it or without."""
        users, user = self._settings.device_users, str(connect.payload.username or "")
        wanted = users.get(user) or users.get(user.removeprefix(f"{TENANT_ID}/"))
        return bool(wanted) and wanted == connect.payload.password

    def _refusal(self, connect: ConnectPacket, device: str, peer: Peer) -> tuple[str, int]:
        """How this CONNECT is refused, with a code for CONNACK; empty if it is accepted."""
        if connect.variable_header.proto_level & ~_BRIDGE_BIT not in (3, 4):
            return "connack", 1
        if peer.device != device:
            return "connack", _NOT_AUTHORIZED
        if peer.serial in self._state.revoked:
            answer = self._settings.revoked_answer
            # The handshake has let it through, so it was revoked since.
            return ("connack" if answer in TLS_REFUSALS else answer), _NOT_AUTHORIZED
        fault = self._faults.take("mqtt", [do for do in REFUSALS if do not in TLS_REFUSALS], peer)
        return (fault.do, int(fault.get("code", _NOT_AUTHORIZED))) if fault else ("", 0)


async def _refuse_at_accept(do: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do what befalls a connection before it has said anything."""
    if do == "reset-at-accept":
        reset(writer)
        return
    await drain_peer(reader, None)
    writer.close()


async def _turn_away(stream: TlsStream, refusal: str, code: int) -> None:
    """Refuse a CONNECT."""
    if refusal == "connack":
        stream.write(ConnackPacket.build(0, code).to_bytes())
        await stream.finish()
    elif refusal == "close":
        stream.close()
    elif refusal == "reset":
        stream.reset()
