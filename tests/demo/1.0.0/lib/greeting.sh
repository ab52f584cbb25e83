# How to greet.
greeting_release=@VERSION@

greet() {
  echo "$(setting greeting), $1!"
}
