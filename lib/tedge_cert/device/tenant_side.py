# SPDX-License-Identifier: Apache-2.0
"""How the tenant is reached: endpoints, trust anchors, proxy, and by what the device proves who it is."""

from pathlib import Path

from tedge_cert.config import auth_method, credentials
from tedge_cert.config.credentials import Credentials
from tedge_cert.config.settings import Config
from tedge_cert.config.values import split_endpoint
from tedge_cert.errors import ConfigurationError
from tedge_cert.net import proxy
from tedge_cert.net.anchors import Trust
from tedge_cert.net.server import Server


class TenantSide:
    """What follows from the settings of a cloud profile; every property is looked up when it is needed."""

    config: Config

    @property
    def uses_basic(self) -> bool:
        """Whether user and password stand in for a certificate towards the tenant."""
        return auth_method.is_basic(self.config)

    @property
    def credentials_path(self) -> Path:
        """The file with user and password for the tenant."""
        return Path(self.config.need("c8y.credentials_path"))

    @property
    def credentials(self) -> Credentials:
        """User and password for the tenant; raises ConfigurationError."""
        return credentials.load(self.credentials_path)

    @property
    def http(self) -> str:
        """``host:port`` of the tenant's REST and EST interface."""
        return self.config.need("c8y.http")

    @property
    def server(self) -> Server:
        """The tenant's REST and EST interface."""
        return self.server_at(self.http)

    def server_at(self, host: str) -> Server:
        """``host`` in the place of c8y.http."""
        return Server(host, self.trust, "c8y.http", proxy.for_host(self.config, host))

    @property
    def access_token_endpoint(self) -> tuple[str, int]:
        """Host and port where the tenant gives tokens for client certificates, if it does."""
        return split_endpoint(self.http, 443)[0], 8443

    @property
    def mqtt(self) -> tuple[str, int]:
        """Host and port of the tenant's MQTT endpoint; an IPv6 address as sockets and mosquitto take it, bare."""
        host, port = split_endpoint(self.config.need("c8y.mqtt"), 8883)
        # The MQTT service of the tenant has a port of its own, and carries all that the other one does.
        if port == 8883 and self.uses_mqtt_service:
            port = 9883
        return host.strip("[]"), port

    @property
    def uses_mqtt_service(self) -> bool:
        """Whether the bridge connects to the tenant's MQTT service, which has topics of everybody's own."""
        return self.config.get("c8y.mqtt_service.enabled") is True

    @property
    def trust(self) -> Trust:
        """The trust anchors of the tenant, a file or a directory; raises ConfigurationError if there is neither."""
        path = Path(self.config.need("c8y.root_cert_path"))
        if not path.exists():
            raise ConfigurationError(
                f"there are no trust anchors at {path}; set c8y.root_cert_path to a file or directory of root "
                "certificates, such as /etc/ssl/certs"
            )
        return Trust(path, "c8y.root_cert_path")
