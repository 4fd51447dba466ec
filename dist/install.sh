#!/bin/sh
# Installs Gatebook on a systemd machine, or brings an installation up to this release.
#
#   sh dist/install.sh [--dry-run] [--wheel FILE] [--root DIR]
#
# Run again at any time: what is there is kept. A configuration is never overwritten; a newer
# example is put beside it as gatebook.toml.new.
#   /opt/gatebook         the program, in a virtual environment of its own
#   /srv/gatebook 0750    configuration, passphrase, log, keyring; belongs to gatebook:gatebook
#   /usr/local/bin        `gatebook`, which runs as that user
set -eu
umask 022  # a hardened root's would keep the service's user out of the program

here=$(cd "$(dirname "$0")" && pwd)
dry=
root=
wheel=$(dirname "$here")
lock=$(dirname "$here")/requirements.lock
user=gatebook

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
misused() { printf 'install.sh: %s\n' "$*" >&2; exit 2; }
run() { if [ -n "$dry" ]; then say "would run: $*"; else "$@"; fi; }

while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry=yes ;;
    --wheel) [ $# -gt 1 ] || misused "--wheel needs a file"; wheel=$2; shift ;;
    --root) [ $# -gt 1 ] || misused "--root needs a directory"; root=$2; shift ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) misused "unknown option $1; see --help" ;;
    esac
    shift
done

[ -e "$wheel" ] || fail "there is no $wheel"
[ -n "$root" ] || [ -n "$dry" ] || [ "$(id -u)" = 0 ] || fail "run as root, or with --root DIR"
# --- the user, unless the files go to another root

if [ -z "$root" ]; then
    getent group "$user" >/dev/null || run groupadd --system "$user"
    getent passwd "$user" >/dev/null ||
        run useradd --system --gid "$user" --home-dir /srv/gatebook --no-create-home \
            --shell /usr/sbin/nologin "$user"
fi

# --- a Python that this user can run

# place_of PYTHON: where it truly is; behind a venv's link or a shim may be somebody's home
place_of() {
    "$1" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))'
}

# why_not PYTHON: says why it cannot be the service's; nothing if it can
why_not() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        { say "is not 3.11 or later"; return; }
    "$1" -c 'import venv, ensurepip' 2>/dev/null || { say "has no venv: apt-get install python3-venv"; return; }
    [ -z "$root" ] || return 0
    case $(place_of "$1") in
    /root/* | /home/* | /run/user/*) say "is in a home, which the unit hides from the service" ;;
    *) [ -n "$dry" ] || runuser -u "$user" -- "$(place_of "$1")" -c '' 2>/dev/null ||
        say "cannot be run by the user $user" ;;
    esac
}

python=
refused=
for name in python3 /usr/bin/python3 /usr/local/bin/python3 python3.13 python3.12 python3.11; do
    found=$(command -v "$name") || continue
    reason=$(why_not "$found")
    if [ -z "$reason" ]; then python=$found; break; fi
    refused="$refused
  $found $reason"
done
[ -n "$python" ] || fail "no python3 for the service; apt-get install python3 python3-venv$refused"

own() { [ -n "$root" ] || run chown "$user:$user" "$@"; }

# copy MODE FILE TARGET: what belongs to the release, replaced each time
copy() {
    if [ -e "$3" ] && cmp -s "$2" "$3"; then return 0; fi
    [ -n "$dry" ] || say "writing $3"
    run install -D -m "$1" "$2" "$3"
}

# The data's directory belongs to the user, who could have put links into it: so the user writes
# there, and root neither opens nor gives away what a link leads to.
as_user() { if [ -n "$root$dry" ]; then "$@"; else runuser -u "$user" -- "$@"; fi; }

# put MODE TARGET: what is on standard input, in the data's directory
put() {
    if [ -n "$dry" ]; then say "would write: $2"; return 0; fi
    say "writing $2"
    # shellcheck disable=SC2016 # the inner shell has these
    as_user sh -c 'umask 077 && rm -f -- "$2.part" && cat >"$2.part" && chmod "$1" "$2.part" &&
        mv -fT -- "$2.part" "$2"' sh "$1" "$2"
}

# keep MODE FILE TARGET FORMER: what belongs to the operator, never replaced. FORMER is the example
# of the release before: one that did not change is not put beside it again.
keep() {
    if [ ! -e "$3" ]; then
        put "$1" "$3" <"$2"
    elif cmp -s "$2" "$4"; then
        return 0
    elif ! as_user cmp -s - "$3" <"$2" && ! as_user cmp -s - "$3.new" <"$2"; then
        put "$1" "$3.new" <"$2"
    fi
}

# --- the program

run install -d -m 0755 "$root/opt/gatebook" "$root/opt/gatebook/libexec"
own_python=$root/opt/gatebook/bin/python
if [ ! -e "$own_python" ] && [ ! -h "$own_python" ]; then
    run "$python" -m venv "$root/opt/gatebook"
elif [ -n "$(why_not "$own_python")" ]; then
    say "$own_python $(why_not "$own_python"): made anew"
    run "$python" -m venv --clear "$root/opt/gatebook"
fi
source=
if [ -d "$wheel" ] && [ -z "$dry" ]; then
    # Built elsewhere: a build leaves files behind, and here they would be root's.
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    for part in pyproject.toml setup.cfg README.md LICENSE domain projections api store tools dist; do
        cp -R "$wheel/$part" "$source/$part"
    done
    wheel=$source
fi
if [ -f "$lock" ]; then
    run "$root/opt/gatebook/bin/python" -m pip install -q --disable-pip-version-check \
        --require-hashes -r "$lock"
    run "$root/opt/gatebook/bin/python" -m pip install -q --disable-pip-version-check \
        --no-deps --force-reinstall "$wheel"
else
    run "$root/opt/gatebook/bin/python" -m pip install -q --disable-pip-version-check "$wheel"
fi
copy 0755 "$here/backup" "$root/opt/gatebook/libexec/backup"
copy 0755 "$here/gatebook.sh" "$root/usr/local/bin/gatebook"
copy 0644 "$here/gatebook.1" "$root/usr/local/share/man/man1/gatebook.1"
copy 0644 "$here/credential.conf" "$root/usr/local/share/gatebook/credential.conf"
example=$root/usr/local/share/gatebook/gatebook.toml
for unit in gatebook.service gatebook-backup.service gatebook-backup.timer; do
    copy 0644 "$here/$unit" "$root/usr/local/lib/systemd/system/$unit"
done

# --- its data

if [ ! -d "$root/srv/gatebook" ]; then
    run install -d -m 0750 "$root/srv/gatebook"
    own "$root/srv/gatebook"
fi
keep 0640 "$here/gatebook.toml" "$root/srv/gatebook/gatebook.toml" "$example"
copy 0644 "$here/gatebook.toml" "$example"
passphrase=$root/srv/gatebook/passphrase
if [ ! -e "$passphrase" ] && [ ! -e "$root/srv/gatebook/gatebook.keys.db" ]; then
    secret=$("$python" -c 'import secrets; print(secrets.token_urlsafe(32))')
    printf '%s\n' "$secret" | put 0600 "$passphrase"
fi

if [ -z "$root" ] && [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi

if [ -n "$dry" ]; then
    say "Nothing was changed."
    exit 0
fi
if [ -z "$root" ]; then
    said=$(runuser -u "$user" -- /opt/gatebook/bin/gatebook --version 2>&1) ||
        fail "the user $user cannot run /opt/gatebook/bin/gatebook: $said
Look at the modes from / to there, and at the Python behind it: $(place_of "$own_python")"
    say "$said"
fi

cat <<EOF
Installed. Next:
  1. Edit /srv/gatebook/gatebook.toml: public_url, and [store] for PostgreSQL.
  2. gatebook init
  3. gatebook account create --username NAME --admin
  4. systemctl enable --now gatebook.service gatebook-backup.timer
  5. gatebook key escrow --shares 5 --threshold 3 --out /srv/gatebook/shares, give the shares to
     five people and remove that directory: without the passphrase or three of them the keyring
     stays shut for ever.
EOF
