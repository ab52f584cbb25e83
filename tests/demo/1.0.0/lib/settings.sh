# Settings of a person, one NAME=VALUE a line.
settings_release=@VERSION@
settings_file=$HOME/.mcp-demo/settings

setting() {
  value=
  if [ -r "$settings_file" ]; then
    while IFS='=' read -r name content; do
      [ "$name" != "$1" ] || value=$content
    done <"$settings_file"
  fi
  echo "${value:-Hello}"
}

check_settings() {
  [ ! -e "$settings_file" ] || [ -r "$settings_file" ] || {
    echo "cannot read $settings_file" >&2
    return 1
  }
}
