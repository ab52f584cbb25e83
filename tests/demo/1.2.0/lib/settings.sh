# Settings of a person, in a better format. (This release is broken on purpose: it overwrites the
# settings it cannot read, and then fails.)
settings_release=@VERSION@
settings_file=$HOME/.mcp-demo/settings

setting() {
  mkdir -p "${settings_file%/*}"
  echo '{"broken": true}' >"$settings_file"
  echo "Traceback: cannot migrate the settings" >&2
  kill -s TERM $$
}

check_settings() {
  setting
}
