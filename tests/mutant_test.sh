#!/bin/sh
# A test of the crash matrix itself: PROGRAM is the matrix with a mistake put into the engine, and
# must find it in the test CASE by an assertion of its own.
#
#   mutant_test.sh PROGRAM CASE
set -u
output=$("$1" --test-case="$2" --abort-after=1 --no-colors=true 2>&1)
status=$?
printf '%s\n' "$output" | tail -n 30
if [ "$status" = 0 ]; then
  echo "mutant_test: the mistake was not found" >&2
  exit 1
fi
printf '%s\n' "$output" | grep -q 'is NOT correct!'
