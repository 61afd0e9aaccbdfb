# SPDX-License-Identifier: Apache-2.0
"""One accepted MQTT connection."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from amqtt.adapters import BufferReader
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt import packet_class
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsuback import UnsubackPacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket

from tenant import smartrest
from tenant.faults import TOKEN_FAULTS, FaultList, Peer
from tenant.state import State
from tenant.tlsstream import TlsStream
from tenant.tokens import Tokens
from tenant.topics import topic_matches

_GRACE = 1.5  # MQTT 3.1.1, 3.1.2-24


@dataclass(frozen=True)
class Office:
    """What every session needs of the tenant."""

    state: State
    faults: FaultList
    tokens: Tokens


class MqttSession:
    """Answers the packets of one client until it goes or is sent away."""

    def __init__(self, office: Office, stream: TlsStream, peer: Peer, keep_alive: int) -> None:
        self.serial = peer.serial
        self._office = office
        self._stream = stream
        self._peer = peer
        self._keep_alive = keep_alive
        self._device = office.state.device(peer.device)
        self._subscriptions: dict[str, int] = {}
        self._unreleased: set[int] = set()  # QoS 2 messages that were recorded already
        self._packet_id = 0
        self._why: str | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            PublishPacket: self._on_publish,
            SubscribePacket: self._on_subscribe,
            UnsubscribePacket: self._on_unsubscribe,
            PubrelPacket: lambda packet: self._on_pubrel(packet.variable_header.packet_id),
            PubrecPacket: lambda packet: self._write(PubrelPacket.build(packet.packet_id)),
            PubackPacket: lambda _: None,
            PubcompPacket: lambda _: None,
            PingReqPacket: lambda _: self._write(PingRespPacket.build()),
            DisconnectPacket: lambda _: self.close("disconnected by the client"),
        }

    async def run(self, *, close_at_once: bool) -> None:
        """Accept, and serve until the end, whose reason is recorded."""
        state = self._office.state
        connection = state.opened(self._device, self, self._peer.address)
        if self._office.faults.accepted(self.serial):
            state.version += 1
        try:
            self._write(ConnackPacket.build(0, 0))
            if close_at_once:
                self.close("closed after CONNACK")
            while self._why is None:
                await self._step()
        except (ConnectionError, EOFError, NoDataError):
            self.close("closed by the client")
        except TimeoutError:
            self.close("keep-alive")
        except (AMQTTError, MQTTError, ssl.SSLError, ValueError) as error:
            self.close(f"protocol error: {error}")
        finally:
            self.close("the tenant ended")
            state.closed(self._device, self, connection, self._why or "")

    async def _step(self) -> None:
        """Read one packet and answer it."""
        async with asyncio.timeout(self._keep_alive * _GRACE or None):
            header = await MQTTFixedHeader.from_stream(self._stream)
            if header is None:
                raise EOFError
            body = await self._stream.read(header.remaining_length)
        kind = packet_class(header)
        packet = await kind.from_stream(BufferReader(body), fixed_header=header)
        if kind not in self._handlers:
            raise MQTTError(f"{kind.__name__} does not come from a client")
        self._handlers[kind](packet)

    def close(self, why: str) -> None:
        """Close the connection; the first reason stays."""
        if self._why is None:
            self._why = why
            self._stream.close()

    def send(self, topic: str, payload: bytes, qos: int) -> bool:
        """Publish to this client; False if it is not subscribed, or gone."""
        granted = [q for pattern, q in self._subscriptions.items() if topic_matches(pattern, topic)]
        if not granted or self._why is not None:
            return False
        qos = min(qos, max(granted))
        self._packet_id = self._packet_id % 65_535 + 1
        identifier = self._packet_id if qos else None
        self._write(PublishPacket.build(topic, payload, identifier, dup_flag=False, qos=qos, retain=False))
        return True

    def _write(self, packet: Any) -> None:
        if self._why is None:
            self._stream.write(packet.to_bytes())

    def _on_subscribe(self, packet: SubscribePacket) -> None:
        self._subscriptions.update(packet.payload.topics)
        codes = [min(qos, 2) for _, qos in packet.payload.topics]
        self._write(SubackPacket.build(packet.variable_header.packet_id, codes))

    def _on_unsubscribe(self, packet: UnsubscribePacket) -> None:
        for topic in packet.payload.topics:
            self._subscriptions.pop(topic, None)
        self._write(UnsubackPacket.build(packet.variable_header.packet_id))

    def _on_pubrel(self, identifier: int) -> None:
        self._unreleased.discard(identifier)
        self._write(PubcompPacket.build(identifier))

    def _on_publish(self, packet: PublishPacket) -> None:
        topic, payload, qos = str(packet.topic_name), bytes(packet.data or b""), int(packet.qos or 0)
        identifier = packet.packet_id
        if qos < 2 or identifier not in self._unreleased:
            self._device.record(topic, payload, qos, self.serial)
            self._serve_topic(topic, payload)
        if qos == 2:
            self._unreleased.add(identifier)
        peer = replace(self._peer, topic=topic)
        if self._office.faults.take("mqtt", ("close-after-publish",), peer):
            self.close("closed after PUBLISH")
        if qos == 0 or self._office.faults.take("mqtt", ("no-puback",), peer):
            return
        answer = PubackPacket.build(identifier) if qos == 1 else PubrecPacket.build(identifier)
        if slow := self._office.faults.take("mqtt", ("slow-puback",), peer):
            asyncio.get_running_loop().call_later(slow.get("delay_s", 5), self._write, answer)
        else:
            self._write(answer)

    def _serve_topic(self, topic: str, payload: bytes) -> None:
        """Do what a message asks for."""
        if topic == "s/uat" and not payload and self.serial:
            self._give_token()
        else:
            smartrest.serve(self._office.state, self._device.id, topic, payload, self.send)

    def _give_token(self) -> None:
        device = self._device.id
        fault = self._office.faults.take("token", TOKEN_FAULTS, Peer(device=device))
        do = fault.do if fault else ""
        if do == "silence":
            return
        answer = "71," + self._office.tokens.make(device, -60 if do == "expired" else None)
        if fault and do == "malformed":
            answer = str(fault.get("payload", "71,not-a-token"))
        delay = float(fault.get("delay_s", 5)) if fault and do == "late" else 0.0
        asyncio.get_running_loop().call_later(delay, self.send, "s/dat", answer.encode(), 0)
