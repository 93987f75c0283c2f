#!/usr/bin/env bash
# Sets the server up at its first start, as POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD(_FILE) say, and starts it.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  password=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:?a password is needed: set POSTGRES_PASSWORD_FILE}")}
  # Set up elsewhere in the same volume and moved at the end, so that a start that is killed leaves nothing half made.
  fresh=$PGDATA/.fresh
  rm -rf "$fresh"
  initdb --pgdata "$fresh" --username "$user" --encoding UTF8 --locale C.UTF-8 --pwfile <(printf '%s\n' "$password") \
    --auth-local trust --auth-host scram-sha-256 >/dev/null
  echo 'host all all all scram-sha-256' >>"$fresh/pg_hba.conf"
  if [ "$database" != postgres ]; then
    printf 'CREATE DATABASE "%s" OWNER "%s";\n' "$database" "$user" |
      postgres --single -j -D "$fresh" postgres >/dev/null
  fi
  version=$(cat "$fresh/PG_VERSION")
  rm "$fresh/PG_VERSION"
  find "$fresh" -mindepth 1 -maxdepth 1 -exec mv -t "$PGDATA" {} +
  rmdir "$fresh"
  echo "$version" >"$PGDATA/PG_VERSION"
fi
chmod 0700 "$PGDATA"
exec "$@" -c listen_addresses='*'
