"""Makes an application credential for the bootstrapped account; prints its id.

Run: python seed.py USERNAME SECRET, with OS_KEYSTONE_CONFIG_FILES.
"""

import os
import sys
import uuid

import keystone.conf  # type: ignore[import-not-found]  # in the peer's packages
from keystone import server
from keystone.common.provider_api import ProviderAPIs  # type: ignore[import-not-found]  # as above

username, secret = sys.argv[1:]
# Keystone reads the command line too.
del sys.argv[1:]
server.configure(config_files=[os.environ["OS_KEYSTONE_CONFIG_FILES"]])
server.setup_backends()
# A hash for passwords would be the whole cost of a token: Keystone hashes a credential's random
# secret as it does a password, and knows nothing cheaper than bcrypt with 4 rounds.
keystone.conf.CONF.set_override("password_hash_rounds", 4, "identity")
credential = ProviderAPIs.application_credential_api.create_application_credential(
    {
        "id": uuid.uuid4().hex,
        "name": username,
        "secret": secret,
        "user_id": ProviderAPIs.identity_api.get_user_by_name(username, "default")["id"],
        "project_id": ProviderAPIs.resource_api.get_project_by_name("admin", "default")["id"],
        "roles": [role for role in ProviderAPIs.role_api.list_roles() if role["name"] == "admin"],
        "unrestricted": False,
    }
)
print(credential["id"])
