#!/bin/sh
# Settings that are secrets come as files: quartal_enrollment_app_url becomes QUARTAL_ENROLLMENT_APP_URL.
# Then the command takes this shell's place, so that signals reach it.
set -eu
for file in "${SECRETS:-/run/secrets}"/quartal_* "${SECRETS:-/run/secrets}"/database_url; do
    if [ -f "$file" ]; then
        name=$(basename "$file" | tr '[:lower:]' '[:upper:]')
        value=$(cat "$file")
        export "$name=$value"
    fi
done
exec "$@"
