#!/bin/sh
# Creates the namespace that TEMPORAL_NAMESPACE names, if there is none. Runs in temporalio/admin-tools.
set -eu

until temporal operator cluster health >/dev/null 2>&1; do
  sleep 1
done
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  exit 0
fi
temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 720h
# The servers' caches of namespaces know it only now.
until temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; do
  sleep 1
done
