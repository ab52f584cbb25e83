#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

#include "daemon/configuration_file.hpp"
#include "daemon/diagnostics.hpp"
#include "daemon/journald.hpp"
#include "daemon/offline.hpp"
#include "daemon/options.hpp"
#include "daemon/program_paths.hpp"
#include "daemon/server.hpp"
#include "daemon/service_manager.hpp"
#include "daemon/state_directory.hpp"
#include "daemon/supervision.hpp"
#include "daemon/upgrade_service.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

namespace mcpu {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongInput = 2;

/// What the whole process needs before any thread is started.
void set_up_process() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error to undo from, not an end
  umask(022);
  // Processes that a worker leaves behind become our children, so that they can be ended.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  constexpr rlim_t kDescriptors = 4096;  // connections, and the files of a job
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kDescriptors) {
    limit.rlim_cur = std::min(kDescriptors, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/// Closed standard descriptors would be given to the first files that are opened.
void hold_standard_descriptors() {
  int descriptor = open("/dev/null", O_RDWR);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = dup(descriptor);
  if (descriptor > STDERR_FILENO) close(descriptor);
}

/// The daemon's parts and the doorways between them; one for the process, on the main thread.
class Daemon {
 public:
  Daemon(const DaemonOptions& options, Instance instance)
      : instance_(std::move(instance)),
        home_(own_identity().home),
        configuration_(load_for(options)),
        programs_(find_programs(options.program_directory)),
        fs_(make_posix_file_system()) {
    make_state_directory(*fs_, instance_);
    lock_ = take_state_lock(*fs_, instance_.layout, instance_.socket);
    processes_ = make_posix_processes(programs_.workers);
    services_ = make_service_control(*processes_);
  }

  void run() {
    UpgradeService service(tools(), instance_, configuration_);
    copy_to_journal(service.events());
    Server server(service, {});
    listen(server);
    spdlog::info("serving {} at {}", escape_path(instance_.layout.state),
                 escape_path(instance_.socket));
    Supervision supervision({[&] { return service.activity(); },
                             [&](auto delay, auto work) { server.after(delay, std::move(work)); },
                             [](const std::string& state) { notify_service_manager(state); }},
                            timer_);
    server.on_signal([&](int signal) {
      if (signal == SIGHUP) return reload(service, server, supervision);
      stop(signal, service, server);
    });
    if (instance_.user_mode) server.when_idle(configuration_->idle_exit, [&] { server.stop(); });
    // Who edits the file there need not know that a daemon runs, nor how it is told.
    if (instance_.user_mode) {
      server.on_connection([&] {
        if (configuration_stamp(instance_) != stamp_) reload(service, server, supervision);
      });
    }
    notify_service_manager("READY=1");
    service.start();  // with the recovery, if one is pending
    server.on_events([&] { supervision.look(); });
    supervision.start(watchdog_time());
    server.run();
    notify_service_manager("STOPPING=1");
    if (stopper_.joinable()) stopper_.join();
    service.stop();
  }

  /// Does what the options say, without serving anybody; the exit code.
  int work_offline(const DaemonOptions& options) {
    UpgradeService service(tools(), instance_, configuration_);
    service.events().on_stored([](const StoredEvent& one) { show(one.event); });
    service.start();
    const int code = options.recover ? recover_offline(service)
                                     : roll_back_offline(service, options.app, options.to);
    service.stop();
    return code;
  }

 private:
  Tools tools() {
    return {*fs_, instance_.layout, *processes_, programs_.launcher, services_.get(), &timer_};
  }

  /// Whoever may start this program as the daemon's user may see all of an event.
  static void show(const Event& event) {
    const auto level = event.tier == Tier::kError     ? spdlog::level::err
                       : event.tier == Tier::kWarning ? spdlog::level::warn
                       : event.tier == Tier::kDebug   ? spdlog::level::debug
                                                      : spdlog::level::info;
    spdlog::log(level, "{}", escape_path(event.text));
  }

  std::shared_ptr<const Configuration> load() {
    stamp_ = configuration_stamp(instance_);
    return std::make_shared<const Configuration>(load_configuration(instance_, home_));
  }

  /// A journal holds all that a recovery needs: a mistake in the configuration keeps none from it.
  std::shared_ptr<const Configuration> load_for(const DaemonOptions& options) {
    try {
      return load();
    } catch (const Error& error) {
      if (!options.recover) throw;
      spdlog::warn("{}; going on with the built-in values", error.what());
      return std::make_shared<const Configuration>(default_configuration(instance_.link_directory));
    }
  }

  void listen(Server& server) {
    std::vector<UniqueFd> passed = passed_sockets();
    for (UniqueFd& socket : passed) server.listen(std::move(socket));
    if (!passed.empty()) return;
    make_socket_directory(*fs_, instance_);
    server.listen(instance_.socket, instance_.user_mode);
  }

  /// As a service, whose output goes to the journal: events belong there, too.
  static void copy_to_journal(EventLog& events) {
    if (!is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))) return;
    const auto entries = std::make_shared<JournalEntries>();
    events.on_stored([entries](const StoredEvent& event) { entries->send(event); });
  }

  void stop(int signal, UpgradeService& service, Server& server) {
    if (stopper_.joinable()) return;  // already on its way
    spdlog::info("asked to stop by signal {}", signal);
    // Watchers see how the running job ends: the server goes on until it has.
    stopper_ = std::thread([&] {
      service.stop();
      server.stop();
    });
  }

  void reload(UpgradeService& service, Server& server, Supervision& supervision) {
    notify_reloading();
    try {
      configuration_ = load();
      service.reload(configuration_);
      if (instance_.user_mode) server.when_idle(configuration_->idle_exit, [&] { server.stop(); });
      spdlog::info("read the configuration again");
      supervision.remark("");
    } catch (const Error& error) {
      const std::string problem = std::string(error.what()) + "; the configuration stays as it was";
      spdlog::error("{}", problem);
      service.refuse_reload(problem);
      supervision.remark(problem);
    }
    notify_service_manager("READY=1");
  }

  const Instance instance_;
  const std::string home_;
  std::string stamp_;  ///< of the configuration file that was read last
  std::shared_ptr<const Configuration> configuration_;
  const ProgramPaths programs_;
  std::unique_ptr<FileSystem> fs_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<ProcessPort> processes_;
  std::unique_ptr<ServiceControl> services_;
  StepTimer timer_;
  std::thread stopper_;
};

/// Prints the effective configuration in the file's own form, and to standard error what it is.
int check_configuration(const Instance& instance) {
  const Configuration configuration = load_configuration(instance, own_identity().home);
  const std::string file = escape_path(instance.config_file);
  const std::string verdict = configuration.file.empty()
                                  ? "there is no " + file + ": these are the built-in values"
                                  : file + " is valid; the effective values:";
  std::fprintf(stderr, "%s\n", verdict.c_str());
  std::printf("%s\n", to_json(configuration).dump(2).c_str());
  return 0;
}

/// The verdict on a configuration file alone, as one JSON object: what `mcpctl config validate`
/// asks.
int judge_configuration(const Instance& instance) {
  nlohmann::json verdict;
  try {
    const Configuration configuration = load_configuration(instance, own_identity().home);
    verdict = {{"exists", !configuration.file.empty()}, {"valid", true}};
  } catch (const Error& error) {
    if (error.code() != Code::kConfig) throw;
    verdict = error.context();
    verdict.update({{"message", error.what()}, {"valid", false}});
  }
  verdict["file"] = escape_path(instance.config_file);
  std::printf("%s\n",
              verdict.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return verdict.at("valid").get<bool>() ? 0 : kWrongInput;
}

int serve(const DaemonOptions& options, const Instance& instance) {
  set_up_process();
  const std::string log_file = options.on_demand ? instance.layout.state + "/daemon.log" : "";
  set_up_diagnostics(log_file, options.verbose);
  Daemon daemon(options, instance);
  if (options.recover || options.rollback) return daemon.work_offline(options);
  daemon.run();
  spdlog::info("stopped");
  return 0;
}

int run(int argc, char** argv) {
  const ParsedOptions parsed = parse_daemon_options(argc, argv, geteuid() == 0);
  if (!parsed.options) return parsed.exit_code;
  const DaemonOptions& options = *parsed.options;
  const Instance instance =
      options.instance.system ? system_instance(options.instance) : user_instance(options.instance);
  if (options.check_config) {
    return options.json ? judge_configuration(instance) : check_configuration(instance);
  }
  return serve(options, instance);
}

}  // namespace
}  // namespace mcpu

int main(int argc, char** argv) {
  using mcpu::Code;
  mcpu::hold_standard_descriptors();
  try {
    return mcpu::run(argc, argv);
  } catch (const mcpu::Error& error) {
    std::fprintf(stderr, "mcp-upgraded: %s\n", error.what());
    return error.code() == Code::kConfig || error.code() == Code::kUsage ? mcpu::kWrongInput
                                                                         : mcpu::kFailed;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mcp-upgraded: %s\n", error.what());
    return mcpu::kFailed;
  }
}
