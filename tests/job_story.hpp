#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "proto/error.hpp"
#include "tests/engine_fixture.hpp"

namespace mcpu {

// What tests of the engine say again and again.

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The error that a call throws; the test fails if it throws none.
inline Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return Error(Code::kInternal, "");
}

inline CheckResult passing() {
  CheckResult result;
  result.passed = true;
  result.exit_code = 0;
  return result;
}

inline CheckResult failing() {
  CheckResult result;
  result.exit_code = 1;
  result.reason = "exit code 1";
  return result;
}

/// A job's stored events; those of the newest job without a number.
inline std::vector<Event> events_of(Engine& engine, JobId job = 0) {
  if (job == 0) job = engine.records().highest();
  std::vector<Event> events;
  while (true) {
    const auto some = engine.events().read(job, events.size() + 1, 1000);
    if (some.empty()) return events;
    for (const auto& one : some) events.push_back(one->event);
  }
}

/// The first event with this id; null if nobody was told that.
inline const Event* find_event(const std::vector<Event>& events, const std::string& id) {
  const auto found = std::ranges::find_if(events, [&](const Event& one) { return one.id == id; });
  return found == events.end() ? nullptr : &*found;
}

/// 1.0.0 is installed and its files are durable; 1.1.0 is offered.
inline const Machine& installed_machine() {
  static const Machine machine = [] {
    Machine one;
    run_well(one, upgrade_request());
    one.offer("1.1.0");
    one.fs().restart(Loss::kNothing);
    return one;
  }();
  return machine;
}

/// 1.1.0 replaced 1.0.0; 1.2.0 is offered.
inline const Machine& upgraded_machine() {
  static const Machine machine = [] {
    Machine one(installed_machine());
    run_well(one, upgrade_request());
    one.offer("1.2.0");
    one.fs().restart(Loss::kNothing);
    return one;
  }();
  return machine;
}

/// The ID of the stored release of this version.
inline std::string release_of(const Machine& machine, const std::string& version) {
  return machine.store().find(version);
}

/// Overwrites a file of a stored release, as a failing disk or a careless root would.
inline void damage_release(const Machine& machine, const std::string& release,
                           const std::string& file) {
  machine.write(machine.layout().tree("app", release) + "/" + file, "rotten", 0444);
}

inline JobRequest full_request() {
  JobRequest request = upgrade_request();
  request.mode = Mode::kFull;
  return request;
}

}  // namespace mcpu
