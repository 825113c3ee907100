#!/bin/sh
# Makes .venv with the first Python that is new enough and able to make one.
set -eu
for python in python3.11 python3.12 python3.13 python3.14 python3 python; do
    if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "Making .venv with $("$python" --version)"
        rm -rf .venv
        exec "$python" -m venv .venv
    fi
done
echo "Python 3.11 or later with the modules venv and ensurepip was not found." >&2
echo "On Debian and Ubuntu: apt-get install python3 python3-venv" >&2
exit 1
