#!/bin/sh
# Starts a private daemon and lets a client built on the Go Varlink library call all of its methods:
# run.sh DAEMON. Exits with 77 (skipped) where Go or the library is missing.
set -eu
daemon=$1
library=/usr/share/gocode/src/github.com/varlink/go
command -v go >/dev/null || { echo "skipped: go is missing"; exit 77; }
[ -d "$library" ] || { echo "skipped: golang-github-varlink-go-dev is missing"; exit 77; }

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mcpu-varlink-XXXXXX")
pid=
finish() {
  [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; }
  chmod -R u+w "$work" && rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE="${GOCACHE:-$work/gocache}"
go build -o "$work/client" "$here/main.go"

# The smallest application that can be upgraded.
mkdir -p "$work/home" "$work/source/bin" "$work/state" "$work/links"
printf '#!/bin/sh\n[ "$1" != hang ] || exec sleep 60\necho "usage: tool [hang]"\n' >"$work/source/bin/tool"
chmod 755 "$work/source/bin/tool"
cat >"$work/config.json" <<JSON
{
  "format": 1,
  "applications": {
    "mcp": null,
    "tool": {
      "source": "$work/source",
      "entry_points": [{ "name": "tool", "path": "bin/tool", "link": "$work/links/tool" }],
      "checks": [{ "arguments": ["--help"], "essential": true }],
      "deep_checks": [{ "arguments": ["hang"], "deadline_seconds": 60 }]
    }
  }
}
JSON
HOME=$work/home "$daemon" --user --state-dir "$work/state" --socket "$work/socket" \
  --config "$work/config.json" >"$work/daemon.log" 2>&1 &
pid=$!
tries=0
while [ ! -S "$work/socket" ]; do
  tries=$((tries + 1))
  if [ $tries -gt 500 ] || ! kill -0 "$pid" 2>/dev/null; then
    echo "the daemon did not start:"
    cat "$work/daemon.log"
    exit 1
  fi
  sleep 0.02
done
"$work/client" "unix:$work/socket" "$work/source" || {
  echo "the daemon said:"
  cat "$work/daemon.log"
  exit 1
}
