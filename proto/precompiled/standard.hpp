// What most files include, parsed once for each target: half the time of a build went into it.
// Files still include what they use, since packagers may build without (-Db_pch=false).
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>
