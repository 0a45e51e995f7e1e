#!/bin/sh
# Makes Temporal's two databases and brings their schema to the version of the admin tools. Safe to run again.
set -eu

for database in temporal temporal_visibility; do
	schema=$database
	[ "$database" = temporal_visibility ] && schema=visibility
	tool() { temporal-sql-tool --plugin postgres12 --ep postgresql -p 5432 -u temporal --db "$database" "$@"; }
	tool create
	tool setup-schema -v 0.0
	tool update-schema --schema-name "postgresql/v12/$schema"
done
