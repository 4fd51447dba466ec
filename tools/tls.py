"""`gatebook tls`: a certificate for trying things out, and what is known of the one in use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import click

from gatebook.store import tls as pairs
from gatebook.store.certificates import self_signed
from gatebook.store.master_key import write_private_file
from gatebook.store.settings import ConfigurationError
from gatebook.tools.desk import Desk, Failed, refused_file

MOST_DAYS = 825
"""What browsers accept at most, for those that trust it at all."""


@click.group()
def tls() -> None:
    """The listener's certificate."""


@tls.command("self-signed")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A DNS name or an IP address; more than once for several.",
)
@click.option("--days", type=click.IntRange(1, MOST_DAYS), default=397, show_default=True)
@click.option("--out-dir", type=click.Path(path_type=Path), default=Path(), metavar="DIR")
@click.pass_obj
def make(desk: Desk, hosts: tuple[str, ...], days: int, out_dir: Path) -> None:
    """Make a key and a certificate that it signed itself: tls.key and tls.crt."""
    names = [_checked(host) for host in hosts]
    begins = datetime.now(UTC)  # noqa: TID251 - a certificate's dates are this machine's
    pem, secret = self_signed(names, begins, begins + timedelta(days=days))
    key, cert = out_dir / "tls.key", out_dir / "tls.crt"
    for path in (key, cert):
        if path.exists():
            raise Failed(f"{path} is there already; nothing was made")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        write_private_file(key, secret)
        write_private_file(cert, pem)
        cert.chmod(0o644)
    except OSError as error:
        raise refused_file(error) from error
    found = pairs.pair(cert, key)
    desk.show(
        {
            "certificate": str(cert.resolve()),
            "key": str(key.resolve()),
            "names": found.names,
            "sha256": found.fingerprint.hex(),
            "expires_at": _date(found.not_after),
        }
    )


@tls.command()
@click.pass_obj
def show(desk: Desk) -> int:
    """Show the certificate that the configuration names; 1 when it cannot be used or is over."""
    settings = desk.settings()
    try:
        found = pairs.load(settings)
    except ConfigurationError as error:
        raise Failed(str(error)) from error
    if found is None:
        raise Failed("[server] names no tls_cert; see RUNBOOK, TLS")
    days = found.days_left(int(datetime.now(UTC).timestamp() * 1_000_000))  # noqa: TID251 - as above
    desk.show(
        {
            "names": found.names,
            "sha256": found.fingerprint.hex(),
            "valid_from": _date(found.not_before),
            "expires_at": _date(found.not_after),
            "days_left": round(days, 1),
        }
    )
    return 0 if days > 0 else 1


def _checked(host: str) -> str:
    """A DNS name or an address, as a certificate holds it. Raises Failed."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    labels = host.rstrip(".").split(".")
    good = all(
        label.isascii() and 0 < len(label) < 64 and label.replace("-", "a").isalnum()
        for label in labels
    )
    if not good or len(host) > 253:
        raise Failed(f"{host!r} is no DNS name and no IP address", 2)
    return host.rstrip(".").lower()


def _date(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
