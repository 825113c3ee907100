#!/bin/sh
# Finds a Chromium for the browser tests, or installs Debian's as root. With --find it only looks, and says where it is.
# The headless shell has no windows, and takes about half of the processor time of the whole browser.
set -eu
for browser in "${CHROMIUM:-}" chromium-headless-shell chromium chromium-browser google-chrome; do
    if [ -n "$browser" ] && found=$(command -v "$browser"); then
        [ "${1:-}" != --find ] || echo "$found"
        exit 0
    fi
done
[ "${1:-}" != --find ] || exit 1
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's chromium for the browser tests"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || true # of several lists one may be missing
    for package in chromium-headless-shell chromium; do # the fonts are those that Debian recommends for chromium
        ! apt-get install -y -qq "$package" fonts-liberation >/dev/null || exit 0
    done
fi
echo "Chromium was not found, so the browser tests are skipped. Install it (as root: apt-get install chromium), or set CHROMIUM to its path."
