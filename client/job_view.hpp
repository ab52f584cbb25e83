#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "client/screen.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

/// How a job's replies are shown: as JSON lines, or as log lines with a progress bar on a terminal.
class JobView {
 public:
  JobView(Screen& screen, const Arguments& arguments) : screen_(screen), arguments_(arguments) {}

  /// One reply of a streaming method: a disposition, an event or a result.
  void show(const nlohmann::json& reply);
  /// One line about the connection itself, not part of any log.
  void remark(const std::string& text);

 private:
  void show_disposition(const nlohmann::json& reply);
  void show_event(const Event& event);
  bool wanted(const Event& event) const;
  bool is_repeated(const Event& event);

  Screen& screen_;
  const Arguments& arguments_;
  std::set<std::pair<JobId, Tier>> private_;  ///< where it was said that there are details
};

}  // namespace mcpu
