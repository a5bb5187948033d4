#!/bin/sh
# Starts PostgreSQL as compose.yml needs it. Stands in for the official image's entry point where no registry
# can be reached: POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, data below /var/lib/postgresql, a first
# start that listens on TCP only once the database is there.
set -eu
data=/var/lib/postgresql/$PG_MAJOR/docker
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$data" /var/run/postgresql
    chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
    chmod 700 "$data"
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi
if [ ! -s "$data/PG_VERSION" ]; then
    password=$(mktemp)
    printf '%s' "$POSTGRES_PASSWORD" > "$password"
    initdb --pgdata="$data" --username="$POSTGRES_USER" --pwfile="$password" \
        --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256
    rm "$password"
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    pg_ctl --pgdata="$data" --wait --options="-c listen_addresses=''" start
    createdb --username="$POSTGRES_USER" --maintenance-db=postgres "$POSTGRES_DB"
    pg_ctl --pgdata="$data" --wait --mode=fast stop
fi
exec postgres -D "$data" -c listen_addresses='*'
