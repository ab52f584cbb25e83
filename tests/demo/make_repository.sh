#!/bin/sh
# Makes a git repository of the demonstration application with the tags v1.0.0, v1.1.0 and v1.2.0,
# the last of which is broken; its checkout stands at v1.0.0.
# Usage: make_repository.sh DIR
set -eu
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
parts=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

# The same commits every time, whatever the caller's git is told.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=Demo GIT_AUTHOR_EMAIL=demo@example.org
export GIT_COMMITTER_NAME=Demo GIT_COMMITTER_EMAIL=demo@example.org

git init -q -b main .
for version in 1.0.0 1.1.0 1.2.0; do
  # Later versions replace what they change; every file is stamped with its release.
  git rm -rq --ignore-unmatch . >/dev/null
  for layer in 1.0.0 1.1.0 1.2.0; do
    cp -R "$parts/$layer/." .
    [ "$layer" != "$version" ] || break
  done
  find bin lib -type f -exec sed -i "s/@VERSION@/$version/" {} +
  chmod 755 bin/mcp-demo
  git add .
  GIT_AUTHOR_DATE="2026-01-1$(echo "$version" | cut -d. -f2)T12:00:00Z"
  GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
  export GIT_AUTHOR_DATE GIT_COMMITTER_DATE
  git commit -q -m "Release $version"
  git tag "v$version"
done
git reset -q --hard v1.0.0
