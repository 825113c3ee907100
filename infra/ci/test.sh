#!/bin/sh
# Every test; tests/scheduling.py says which stay together and which begin first.
# Four processes keep two cores busy: many tests wait for servers that start, end, or are killed.
# Properties are tried with fewer examples than by pytest alone.
set -eu
cd "$(dirname "$0")/../.."
PY=.venv/bin/python
unset MAKEFLAGS MFLAGS # tests call make themselves
unset PYTHONDONTWRITEBYTECODE # hundreds of processes are started: what one has compiled serves the next
if CHROMIUM=$(sh infra/local/chromium.sh --find); then
    export CHROMIUM
    set -- -n 4 "$@"
else
    echo "Browser tests are skipped: there is no Chromium here (as root, make chromium installs Debian's)."
    set -- --ignore=tests/browser -n 3 "$@"
fi
$PY -m pytest tests --hypothesis-profile=quick --dist loadscope --no-loadscope-reorder --durations=20 "$@"
