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

here=$(cd "$(dirname "$0")" && pwd)
dry=
root=
wheel=$(dirname "$here")
lock=$(dirname "$here")/requirements.lock
user=gatebook

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
run() { if [ -n "$dry" ]; then say "would run: $*"; else "$@"; fi; }

while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry=yes ;;
    --wheel) [ $# -gt 1 ] || fail "--wheel needs a file"; wheel=$2; shift ;;
    --root) [ $# -gt 1 ] || fail "--root needs a directory"; root=$2; shift ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown option $1; see --help" ;;
    esac
    shift
done

[ -e "$wheel" ] || fail "there is no $wheel"
[ -n "$root" ] || [ -n "$dry" ] || [ "$(id -u)" = 0 ] || fail "run as root, or with --root DIR"
python=$(command -v python3) || fail "python3 is needed: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed"
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "apt-get install python3-venv"

# --- the user, unless the files go to another root

if [ -z "$root" ]; then
    getent group "$user" >/dev/null || run groupadd --system "$user"
    getent passwd "$user" >/dev/null ||
        run useradd --system --gid "$user" --home-dir /srv/gatebook --no-create-home \
            --shell /usr/sbin/nologin "$user"
fi

own() { [ -n "$root" ] || run chown "$user:$user" "$@"; }

# copy MODE FILE TARGET: what belongs to the release, replaced each time
copy() {
    if [ -e "$3" ] && cmp -s "$2" "$3"; then return 0; fi
    say "writing $3"
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

# keep MODE FILE TARGET: what belongs to the operator, never replaced
keep() {
    if [ ! -e "$3" ]; then
        put "$1" "$3" <"$2"
    elif ! as_user cmp -s - "$3" <"$2" && ! as_user cmp -s - "$3.new" <"$2"; then
        put "$1" "$3.new" <"$2"
    fi
}

# --- the program

run install -d -m 0755 "$root/opt/gatebook" "$root/opt/gatebook/libexec"
[ -x "$root/opt/gatebook/bin/python" ] || run "$python" -m venv "$root/opt/gatebook"
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
for unit in gatebook.service gatebook-backup.service gatebook-backup.timer; do
    copy 0644 "$here/$unit" "$root/usr/local/lib/systemd/system/$unit"
done

# --- its data

if [ ! -d "$root/srv/gatebook" ]; then
    run install -d -m 0750 "$root/srv/gatebook"
    own "$root/srv/gatebook"
fi
keep 0640 "$here/gatebook.toml" "$root/srv/gatebook/gatebook.toml"
passphrase=$root/srv/gatebook/passphrase
if [ ! -e "$passphrase" ] && [ ! -e "$root/srv/gatebook/gatebook.keys.db" ]; then
    secret=$("$python" -c 'import secrets; print(secrets.token_urlsafe(32))')
    printf '%s\n' "$secret" | put 0600 "$passphrase"
fi

if [ -z "$root" ] && [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi

cat <<EOF
Installed. Next:
  1. Edit /srv/gatebook/gatebook.toml: public_url, and [store] for PostgreSQL.
  2. gatebook init
  3. gatebook account create --username NAME --admin
  4. systemctl enable --now gatebook.service gatebook-backup.timer
  5. gatebook key escrow --shares 5 --threshold 3 --out DIR, and give the shares to five people:
     without the passphrase or three of them the keyring stays shut for ever.
EOF
