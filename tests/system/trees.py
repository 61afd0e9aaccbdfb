# SPDX-License-Identifier: Apache-2.0
"""Debian trees to boot, kept from session to session in layers.

base          minbase with systemd and mosquitto, as an image builder makes it
archive       + the lists and packages that apt needs to install our packages, or mosquitto again, without a network
dependencies  + those packages installed
installed     + tedge-cert-renewer installed, with what it needs of ours
tpm           dependencies, + a TPM 2.0 made of software, and what apt needs to install OpenSSL's provider for it
token         installed, on a Debian with a PKCS#11 token made of software, and what OpenSSL needs to use it
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from system.debs import PACKAGE as OURS
from system.debs import with_common
from system.machine import cache_directory, command, locked, step
from system.overlay import Overlay

RELEASES = {"bookworm": "debian12", "trixie": "debian13"}
# Tried by `make test-next`, not supported.
NEXT = "forky"
NAMES = {**RELEASES, NEXT: "testing"}
PACKAGES = "ca-certificates,cron,dbus,iproute2,mosquitto,mosquitto-clients,procps,sudo,systemd,systemd-sysv"
BROKER = "mosquitto"
# The TPM, and a daemon for it that stands for the kernel's resource manager: several processes use it at a time. Both
# run as user tss, which tpm-udev makes; testing only recommends that package.
TPM = ["swtpm", "tpm2-abrmd", "libtss2-tcti-swtpm0", "libtss2-tcti-tabrmd0", "tpm-udev"]
TPM_PROVIDER = "tpm2-openssl"
# Debian 12 has the provider in its backports only; it needs nothing else from there.
TOKEN = ["softhsm2", "opensc", "pkcs11-provider"]
_BACKPORTS = "deb http://deb.debian.org/debian bookworm-backports main"
# What the unit tests need beside the product's own dependencies, all of it from Debian.
UNITS = (
    *("python3-pytest", "python3-pytest-mock", "python3-pytest-xdist", "python3-hypothesis", "python3-jsonschema"),
    *("python3-trustme", "python3-prometheus-client", "python3-aiohttp", "python3-websockets", "python3-yaml"),
    *("python3-transitions", "python3-dacite", "python3-typing-extensions", "python3-qrcode", "python3-rich"),
    *("bash-completion", "debhelper", "dh-python", "faketime", "fish", "git", "make", "mandoc", "openssh-client"),
    *("dbus-bin", "openssl", "strace", "zsh", *TPM, TPM_PROVIDER, *TOKEN),
)
UNUSED_S = 7 * 24 * 3600
# Bytecode goes beside its module, where a device looks for it: without it, each program would compile its modules.
_APT = [
    *("env", "--unset=PYTHONPYCACHEPREFIX", "--unset=PYTHONDONTWRITEBYTECODE"),
    *("DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get", "-qy"),
    *("-o", "Dpkg::Use-Pty=0"),
    *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),  # 40 MB in each layer else
]
_INSTALL = [*_APT, "--no-install-recommends", "install"]
# In a chroot maintainer scripts would start the broker on this machine.
_PREPARE = r"""
mkdir /run/harness
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
"""
# apt reads the lists of the whole archive each time it runs, which takes it seconds; it needs what was fetched.
_SHORTEN = r"""
cd /var/lib/apt/lists
find /var/cache/apt/archives -name '*.deb' -printf '%f\n' | cut -d_ -f1 > /run/harness/fetched
for list in *_Packages; do
    awk 'NR == FNR { fetched[$1]; next } /^Package: / { kept = $2 in fetched } kept' /run/harness/fetched "$list" \
        > /run/harness/list
    cat /run/harness/list > "$list"
done
rm -f ./*_Translation-en
"""
_TIDY = "rm -r /run/harness /usr/sbin/policy-rc.d"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


@contextmanager
def built_once(final: Path, what: str) -> Iterator[Path | None]:
    """Give a directory to build in that becomes `final` at the end, or None when that is there already."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with locked(final.name):
        if final.exists():
            os.utime(final)
            yield None
            return
        building = Path(mkdtemp(prefix=".new-", dir=final.parent))
        try:
            with step(what):
                yield building
            building.rename(final)
            os.utime(final)
        finally:
            shutil.rmtree(building, ignore_errors=True)  # gone already after the rename


def _trees() -> Path:
    return cache_directory() / "trees"


@cache
def base(release: str) -> tuple[Path, ...]:
    """Return the layers of a bare Debian of that release."""
    final = _trees() / f"{release}-base-{_digest(PACKAGES)}"
    with built_once(final, f"{NAMES[release]}: base tree") as building:
        if building is not None:
            tree = building / "tree"
            options = ["--quiet", "--variant=minbase", f"--include={PACKAGES}"]
            if release == NEXT:
                # A mirror may lag behind: the lists of testing are valid for a week only.
                options.append('--aptopt=Acquire::Check-Valid-Until "false"')
            command(["mmdebstrap", *options, release, str(tree)], timeout_s=600)
            # Each device gets an identity of its own when it boots.
            for name in ("machine-id", "hostname"):
                (tree / "etc" / name).write_text("")
    return (final / "tree",)


def _layer(
    release: str, kind: str, lowers: tuple[Path, ...], argv: Sequence[Sequence[str]], what: str, *files: Path
) -> tuple[Path, ...]:
    """Add what the commands change, run in the tree with `files` in /run/harness, as one more layer.

    It is made again when anything changes that it is made of.
    """
    content = [hashlib.sha256(each.read_bytes()).hexdigest() for each in files]
    made_of = _digest(lowers[0].parent.name, *("\n".join(one) for one in argv), *content)
    final = _trees() / f"{release}-{kind}-{made_of}"
    with built_once(final, f"{NAMES[release]}: {what}") as building:
        if building is not None:
            tree = Overlay(lowers, building)
            tree.prepare()
            command(tree.chroot(["sh", "-ec", _PREPARE]))
            for file in files:
                shutil.copy(file, tree.upper / "run/harness")
            for one in argv:
                command(tree.chroot(one), timeout_s=600)
            command(tree.chroot(["sh", "-ec", _TIDY]))
    return (final / "upper", *lowers)


@cache
def depends(package: Path) -> str:
    """Return what the package depends on, and that of its library, as their control files say it."""
    fields = [
        command(["dpkg-deb", "--field", str(each), field]).strip()
        for each in with_common(package)
        for field in ("Pre-Depends", "Depends")
    ]
    wanted = ", ".join(filter(None, fields)).split(", ")
    return ", ".join(dict.fromkeys(each for each in wanted if not each.startswith(OURS)))


@cache
def archive(release: str, package: Path) -> tuple[Path, ...]:
    """Return the layers of a Debian that can `apt-get install` the package without a network."""
    fetch = [*_INSTALL, "--download-only"]
    commands = [
        [*_APT, "update"],
        [*_APT, "--download-only", "satisfy", depends(package)],
        [*fetch, "--reinstall", BROKER],
        [*fetch, *TPM, TPM_PROVIDER],
        ["sh", "-ec", _SHORTEN],
    ]
    return _layer(release, "archive", base(release), commands, "fetch dependencies")


@cache
def dependencies(release: str, package: Path) -> tuple[Path, ...]:
    """Return the layers of a Debian with everything that the package depends on."""
    satisfy = [*_APT, "--no-install-recommends", "satisfy", depends(package)]
    return _layer(release, "dependencies", archive(release, package), [satisfy], "install dependencies")


@cache
def tpm(release: str, package: Path) -> tuple[Path, ...]:
    """Return the layers of a Debian with everything that the package depends on, and with a TPM."""
    return _layer(release, "tpm", dependencies(release, package), [[*_INSTALL, *TPM]], "install a TPM")


@cache
def installed(release: str, package: Path) -> tuple[Path, ...]:
    """Return the layers of a Debian with the package installed before its first boot."""
    return _with_ours("installed", release, package, dependencies(release, package))


@cache
def token(release: str, package: Path) -> tuple[Path, ...]:
    """Return the layers of a Debian with the package, and with a token made of software."""
    backports = f"echo '{_BACKPORTS}' > /etc/apt/sources.list.d/backports.list"
    commands = [
        # apt would take the short lists for the present ones.
        ["sh", "-ec", "rm -rf /var/lib/apt/lists"],
        *([["sh", "-ec", backports]] if release == "bookworm" else []),
        [*_APT, "update"],
        [*_INSTALL, *TOKEN],
        ["sh", "-ec", _SHORTEN],
    ]
    lowers = _layer(release, "token-programs", dependencies(release, package), commands, "install a token")
    return _with_ours("token", release, package, lowers)


def _with_ours(kind: str, release: str, package: Path, lowers: tuple[Path, ...]) -> tuple[Path, ...]:
    needed = with_common(package)
    install = [*_INSTALL, *(f"/run/harness/{each.name}" for each in needed)]
    return _layer(release, kind, lowers, [install], f"install {package.name}", *needed)


def units(package: Path) -> tuple[Path, ...]:
    """Return the layers of a Debian testing with what the unit tests need."""
    commands = [["sh", "-ec", "rm -rf /var/lib/apt/lists"], [*_APT, "update"], [*_INSTALL, *UNITS]]
    return _layer(NEXT, "units", dependencies(NEXT, package), commands, "install what the unit tests need")


def prune() -> None:
    """Remove layers and packages that no session has used for a week."""
    with locked("prune"):
        for kind in ("trees", "packages"):
            for found in (cache_directory() / kind).glob("*"):
                if time.time() - found.stat().st_mtime > UNUSED_S:
                    shutil.rmtree(found)
