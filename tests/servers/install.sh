#!/bin/sh
# Installs the real counterparts of the tests from Debian's packages, as root; anybody else is told what is missing.
# One line each: the program that must be there, and the packages that bring it.
set -eu
missing=""
while read -r program packages; do
    command -v "$program" "/usr/sbin/$program" >/dev/null || ls /usr/lib/postgresql/*/bin/"$program" >/dev/null 2>&1 || missing="$missing $packages"
done <<PROGRAMS
chromium chromium fonts-dejavu-core
pg_ctl postgresql
pgbouncer pgbouncer
postfix postfix
dovecot dovecot-imapd dovecot-lmtpd
npm npm
PROGRAMS
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing for the tests:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086  a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "not installed, so tests will be skipped or fail: sudo apt-get install$missing"
fi
