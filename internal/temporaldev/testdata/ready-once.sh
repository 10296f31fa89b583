#!/bin/sh
# Stands for a server that is ready once and then never again: --exit-with-parent --db FILE remembers.
if [ -e "$3" ]; then
	echo "perdure-temporal: no luck" >&2
	exit 1
fi
touch "$3"
echo '{"address":"127.0.0.1:1"}'
