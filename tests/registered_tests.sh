#!/bin/sh
# Fails when a *_test.cpp beside this script is not among the names given.
set -eu
cd "$(dirname "$0")"
for file in *_test.cpp; do
  name=${file%_test.cpp}
  [ "$name" = main ] && continue
  case " $* " in
    *" $name "*) ;;
    *) echo "tests/$file is not registered in tests/meson.build" >&2; exit 1 ;;
  esac
done
