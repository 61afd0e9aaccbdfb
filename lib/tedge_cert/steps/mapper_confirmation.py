# SPDX-License-Identifier: Apache-2.0
"""Confirm a certificate that the mapper of thin-edge takes into use by a restart."""

from dataclasses import dataclass

from tedge_cert.bridge.health import Bridge
from tedge_cert.bridge.mapper import MapperBridge
from tedge_cert.steps.confirmation import Confirmation


@dataclass(frozen=True)
class MapperConfirmation(Confirmation):
    """A switch that is confirmed by another process of the mapper, whose bridge connects with the certificate."""

    def after_promotion(self, was_up: bool, proof_began_s: float, renamed_s: float) -> None:  # noqa: ARG002 (the mapper itself is looked at)
        """Confirm what this run promoted; raises RolledBackError or NoAnswerError."""
        self._by_restart(was_up)

    def after_token(self) -> None:
        """Confirm what was proved by a token and promoted."""
        self._by_restart(self.bridge is not None and self.bridge.is_up)

    def reconnect(self) -> None:
        """Have the mapper start with the certificate that is active now."""
        if self._mapper.processes:
            self._mapper.restart()

    def _resume(self) -> None:
        mapper = self._mapper
        if mapper.is_up and mapper.uses_present(self.switch.certificate):
            # The interrupted run, or a person, has restarted the mapper.
            self._by_bridge(mapper, returned=True)
        else:
            self._by_restart(mapper.is_up)

    @property
    def _mapper(self) -> MapperBridge:
        """The mapper; without it nothing can be said, because it may go on with the previous certificate."""
        if not isinstance(self.bridge, MapperBridge):
            self._leave("the local broker does not answer, through which the mapper is watched")
        return self.bridge

    def _by_restart(self, was_up: bool) -> None:
        mapper = self._mapper
        if not mapper.processes:
            self._by_own_connection(f"{mapper.mapper.unit} does not run")
            return
        asked_s = mapper.restart()
        if asked_s is not None:
            connects = mapper.connects(asked_s)
            if connects or was_up:
                self._by_bridge(mapper, connects)
            else:
                self._by_own_connection("the bridge was down before, and still is")
        elif mapper.is_lost or (was_up and mapper.ends_by_itself):
            self._by_bridge(mapper, returned=False)
        elif mapper.ends_by_itself:
            self._by_own_connection(f"{mapper.mapper.unit} does not stay up, and did not before")
        elif mapper.uses_present(self.switch.certificate):
            self._leave(
                f"{mapper.mapper.unit} was restarted, but did not say within {mapper.restart_s:g} s that it runs; see "
                f"`systemctl status {mapper.mapper.unit}`"
            )
        else:
            self._leave(
                f"{mapper.mapper.unit} was not restarted within {mapper.restart_s:g} s, so it still uses the previous "
                f"certificate; see `systemctl status tedge-cert-renewer-mapper@{self.instance.name}.path "
                f"tedge-cert-renewer-mapper@{self.instance.name}.service {mapper.mapper.unit}`"
            )

    def _comes_back(self, bridge: Bridge, since_s: float) -> bool:  # noqa: ARG002 (as above)
        """Return whether the mapper is back with the certificate that is active now; one that does not run may stay."""
        mapper = self._mapper
        if not (mapper.processes or mapper.was_asked):
            return True
        asked_s = mapper.restart()
        return asked_s is not None and mapper.connects(asked_s)
