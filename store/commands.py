"""Every family of commands, around one application; and what they are configured by."""

from __future__ import annotations

from importlib import metadata

from gatebook.domain.access import Federations
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.added_factors import AddedFactors
from gatebook.domain.application.api_keys import ApiKeys
from gatebook.domain.application.bootstrap import Bootstrap
from gatebook.domain.application.break_glass import BreakGlass
from gatebook.domain.application.challenges import Challenges
from gatebook.domain.application.clients import Clients
from gatebook.domain.application.core import Configuration, Gatebook
from gatebook.domain.application.credentials import Credentials
from gatebook.domain.application.enrolments import Enrolments
from gatebook.domain.application.families import TokenFamilies
from gatebook.domain.application.federation import Federation, FirstAdminRule
from gatebook.domain.application.keys import SigningKeys
from gatebook.domain.application.logins import Logins
from gatebook.domain.application.oauth import OAuth
from gatebook.domain.application.passkey_challenges import PasskeyChallenges
from gatebook.domain.application.passkey_logins import PasskeyLogins
from gatebook.domain.application.passkeys import Passkeys
from gatebook.domain.application.passwords import Passwords
from gatebook.domain.application.providers import Providers
from gatebook.domain.application.roles import Roles
from gatebook.domain.application.second_factors import SecondFactors
from gatebook.domain.application.sessions import Sessions
from gatebook.domain.application.tokens import Tokens
from gatebook.domain.application.tries import Tries
from gatebook.domain.policy import Lockout, Policy
from gatebook.store.settings import Settings
from gatebook.store.totp import TotpCodes
from gatebook.store.webauthn import WebAuthnCeremonies

RELEASE = metadata.version("gatebook")


class Commands:
    """The command families. Each is one file of `domain/application`."""

    def __init__(self, app: Gatebook, settings: Settings, federations: Federations) -> None:
        self.app = app
        self.accounts = Accounts(self.app)
        self.roles = Roles(self.app, self.accounts)
        self.tries = Tries(self.app)
        families = TokenFamilies(self.app)
        self.tokens = Tokens(self.app, self.accounts, families)
        self.sessions = Sessions(self.app, self.accounts, families)
        self.passwords = Passwords(self.app, self.accounts, self.sessions)
        self.break_glass = BreakGlass(self.app, self.accounts, self.sessions)
        self.second_factors = SecondFactors(self.app, TotpCodes())
        self.added_factors = AddedFactors(self.accounts, self.sessions)
        self.enrolments = Enrolments(self.app, self.second_factors, self.added_factors)
        self.challenges = Challenges(self.app, self.sessions, self.second_factors)
        self._wire_passkeys(settings)
        self.api_keys = ApiKeys(self.app, self.accounts)
        self.credentials = Credentials(
            self.app, self.accounts, self.second_factors, self.passkeys, self.api_keys
        )
        self.logins = Logins(
            self.app, self.accounts, self.sessions, self.second_factors, self.challenges
        )
        self.clients = Clients(self.app, self.accounts)
        self.oauth = OAuth(self.app, self.clients, self.tokens, families)
        self.keys = SigningKeys(self.app)
        self.bootstrap = Bootstrap(self.app, self.accounts, self.roles, self.sessions)
        self._wire_federation(settings, federations)

    def _wire_passkeys(self, settings: Settings) -> None:
        rp_id, origins = settings.rp_id, settings.passkey_origins
        ceremonies = WebAuthnCeremonies(rp_id, origins) if rp_id else None
        challenges = PasskeyChallenges(self.app)
        self.passkeys = Passkeys(
            self.app, self.second_factors, self.added_factors, challenges, ceremonies
        )
        self.passkey_logins = PasskeyLogins(
            self.app, self.passkeys, self.sessions, self.challenges, challenges
        )

    def _wire_federation(self, settings: Settings, federations: Federations) -> None:
        self.providers = Providers(self.app, self.accounts, self.roles, federations)
        bootstrap = settings.bootstrap
        self.federation = Federation(
            self.app,
            self.accounts,
            self.roles,
            self.sessions,
            self.providers,
            federations,
            FirstAdminRule(frozenset(bootstrap.admin_groups), bootstrap.oidc_provider),
        )


def configuration(settings: Settings) -> Configuration:
    """What commands depend on, out of all settings."""
    return Configuration(
        policy=Policy(
            lockout=Lockout(
                settings.lockout.threshold,
                int(settings.lockout.duration),
                int(settings.lockout.reset),
            ),
            access_lifetime=int(settings.tokens.access_lifetime),
            refresh_lifetime=int(settings.tokens.refresh_lifetime),
            system_lifetime_max=int(settings.tokens.system_lifetime_max),
            clock_skew=int(settings.tokens.clock_skew),
            session_idle=int(settings.sessions.idle),
            session_absolute=int(settings.sessions.absolute),
            password_min_bytes=settings.passwords.min_bytes,
            password_max_bytes=settings.passwords.max_bytes,
            break_glass=Lockout(
                settings.breakglass.lockout_threshold,
                int(settings.breakglass.lockout_duration),
                int(settings.breakglass.lockout_reset),
            ),
            break_glass_expires_after=settings.breakglass.lifetime,
            break_glass_once=settings.breakglass.once,
            mfa_required_for=tuple(settings.sessions.mfa_required_for),
        ),
        issuer=settings.issuer,
        audience=settings.audience,
        algorithm=settings.tokens.algorithm,
        release=RELEASE,
    )
