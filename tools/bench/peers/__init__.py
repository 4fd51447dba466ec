"""Other products, measured beside Gatebook: installed on first use, started, seeded, stopped."""

from __future__ import annotations

from typing import Final

from gatebook.tools.bench.peers import django_toolkit, keycloak, keystone, oidc_provider
from gatebook.tools.bench.peers.installing import Package
from gatebook.tools.bench.subject import Subject

PACKAGES: Final[dict[Package, tuple[Subject, ...]]] = {
    oidc_provider.PACKAGE: oidc_provider.SUBJECTS,
    django_toolkit.PACKAGE: (django_toolkit.SUBJECT,),
    keystone.PACKAGE: (keystone.SUBJECT,),
    keycloak.PACKAGE: keycloak.SUBJECTS,
}
"""What each installation serves."""

PEERS: Final = tuple(subject for subjects in PACKAGES.values() for subject in subjects)
