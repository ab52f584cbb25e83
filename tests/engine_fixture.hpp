#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/durable.hpp"
#include "daemon/job_runner.hpp"
#include "daemon/recovery.hpp"
#include "daemon/source_wire.hpp"
#include "tests/memory_file_system.hpp"
#include "tests/thread_processes.hpp"

namespace mcpu {

class Machine;

/// A service of the application on a machine in memory: it runs what the command was when it was
/// last restarted.
class MemoryService final : public ServiceControl {
 public:
  MemoryService(const Machine& machine, std::string runs)
      : machine_(machine), runs_(std::move(runs)) {}
  ServiceState look(const ServiceUnit&, const Cancellation*) override {
    return {ServiceState::Known::kYes, "active", ""};
  }
  RestartResult restart(const ServiceUnit&, std::chrono::seconds, const Cancellation*) override;
  const std::string& runs() const { return runs_; }

 private:
  const Machine& machine_;
  std::string runs_;
};

/// A machine in memory on which the engine runs: its files, a source that offers a release, an
/// application whose commands are scripted, and one user, root, with two managed files. Copies are
/// machines of their own, so that a state that is costly to reach is made once.
class Machine {
 public:
  using Check = ThreadProcesses::Check;

  Machine();
  Machine(const Machine& other);
  Machine& operator=(const Machine&) = delete;

  /// What the source offers from now on: bin/app, lib/part, doc/same (the same in every version)
  /// and CHANGELOG.md.
  void offer(const std::string& version);
  /// Further or other files of the offered release; a path under bin/ is executable.
  void offer_file(const std::string& path, const std::string& content) { files_[path] = content; }
  /// What the source worker throws instead of answering; null: it answers.
  void break_source(std::optional<Error> error) { source_error_ = std::move(error); }
  /// Answers the checks; at first all pass. Called in the worker's thread.
  void check_by(Check check) { check_ = std::move(check); }

  JobEnvironment environment() const { return {tools(), configuration_, false}; }
  Tools tools() const { return {*fs_, layout_, *processes_, kLauncher, services_}; }
  /// The service manager (not owned); at first there is none, and copies have none.
  void manage_services_by(ServiceControl* services) { services_ = services; }
  /// From now on the application has a service, which runs; copies have one of their own.
  void add_service();
  /// Null: it has none.
  const MemoryService* service() const { return service_.get(); }
  MemoryFileSystem& fs() const { return *fs_; }
  const Layout& layout() const { return layout_; }
  /// To be changed before the next job.
  Configuration& configuration() { return *configuration_; }
  Application& app() { return configuration_->applications.front(); }
  ReleaseStore store() const { return {*fs_, layout_, "app"}; }

  /// Writes a file durably, with the directories above it.
  void write(const std::string& path, const std::string& content, std::uint32_t mode = 0644) const;
  std::string read(const std::string& path) const { return read_file(*fs_, path, 1 << 20); }
  /// The content of what `app` on PATH executes, the release's environment aside; empty: nothing.
  /// Seen from outside: no fault that a test has set hits it.
  std::string runs() const { return Machine(*this).command(); }
  /// Every file, directory and link of what people see (links, home, releases, launchers) with
  /// mode and content, times aside.
  std::map<std::string, std::string> picture() const;
  /// Files that are only there while somebody works.
  std::vector<std::string> temporary_files() const;

  static inline const std::string kLauncher = "/usr/libexec/mcp-launch";
  static inline const std::string kLink = "/usr/local/bin/app";
  static inline const std::string kSource = "/src/app";
  static inline const std::string kHome = identity_of("root").home;
  static inline const std::string kSettings = ".app/settings.json";

 private:
  void connect();
  std::string command() const;
  void serve_source(WorkerLink& link) const;
  void walk(const std::string& path,
            const std::function<void(const std::string&, const FileInfo&)>& visit) const;

  std::unique_ptr<MemoryFileSystem> fs_;
  Layout layout_{"/var/lib/mcpu", "/var/cache/mcpu"};
  std::shared_ptr<Configuration> configuration_;
  std::map<std::string, std::string> files_;
  std::string version_;
  std::optional<Error> source_error_;
  Check check_;
  std::unique_ptr<ThreadProcesses> processes_;
  ServiceControl* services_ = nullptr;
  std::unique_ptr<MemoryService> service_;
};

/// One life of the daemon on a machine, without its queue and its wire: what UpgradeService does
/// with a job, on the calling thread.
class Engine {
 public:
  explicit Engine(Machine& machine);

  /// What the daemon does at its start. Whether nothing is pending.
  bool recover();
  /// Runs a job from request to result, and what is left of it as the queue would.
  JobResult run(const JobRequest& request);

  StateStore& state() { return state_; }
  EventLog& events() { return events_; }
  JobRecords& records() { return records_; }
  const std::string& damage() const { return damage_; }
  const std::string& pending() const { return pending_; }
  /// Called right before the commit record.
  std::function<void()> on_commit = [] {};
  Cancellation cancellation;

 private:
  JobEnvironment environment_;
  StateStore state_;
  EventLog events_;
  JobRecords records_;
  JobId newest_before_;
  std::string damage_, pending_;
};

/// Requests, in short.
JobRequest upgrade_request();
JobRequest rollback_request(const std::optional<std::string>& to = std::nullopt);

/// Runs a job on a machine in one life of the daemon, which must go well.
JobResult run_well(Machine& machine, const JobRequest& request);

/// One job that is stopped or failed everywhere.
struct Ordeal {
  const Machine& before;  ///< the machine as the job finds it, everything durable
  JobRequest request;
  JobId job = 0;                     ///< the number it gets
  Outcome outcome = Outcome::kDone;  ///< undisturbed
};

/// The two states between which there is nothing.
class Alternatives {
 public:
  /// Runs the job undisturbed to learn them.
  explicit Alternatives(const Ordeal& ordeal);

  std::uint64_t calls() const { return calls_; }  ///< changing calls of the undisturbed job
  std::uint64_t looks() const { return looks_; }  ///< and those that only looked
  /// Checks that what runs is whole, the old or the new, even before recovery.
  void check_running(const Machine& machine) const;
  /// Checks that everything is old or new, that record, history and events say which, and that
  /// nothing temporary is left. REQUIRES: `engine` has recovered.
  void check_settled(const Machine& machine, Engine& engine) const;

 private:
  void check_record(Engine& engine, bool is_new) const;
  std::map<std::string, std::string> without_pruned(
      std::map<std::string, std::string> present) const;

  const Ordeal& ordeal_;
  std::string old_runs_, new_runs_;
  std::map<std::string, std::string> old_, new_;
  std::uint64_t calls_ = 0, looks_ = 0;
};

/// Runs the job until it is stopped at changing call number `call`, and takes away what the loss
/// takes. Returns the call; empty: the job ended before that.
std::string run_until_stopped(Machine& machine, const Ordeal& ordeal, std::uint64_t call,
                              Loss loss);

/// A job that must be possible whatever was recovered.
using Next = std::function<void(Machine&)>;

/// Stops the job at every changing call from `first` on, in steps of `stride`, with this loss;
/// recovers, checks, and runs `next` if there is one. Returns how many times it was stopped.
std::uint64_t stop_everywhere(const Ordeal& ordeal, Loss loss, const Next& next = {},
                              std::uint64_t first = 1, std::uint64_t stride = 1);

/// Stops the job at call number `call`, then its recovery at every `stride`th of its calls;
/// recovers again and checks. Returns how many times the recovery was stopped.
std::uint64_t stop_recovery_everywhere(const Ordeal& ordeal, std::uint64_t call, Loss loss,
                                       std::uint64_t stride = 1);

/// What goes wrong at a call, without a stop.
struct Failure {
  int errno_value = 0;
  bool looks = false;  ///< the calls that only look are meant, not those that change something
  bool lasts = false;  ///< every later call fails too, until the daemon starts again
};

/// Has every `stride`th call of the job fail, and checks that it ends old or new, at the latest
/// after a restart; then runs `next`. Returns how many calls failed.
std::uint64_t fail_everywhere(const Ordeal& ordeal, const Failure& failure, const Next& next = {},
                              std::uint64_t first = 1, std::uint64_t stride = 1);

/// Stops the job at call number `call`, then has every `stride`th call of its recovery fail; what
/// is pending then must go well at the next start. Returns how many calls failed.
std::uint64_t fail_recovery_everywhere(const Ordeal& ordeal, std::uint64_t call,
                                       const Failure& failure, std::uint64_t stride = 1);

}  // namespace mcpu
