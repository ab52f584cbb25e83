#include "tests/engine_fixture.hpp"

#include "daemon/leftovers.hpp"
#include "daemon/scratch.hpp"

#include <algorithm>

#include "daemon/check_messages.hpp"

namespace mcpu {

namespace {

/// The application changes one of its files whenever it runs in the real home, as many do.
CheckResult run_application(MemoryFileSystem& fs, const CheckRun& run, const std::string& version) {
  const std::string home = run.environment.at("HOME");
  if (home == Machine::kHome && fs.info(home + "/.app")) {
    const std::string path = home + "/" + Machine::kSettings;
    const std::string temporary = path + "~";
    if (fs.info(temporary)) fs.remove_file(temporary);
    {
      const auto file = fs.create(temporary, 0600);
      file->write_at(0, "settings of " + version);
      file->sync();
    }
    fs.rename(temporary, path);
    fs.sync_directory(parent_path(path));
  }
  CheckResult result;
  result.passed = true;
  result.exit_code = 0;
  return result;
}

std::string describe(const Machine& machine, const std::string& path, const FileInfo& info) {
  FileSystem& fs = machine.fs();
  if (info.type == FileType::kLink) return "link to " + fs.read_link(path);
  const std::string mode = std::to_string(info.mode);
  if (info.type != FileType::kFile) return mode + " directory";
  // What holds the time of its making differs from run to run.
  const bool timed = base_name(path) == "release.json";
  return mode + " " + (timed ? "" : machine.read(path));
}

}  // namespace

Machine::Machine()
    : fs_(std::make_unique<MemoryFileSystem>()), configuration_(std::make_shared<Configuration>()) {
  write(kLauncher, "launcher", 0755);
  make_directories(*fs_, "/usr/local/bin", 0755);
  make_directories(*fs_, kHome, 0700);
  make_directories(*fs_, kSource, 0755);
  make_directories(*fs_, layout_.state, 0755);
  write(kHome + "/" + kSettings, "settings of anna", 0640);
  write(kHome + "/.app/keys.toml", "keys = []", 0600);
  configuration_->users = configuration_->required_users = {"root"};
  Application app;
  app.name = "app";
  app.source = kSource;
  app.entry_points = {{"app", "bin/app", kLink}};
  app.files = {
      {kSettings, "json", ""}, {".app/keys.toml", "toml", ""}, {".app/absent", "other", ""}};
  app.checks = {{"app --help", "app", {"--help"}, std::chrono::seconds(10), {}, {0}, true},
                {"app status", "app", {"status"}, std::chrono::seconds(10), {}, {0}, false}};
  configuration_->applications = {app};
  offer("1.0.0");
  connect();
}

Machine::Machine(const Machine& other)
    : fs_(other.fs_->copy()),
      layout_(other.layout_),
      configuration_(std::make_shared<Configuration>(*other.configuration_)),
      files_(other.files_),
      version_(other.version_),
      source_error_(other.source_error_),
      check_(other.check_) {
  connect();
  if (!other.service_) return;
  service_ = std::make_unique<MemoryService>(*this, other.service_->runs());
  services_ = service_.get();
}

void Machine::connect() {
  processes_ = std::make_unique<ThreadProcesses>(*fs_);
  processes_->run(WorkerKind::kSource,
                  [this](WorkerLink& link, const Identity&) { serve_source(link); });
  processes_->run_checks_by([this](const CheckRun& run) {
    return check_ ? check_(run) : run_application(*fs_, run, runs());
  });
}

void Machine::add_service() {
  app().services = {"app.service"};
  service_ = std::make_unique<MemoryService>(*this, runs());
  services_ = service_.get();
}

RestartResult MemoryService::restart(const ServiceUnit&, std::chrono::seconds,
                                     const Cancellation*) {
  runs_ = machine_.runs();
  return {true, "", {}, false};
}

void Machine::offer(const std::string& version) {
  version_ = version;
  files_ = {{"bin/app", "app " + version},
            {"lib/part", "part of " + version},
            {"doc/same", "the same"},
            {"CHANGELOG.md", "# Changes\n\n## " + version + "\n\n- all of " + version + "\n"}};
}

void Machine::serve_source(WorkerLink& link) const {
  link.receive();
  if (source_error_) return link.send_error(*source_error_);
  std::vector<ListingEntry> entries;
  for (const auto& [path, content] : files_) {
    entries.push_back({path, EntryType::kFile, path.starts_with("bin/"), content.size(),
                       Sha256::of(content), ""});
  }
  ResolvedSource resolved;
  resolved.location = kSource;
  resolved.kind = "checkout";
  resolved.version = version_;
  resolved.commit = Sha256::of(version_).hex().substr(0, 40);
  resolved.listing = Listing(entries);
  link.send({{"resolved", description_to_json(resolved)}});
  const auto changelog = files_.find("CHANGELOG.md");
  link.send_bytes(changelog == files_.end() ? "" : changelog->second);
  for (const std::string& part : listing_parts(resolved.listing)) link.send_bytes(part);
  while (true) {
    const auto request = link.receive();
    for (const auto& index : request.at("read")) {
      const auto& entry = resolved.listing.entries().at(index.get<std::size_t>());
      if (entry.size_bytes > 0) link.send_bytes(files_.at(entry.path));
    }
  }
}

void Machine::write(const std::string& path, const std::string& content, std::uint32_t mode) const {
  make_directories(*fs_, parent_path(path), 0755);
  write_durably(*fs_, path, content, mode);
}

std::string Machine::command() const {
  const auto info = fs_->info(kLink);
  if (!info) return "";
  if (info->type == FileType::kFile) return read(kLink);
  const std::string target = fs_->read_link(kLink);
  if (target != layout_.launcher("app", "app")) return fs_->info(target) ? read(target) : "";
  const auto current = store().current();
  if (read(target) != "launcher" || !current) return "broken";
  try {
    for (const ExecSpec& spec : store().exec(*current)) {
      if (spec.name == "app") return read(layout_.tree("app", *current) + "/" + spec.path);
    }
  } catch (const Error&) {
    // Damaged.
  }
  return "broken";
}

void Machine::walk(const std::string& path,
                   const std::function<void(const std::string&, const FileInfo&)>& visit) const {
  const auto info = fs_->info(path);
  if (!info) return;
  visit(path, *info);
  if (info->type != FileType::kDirectory) return;
  for (const std::string& name : fs_->list(path)) walk(path + "/" + name, visit);
}

std::map<std::string, std::string> Machine::picture() const {
  std::map<std::string, std::string> picture;
  for (const std::string& root : {std::string("/usr"), std::string("/src"), kHome,
                                  layout_.state + "/apps/app", layout_.state + "/launch/app"}) {
    walk(root, [&](const std::string& path, const FileInfo& info) {
      const bool lock = path.starts_with(kHome + "/.local");
      // Directories of ours without anything in them say nothing.
      const bool ours = info.type == FileType::kDirectory && path.starts_with(layout_.state) &&
                        !path.starts_with(layout_.releases("app") + "/");
      // A launcher that no command leads to may stay.
      const auto link = fs_->info(kLink);
      const bool unused = path == layout_.launcher("app", "app") &&
                          !(link && link->type == FileType::kLink && fs_->read_link(kLink) == path);
      // Nor is what the application itself left half done any of our business.
      const bool aside = path.ends_with("~") || path == layout_.denied("app");
      if (!lock && !ours && !aside && !unused) picture[path] = describe(*this, path, info);
    });
  }
  return picture;
}

std::vector<std::string> Machine::temporary_files() const {
  std::vector<std::string> found;
  const auto look = [&](const std::string& path, const FileInfo&) {
    const std::string name = base_name(path);
    const bool hidden = name.starts_with(".") && (name.ends_with(".tmp") || name == ".part");
    const bool half = name.starts_with(".staging-") || name.starts_with(".removed-");
    const bool work = name.ends_with(".new") || path == layout_.journal() ||
                      path.starts_with(layout_.state + "/scratch/");
    if (hidden || half || work) found.push_back(path);
  };
  for (const std::string& top : fs_->list("/")) walk("/" + top, look);
  return found;
}

Engine::Engine(Machine& machine)
    : environment_(machine.environment()),
      state_(machine.fs(), machine.layout()),
      events_(machine.fs(), machine.layout()),
      records_(machine.fs(), machine.layout()),
      newest_before_(records_.highest()) {
  std::vector<EntryPoint> entries;
  for (const Application& app : environment_.configuration->applications) {
    entries.insert(entries.end(), app.entry_points.begin(), app.entry_points.end());
  }
  remove_leftovers(machine.fs(), machine.layout(), entries);
  remove_all_scratch(environment_.tools);
}

bool Engine::recover() {
  Recovery recovery(environment_, state_, events_);
  try {
    if (recovery.find(damage_)) {
      if (const auto pending = recovery.run()) throw Error(*pending);
    }
  } catch (const Error& error) {
    pending_ = error.what();
    return false;
  }
  recovery.tidy(newest_before_);
  return true;
}

JobResult Engine::run(const JobRequest& request) {
  JobRecord record;
  record.request = request;
  record.by = "root";
  record.queued_at = now();
  record.id = std::max(state_.get()->next_job, records_.highest() + 1);
  records_.create(record);
  events_.open(record.id);
  JobLog log(events_, record.id);
  try {
    record.started_at = now();
    records_.write(record);
    JobRunner(environment_, state_, events_).run(record, log, cancellation, on_commit);
  } catch (const std::exception& error) {
    log.finish(Tier::kError, "job.needs_attention", {{"message", error.what()}});
  }
  events_.close(record.id);
  if (environment_.tools.fs.info(environment_.tools.layout.journal())) recover();
  const auto stored = records_.read(record.id);
  return stored && stored->result ? *stored->result : JobResult{Outcome::kNotRestored, "", {}};
}

JobRequest upgrade_request() {
  JobRequest request;
  request.app = "app";
  return request;
}

JobRequest rollback_request(const std::optional<std::string>& to) {
  JobRequest request = upgrade_request();
  request.kind = JobKind::kRollback;
  request.to = to;
  return request;
}

JobResult run_well(Machine& machine, const JobRequest& request) {
  Engine engine(machine);
  REQUIRE(engine.recover());
  const JobResult result = engine.run(request);
  INFO(result.message);
  REQUIRE(result.outcome == Outcome::kDone);
  return result;
}

}  // namespace mcpu
