#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

/// A check's output as it streams by: its beginning and its end are kept, the middle is counted,
/// and the forbidden texts are looked for in all of it, across pieces too. Memory is bounded
/// whatever comes. Bytes, not text.
class CheckOutput {
 public:
  explicit CheckOutput(std::vector<std::string> forbid);

  void add(std::string_view piece);

  /// What is kept, with a note about what was left out.
  std::string text() const;
  /// The first of the forbidden texts, in their given order, that was seen; empty: none.
  std::string forbidden() const;

 private:
  void search(std::string_view piece);
  void keep(std::string_view piece);

  std::vector<std::string> forbid_;
  std::vector<bool> found_;
  std::size_t overlap_bytes_ = 0;  ///< a text can begin so far before a piece
  std::string carry_;
  std::string head_;
  std::string tail_;
  std::uint64_t left_out_bytes_ = 0;
};

}  // namespace mcpu
