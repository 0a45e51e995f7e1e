#!/bin/sh
# Makes the namespace, keeps finished runs for seven days, and registers rankrsync's search attributes. Safe to run
# again.
set -eu

namespace=default retention=7d

if temporal operator namespace describe "$namespace" >/dev/null 2>&1; then
	temporal operator namespace update --retention "$retention" "$namespace"
else
	temporal operator namespace create --retention "$retention" "$namespace"
fi

for attribute in GhlLocation GhlContact SyncState; do
	# A new namespace takes some seconds to be known to all of the server.
	tries=0
	until temporal operator search-attribute list --namespace "$namespace" | grep -qw "$attribute" ||
		temporal operator search-attribute create --namespace "$namespace" --name "$attribute" --type Keyword; do
		tries=$((tries + 1))
		[ "$tries" -lt 30 ] || exit 1
		sleep 1
	done
done
