"""Argon2id with Gatebook's default parameters, in place of Django's own."""

from django.contrib.auth.hashers import (  # type: ignore[import-not-found]  # in the peer's packages
    Argon2PasswordHasher,
)


class Argon2(Argon2PasswordHasher):  # type: ignore[misc]  # its base is in the peer's packages
    time_cost = 3
    memory_cost = 64 * 1024
    parallelism = 4
