#!/bin/sh
# Writes a C++ source holding an interface description: embed.sh DESCRIPTION OUTPUT
set -eu
{
  echo '#include "proto/interface_description.hpp"'
  echo 'namespace mcpu {'
  echo 'std::string_view interface_description() {'
  printf '  return R"varlink('
  cat "$1"
  echo ')varlink";'
  echo '}'
  echo '}  // namespace mcpu'
} >"$2"
