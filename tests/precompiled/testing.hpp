// As proto/precompiled/standard.hpp, for the unit tests.
#include <doctest/doctest.h>

#include "proto/precompiled/standard.hpp"
