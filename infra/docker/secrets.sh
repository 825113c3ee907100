#!/bin/sh
# Makes the secrets that docker-compose.yml names. It keeps existing files, because the databases use them already.
# Containers run as another user, so everybody may read the files, and only you may enter the folder.
set -eu
folder=${1:-.quartal/compose}
mkdir -p "$folder"
chmod 700 "$folder"

make() {
    if [ ! -e "$folder/$1" ]; then
        cat > "$folder/$1.part"
        chmod 444 "$folder/$1.part"
        mv "$folder/$1.part" "$folder/$1"
    fi
}

random() {
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'
}

random | make postgres_password
printf 'postgresql://postgres:%s@postgres:5432/postgres' "$(cat "$folder/postgres_password")" | make database_url
head -c 32 /dev/urandom | base64 | make kek
head -c 32 /dev/urandom | base64 | make event_key
head -c 32 /dev/urandom | base64 | make links_key
random | make oidc_client_secret   # write the secret of your own provider into this file, if you have one
random | make keycloak_password
for service in enrollment toxicity followup analytics; do
    for role in owner app system; do
        printf 'postgresql://quartal_%s_%s:%s@postgres:5432/quartal_%s' "$service" "$role" "$(random)" "$service" |
            make "quartal_${service}_${role}_url"
    done
done
