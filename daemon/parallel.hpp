#pragma once

#include <cstddef>
#include <functional>

namespace mcpu {

/// Calls `work(0)` ... `work(count - 1)`, each once, on up to `threads` threads, this one included;
/// returns when all have ended. The first exception stops handing out further calls and is thrown
/// here. Where no further thread can be started, fewer do all the work.
void parallel_for(std::size_t count, std::size_t threads,
                  const std::function<void(std::size_t)>& work);

/// How many threads pay off for work that only computes: the processors, and at least two.
std::size_t computing_threads();

}  // namespace mcpu
