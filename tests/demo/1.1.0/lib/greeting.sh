# How to greet, and when.
greeting_release=@VERSION@

greet() {
  echo "$(setting greeting), $1! It is $(date +%H:%M)."
}
