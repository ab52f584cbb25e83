#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/file_system.hpp"

namespace mcpu {

/// A SHA-256 value (FIPS 180-4), computed by nettle.
struct Sha256 {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Sha256&) const = default;
  std::string hex() const;  ///< 64 lower-case hex digits
  /// Throws Error{kCorrupt} unless `hex` is 64 hex digits.
  static Sha256 from_hex(std::string_view hex);
  static Sha256 of(std::string_view bytes);
};

/// Computes one digest piece by piece.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void update(std::string_view bytes);
  /// Ends the computation; REQUIRES: not called before.
  Sha256 finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// Reads the file in pieces (never whole in memory).
Sha256 hash_file(const InputFile& file);

}  // namespace mcpu
