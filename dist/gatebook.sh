#!/bin/sh
# `gatebook` as the user that owns the store, so that no file of it ever belongs to somebody else.
# Paths in its arguments must be where that user may read or write.
: "${GATEBOOK_CONFIG:=/srv/gatebook/gatebook.toml}"
export GATEBOOK_CONFIG
program=${GATEBOOK_PROGRAM:-/opt/gatebook/bin/gatebook}
if [ "$(id -u)" = 0 ] && [ "$(id -un)" != gatebook ]; then
    # The log has whose command it was. Root may say any name: sudo's own log is the proof of it.
    GATEBOOK_OPERATOR=${SUDO_USER:-$(logname 2>/dev/null || id -un)}
    HOME=$(getent passwd gatebook | cut -d: -f6)
    # Each operator has a session of his own with `gatebook --server URL login`.
    XDG_STATE_HOME=$HOME/.local/state/$GATEBOOK_OPERATOR
    export GATEBOOK_OPERATOR HOME XDG_STATE_HOME
    exec runuser --preserve-environment -u gatebook -- "$program" "$@"
fi
exec "$program" "$@"
