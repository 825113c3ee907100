#!/bin/sh
# Finds a Chromium for the browser tests, or installs Debian's as root. With --find it only looks, and says where it is.
set -eu
for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$browser" ] && found=$(command -v "$browser"); then
        [ "${1:-}" != --find ] || echo "$found"
        exit 0
    fi
done
[ "${1:-}" != --find ] || exit 1
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's chromium for the browser tests"
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; then
        exit 0
    fi
fi
echo "Chromium was not found, so the browser tests are skipped. Install it (as root: apt-get install chromium), or set CHROMIUM to its path."
