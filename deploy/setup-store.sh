#!/bin/sh
# Makes the database of rankrsync's store, and its user. Safe to run again; the programs bring the tables up to date themselves.
set -eu

export PGHOST="${PGHOST:-postgresql}" PGUSER="${PGUSER:-temporal}" PGDATABASE=postgres
query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"; }

[ -n "$(query "SELECT 1 FROM pg_roles WHERE rolname = 'rankrsync'")" ] ||
	query "CREATE ROLE rankrsync LOGIN PASSWORD 'rankrsync'"
[ -n "$(query "SELECT 1 FROM pg_database WHERE datname = 'rankrsync'")" ] ||
	query "CREATE DATABASE rankrsync OWNER rankrsync ENCODING 'UTF8' TEMPLATE template0"
