#!/bin/sh
# Creates Temporal's two databases, or brings them up to the version of this image. Runs in temporalio/admin-tools.
set -eu

export SQL_PLUGIN=postgres12

for database in temporal:temporal temporal_visibility:visibility; do
  export SQL_DATABASE="${database%%:*}"
  schema="/etc/temporal/schema/postgresql/v12/${database##*:}/versioned"
  temporal-sql-tool create-database
  temporal-sql-tool setup-schema --version 0.0
  temporal-sql-tool update-schema --schema-dir "$schema"
done
