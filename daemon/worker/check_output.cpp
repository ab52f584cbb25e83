#include "daemon/worker/check_output.hpp"

#include <algorithm>

#include "daemon/check.hpp"

namespace mcpu {
namespace {

constexpr std::size_t kHalfBytes = kCheckOutputBytes / 2;

}  // namespace

CheckOutput::CheckOutput(std::vector<std::string> forbid)
    : forbid_(std::move(forbid)), found_(forbid_.size()) {
  std::erase(forbid_, std::string());  // is in every output
  for (const auto& text : forbid_) overlap_bytes_ = std::max(overlap_bytes_, text.size() - 1);
}

void CheckOutput::add(std::string_view piece) {
  search(piece);
  keep(piece);
}

void CheckOutput::search(std::string_view piece) {
  if (forbid_.empty()) return;
  carry_.append(piece);
  for (std::size_t i = 0; i < forbid_.size(); ++i) {
    if (!found_[i]) found_[i] = carry_.find(forbid_[i]) != std::string::npos;
  }
  if (carry_.size() > overlap_bytes_) carry_.erase(0, carry_.size() - overlap_bytes_);
}

void CheckOutput::keep(std::string_view piece) {
  const auto to_head = std::min(piece.size(), kHalfBytes - head_.size());
  head_.append(piece.substr(0, to_head));
  tail_.append(piece.substr(to_head));
  // Trimmed only now and then, so that a flood of small pieces does not move memory each time.
  if (tail_.size() <= 4 * kHalfBytes) return;
  left_out_bytes_ += tail_.size() - kHalfBytes;
  tail_.erase(0, tail_.size() - kHalfBytes);
}

std::string CheckOutput::text() const {
  const auto more = tail_.size() > kHalfBytes ? tail_.size() - kHalfBytes : 0;
  const auto left_out = left_out_bytes_ + more;
  if (left_out == 0) return head_ + tail_;
  return head_ + "\n[... " + std::to_string(left_out) + " bytes left out ...]\n" +
         tail_.substr(more);
}

std::string CheckOutput::forbidden() const {
  for (std::size_t i = 0; i < forbid_.size(); ++i) {
    if (found_[i]) return forbid_[i];
  }
  return {};
}

}  // namespace mcpu
