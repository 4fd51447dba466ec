#!/bin/sh
# `gatebook` as the user that owns the store, so that no file of it ever belongs to somebody else.
: "${GATEBOOK_CONFIG:=/srv/gatebook/gatebook.toml}"
export GATEBOOK_CONFIG
program=${GATEBOOK_PROGRAM:-/opt/gatebook/bin/gatebook}
if [ "$(id -u)" = 0 ] && [ "$(id -un)" != gatebook ]; then
    exec runuser --preserve-environment -u gatebook -- "$program" "$@"
fi
exec "$program" "$@"
