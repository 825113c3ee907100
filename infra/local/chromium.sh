#!/bin/sh
# Finds a Chromium for the browser tests, or installs Debian's as root. Without one the tests say why they are skipped.
set -eu
for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$browser" ] && command -v "$browser" >/dev/null; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's chromium for the browser tests"
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; then
        exit 0
    fi
fi
echo "No Chromium found: browser tests are skipped. Install it (as root: apt-get install chromium), or set CHROMIUM."
