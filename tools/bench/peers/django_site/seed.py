"""Makes the tables, a client, an account and its refresh tokens; prints the tokens as JSON.

Run: python seed.py CLIENT SECRET USERNAME PASSWORD COUNT, with the project's settings.
"""

import datetime
import json
import secrets
import sys

import django  # type: ignore[import-not-found]  # in the peer's packages

django.setup()

# Only now can models be imported.
from django.contrib.auth import get_user_model  # type: ignore[import-not-found]  # noqa: E402  # as above
from django.core.management import call_command  # type: ignore[import-not-found]  # noqa: E402  # as above
from django.utils import timezone  # type: ignore[import-not-found]  # noqa: E402  # as above
from oauth2_provider import models  # type: ignore[import-not-found]  # noqa: E402  # as above

client, secret, username, password, count = sys.argv[1:]
call_command("migrate", verbosity=0)
account = get_user_model().objects.create_user(username, password=password)
application = models.Application.objects.create(
    client_id=client,
    client_secret=secret,
    # Django's hash is one for passwords, and would be the whole cost of a client's token.
    hash_client_secret=False,
    client_type=models.Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=models.Application.GRANT_CLIENT_CREDENTIALS,
)
refresh = []
for _ in range(int(count)):
    access = models.AccessToken.objects.create(
        user=account,
        application=application,
        token=secrets.token_hex(16),
        expires=timezone.now() + datetime.timedelta(hours=1),
        scope="introspection",
    )
    refresh.append(secrets.token_hex(16))
    models.RefreshToken.objects.create(
        user=account, application=application, token=refresh[-1], access_token=access
    )
print(json.dumps({"refresh": refresh}))
