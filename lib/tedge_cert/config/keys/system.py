# SPDX-License-Identifier: Apache-2.0
"""Keys of other parts of thin-edge and of the system; this package only stores and lists most of them."""

from tedge_cert.config.keys import Key
from tedge_cert.config.keys.clouds import TIME_FORMAT
from tedge_cert.config.keys.kinds import parse_count, parse_proxy
from tedge_cert.config.values import one_of, parse_duration, parse_flag, parse_list, parse_path, parse_text

AGENT: dict[str, Key] = {
    "agent.state.path": Key(
        parse_path, "/data/tedge/agent", "Where the agent keeps its state; if missing, /etc/tedge/.agent.",
        "/data/tedge/agent"),
    "agent.enable.config_update": Key(parse_flag, True, "Whether the agent changes configuration files.", "true"),
    "agent.enable.config_snapshot": Key(parse_flag, True, "Whether the agent hands out configuration files.", "true"),
    "agent.enable.log_upload": Key(parse_flag, True, "Whether the agent hands out logs.", "true"),
    "agent.entity_store.auto_register": Key(
        parse_flag, True, "Whether the agent registers entities when their first message arrives.", "true"),
    "agent.entity_store.clean_start": Key(
        parse_flag, False, "Whether the agent learns all entities again from retained messages when it starts.",
        "true"),
    "software.plugin.default": Key(
        parse_text, None, "Plugin for software that names none.", "apt", old=("software.default_plugin_type",)),
    "software.plugin.max_packages": Key(
        parse_count, 1000, "The most packages that are reported of each type of software.", "1000"),
    "software.plugin.include": Key(
        parse_text, None, "Regular expression of the packages that are reported.", "^(tedge|c8y).*"),
    "software.plugin.exclude": Key(
        parse_text, None, "Regular expression of the packages that are not reported.", "^(glibc|lib|kernel-).*"),
}  # fmt: skip

PLACES: dict[str, Key] = {
    "run.path": Key(parse_path, "/run", "Directory of files that need not outlive the boot.", "/run"),
    "run.lock_files": Key(parse_flag, True, "Whether thin-edge's services lock each other out.", "true"),
    "run.log_memory_interval": Key(
        parse_duration, "0", "How often thin-edge's services log the memory that they use; 0: never.", "60s"),
    "logs.path": Key(parse_path, "/var/log/tedge", "Directory of logs.", "/var/log/tedge"),
    "tmp.path": Key(parse_path, "/tmp", "Directory that downloads go to.", "/tmp"),  # noqa: S108 (thin-edge's default)
    "data.path": Key(parse_path, "/var/tedge", "Directory of data that outlive the boot.", "/var/tedge"),
}  # fmt: skip

SERVICES: dict[str, Key] = {
    "firmware.child.update.timeout": Key(
        parse_duration, "1h", "How long a child device may take to install firmware.", "1h"),
    "service.type": Key(parse_text, "service", "Type that thin-edge's services have in the cloud.", "systemd"),
    "service.timestamp_format": Key(
        TIME_FORMAT, "unix", "How the time is written that a service came up at: unix or rfc-3339.", "rfc-3339"),
    "apt.name": Key(parse_text, None, "Regular expression of the names of packages that are listed.", "tedge.*"),
    "apt.maintainer": Key(
        parse_text, None, "Regular expression of the maintainers whose packages are listed.", "thin-edge.io team.*"),
    "apt.dpkg.options.config": Key(
        one_of("keepold", "keepnew"), "keepold",
        "Which configuration files an upgraded package has afterwards: the old ones (keepold) or its own (keepnew).",
        "keepold", old=("apt.dpk.options.config",)),
    "sudo.enable": Key(parse_flag, True, "Whether thin-edge uses sudo for files that it does not own.", "true"),
    "proxy.address": Key(
        parse_proxy, None, "HTTP proxy through which the cloud is reached, as scheme://host:port.",
        "http://proxy.example.com:3128"),
    "proxy.username": Key(parse_text, None, "User name for the HTTP proxy.", "gateway"),
    "proxy.password": Key(
        parse_text, None, "Password for the HTTP proxy; all users of the device can read it here.", "secret"),
    "proxy.password_file": Key(
        parse_path, None, "File with the password for the HTTP proxy, in place of proxy.password.",
        "/etc/tedge/proxy-password"),
    "proxy.no_proxy": Key(
        parse_text, None, "Hosts that are reached without the HTTP proxy, with commas between them.",
        "127.0.0.1,example.com,192.168.1.0/24"),
}  # fmt: skip


def _plugins(of: str) -> dict[str, Key]:
    word = {"configuration": "config"}.get(of, of)
    default = f"/usr/share/tedge/{word}-plugins"
    doc = f"Directories of plugins for {of}, with commas between them."
    return {f"{of}.plugin_paths": Key(parse_list, [default], doc, f"{default},/usr/local/share/tedge/{word}-plugins")}


PLUGINS: dict[str, Key] = {**_plugins("diag"), **_plugins("log"), **_plugins("configuration")}

FLOWS: dict[str, Key] = {
    "flows.memory.heap_size": Key(
        parse_count, 16_777_216, "The most bytes that the scripts of all flows may take.", "16777216"),
    "flows.memory.stack_size": Key(parse_count, 262_144, "The most bytes of stack that a script may take.", "262144"),
    "flows.stats.interval": Key(parse_duration, "1h", "How often statistics of flows are written.", "1h"),
    "flows.stats.on_message": Key(parse_flag, False, "Whether they count runs that a message started.", "false"),
    "flows.stats.on_interval": Key(parse_flag, False, "Whether they count runs that an interval started.", "false"),
    "flows.stats.on_startup": Key(parse_flag, False, "Whether they count runs at the start of a flow.", "false"),
    "flows.params.keep_on_delete": Key(
        parse_flag, False, "Whether a flow that is removed leaves its params.toml behind.", "false"),
}  # fmt: skip
