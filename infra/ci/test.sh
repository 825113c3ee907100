#!/bin/sh
# Every test, in the order of their names, the long ones first; tests/conftest.py says which stay together.
# Three processes keep two cores busy: many tests wait for servers that start, end, or are killed.
# Properties are tried with fewer examples than by pytest alone.
# The tests of two years are a call of their own, because their longest file would otherwise be started last.
# Browser tests run in a call of their own: Playwright's loop and pytest-asyncio's do not share a process. Each of the two has a demo.
set -eu
cd "$(dirname "$0")/../.."
PY=.venv/bin/python
unset MAKEFLAGS MFLAGS # tests call make themselves
unset PYTHONDONTWRITEBYTECODE # hundreds of processes are started: what one has compiled serves the next
$PY -m pytest tests --ignore=tests/browser --ignore=tests/two_years -n 3 --hypothesis-profile=ci --dist loadscope --no-loadscope-reorder --durations=15 "$@"
$PY -m pytest tests/two_years -n 2 --dist loadscope --no-loadscope-reorder --durations=3
if CHROMIUM=$(sh infra/local/chromium.sh --find); then
    export CHROMIUM
    $PY -m pytest tests/browser -n 2 --dist loadscope --no-loadscope-reorder --durations=5
else
    echo "Browser tests are skipped: there is no Chromium here (as root, make chromium installs Debian's)."
fi
