# SPDX-License-Identifier: Apache-2.0
"""``tedge hsm``: make the private key of the device in its TPM, or in a token (``token_keys``)."""

import argparse
from pathlib import Path

from tedge_cert import cures, terminal
from tedge_cert.cli import entry
from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import provider_files, token_keys
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import check_files
from tedge_cert.disk import files, owners, privileges
from tedge_cert.errors import ConfigurationError
from tedge_cert.x509 import hardware_keys, keys, provider


def add_to(parser: Parser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = verbs.add_parser("create-key", help="make the private key of the device in a token or in its TPM")
    made.add_argument("--tpm", action="store_true", help="in the TPM 2.0, without a PIN")
    add_kind_to(made)
    listed = verbs.add_parser("list-keys", help="print the keys of a token")
    listed.add_argument("--label", help="only keys of this label")
    listed.add_argument("--id", metavar="HEX", help="only keys of this id")
    listed.add_argument("--pin", help="PIN of the token (default: that of the settings)")
    listed.add_argument("uri", nargs="?", metavar="TOKEN", help="URI of the token (default: the only one)")
    verbs.add_parser("list-tokens", help="print the tokens that the PKCS#11 library reaches")
    verbs.add_parser("check-pin", help="try the PIN once and keep a refused one from mosquitto, as its unit does")
    for each in verbs.choices.values():
        each.set_defaults(needs_root=parser.prog)


def add_kind_to(verb: Parser) -> None:
    """Add what describes a new key, and where it is made."""
    verb.add_argument("--type", choices=("ecdsa", "rsa"), default="ecdsa", help="kind of key (default: ecdsa)")
    verb.add_argument("--curve", choices=("p256", "p384"), default="p256", help="curve of ecdsa (default: p256)")
    verb.add_argument("--bits", choices=("2048", "3072", "4096"), default="2048", help="size of rsa (default: 2048)")
    verb.add_argument("--label", default="tedge", help="label of the key in the token (default: tedge)")
    verb.add_argument("--id", metavar="HEX", help="id of the key in the token (default: a random one)")
    verb.add_argument("--pin", help="PIN of the token (default: that of the settings)")
    verb.add_argument("--outfile-pubkey", type=Path, metavar="FILE", help="write the public key there too")
    verb.add_argument("--force-new", action="store_true", help="make another key, and use it even if one is in use")
    verb.add_argument("place", nargs="*", metavar="[c8y] [TOKEN]", help="the cloud, and the URI of the token")
    entry.add_profile(verb)


def execute(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    if arguments.verb == "create-key" and arguments.tpm:
        arguments.cloud, uri = token_keys.place_of(arguments.place)
        if uri:
            raise ConfigurationError(f"--tpm: a key in the TPM is in no token; leave out {uri}")
        return create_key(arguments)
    verbs = {
        "create-key": token_keys.create, "list-keys": token_keys.list_keys, "list-tokens": token_keys.list_tokens,
        "check-pin": token_keys.check_pin,
    }  # fmt: skip
    return verbs[arguments.verb](arguments)


def create_key(arguments: argparse.Namespace) -> int:
    """Make the key that the arguments describe, unless there is one in the TPM already; return the exit code."""
    instance = token_keys.instance_of(arguments, _let_in)
    check_files(instance)
    kind, reached_by = token_keys.kind_of(arguments), instance.config.need("device.tpm.tcti")
    with custody(instance):
        present = keys.content_of(instance.key)
        is_kept = hardware_keys.kind_in(present or b"") == hardware_keys.TPM and not arguments.force_new
        if present is not None and not is_kept and not arguments.force_new:
            raise token_keys.in_use(
                instance, f"`sudo tedge hsm create-key --tpm --force-new {instance.words}` uses a new key in the TPM"
            )
        made = present if is_kept and present is not None else hardware_keys.made_in_tpm(kind, reached_by)
        token_keys.set_up_provider(instance, tpm=True)
        hardware_keys.tried(instance.key, made)
        if is_kept:
            terminal.tell(f"The private key {instance.key} is in the TPM already, and is kept.\n")
            return 0
        if present is None:
            files.create(instance.key, made, owners.PRIVATE_KEY)
        else:
            files.write(instance.key, made, owners.PRIVATE_KEY)
    how = cures.register("")
    terminal.tell(f"The private key {instance.key} is in the TPM.\n    => {how} gets a certificate for it\n")
    return 0


def _let_in(arguments: argparse.Namespace) -> None:
    """Let tedge use the TPM: for its units, and for what root's commands become."""
    if entry.is_of_system(arguments) and privileges.is_root():
        provider_files.add_to_group(privileges.USER, provider.GROUP)
        privileges.keep_groups((provider.GROUP,))
