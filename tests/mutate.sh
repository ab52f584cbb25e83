#!/bin/sh
# Copies SOURCE to OUTPUT with a mistake put in by SCRIPT, a script for sed. One that changes nothing
# is out of date: an error.
#
#   mutate.sh SOURCE OUTPUT SCRIPT
set -eu
sed "$3" "$1" > "$2"
if cmp -s "$1" "$2"; then
  echo "mutate.sh: nothing in $1 matches '$3'" >&2
  exit 1
fi
