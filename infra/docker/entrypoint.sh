#!/bin/sh
# Turns secret files into settings: quartal_enrollment_app_url becomes QUARTAL_ENROLLMENT_APP_URL.
# Then the command replaces this shell, so that it receives the signals.
set -eu
for file in "${SECRETS:-/run/secrets}"/quartal_* "${SECRETS:-/run/secrets}"/database_url; do
    if [ -f "$file" ]; then
        name=$(basename "$file" | tr '[:lower:]' '[:upper:]')
        value=$(cat "$file")
        export "$name=$value"
    fi
done
exec "$@"
