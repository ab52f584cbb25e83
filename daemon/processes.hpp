#pragma once

#include <memory>
#include <string>

#include "daemon/identity.hpp"
#include "daemon/worker_link.hpp"

namespace mcpu {

/// Which program a worker runs. kConfig, kLock and kCheck are operations of one program.
enum class WorkerKind { kSource, kConfig, kLock, kCheck, kServices };

/// A running worker. Destroying it ends it, with every process below it: it and its process group
/// are killed, reaped, and descendants that escaped the group are hunted down.
class Worker {
 public:
  virtual ~Worker() = default;
  virtual WorkerLink& link() = 0;
};

/// The port to other processes. A worker is a process of ours with the rights of `who`: no
/// inherited descriptors but its end of the link, a built environment, no capabilities, bounded
/// memory. Any thread; a worker is used by one at a time, and dies with the one that
/// started it, but for kLock and kCheck, which leave when their link closes.
class ProcessPort {
 public:
  virtual ~ProcessPort() = default;
  virtual std::unique_ptr<Worker> start(WorkerKind kind, const Identity& who) = 0;
};

/// Starts the programs `mcp-upgraded-source`, `-worker` and `-services` from `program_directory`.
std::unique_ptr<ProcessPort> make_posix_processes(std::string program_directory);

}  // namespace mcpu
