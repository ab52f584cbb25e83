#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/journal.hpp"
#include "daemon/steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

/// Runs a plan so that it happens as a whole or not at all: each step's record is durable in the
/// journal before the step begins, the commit record is the commit point, and until then everything
/// that was begun is undone backwards. Job thread only.
///
/// Records: {record: begin, plan}, {record: step, index}, {record: note, index, note},
/// {record: undo, reason, ...}, {record: commit, ...}.
class Transaction {
 public:
  /// Begins a new one: creates the journal.
  Transaction(StepContext& context, const std::string& journal_file);
  /// Takes up what a dead daemon left. REQUIRES: the context's plan is the journal's.
  Transaction(StepContext& context, std::unique_ptr<Journal> journal);

  /// Does all steps. What goes wrong is thrown, with the failed step still to be undone.
  void run();
  /// Writes the commit record with `commit`, which finishing needs to be redone from.
  void commit(nlohmann::json commit);
  /// Undoes everything that was begun, newest first; goes on after a failure, and returns why
  /// what is still pending could not be put back yet. `undo` says why, durably, before the first
  /// change; `interrupted: true` in it means that the daemon died inside the last step.
  std::vector<Error> undo(nlohmann::json undo);
  /// Removes the journal: nothing is left to do.
  void finish();

  /// The commit record; null if there is none.
  const nlohmann::json* committed() const;
  /// The undo record; null if undoing has not begun.
  const nlohmann::json* undoing() const;
  /// The step that was begun last, empty if none was.
  std::string last_step() const;

 private:
  /// A step that is not undone yet: why, or nothing where another one must be undone first.
  struct Pending {
    std::size_t index = 0;
    std::optional<Error> error;
  };

  /// Undoes these steps, in this order; `last` is the last one that was begun. Returns what is
  /// left.
  std::vector<Pending> undo_steps(const std::vector<std::size_t>& steps,
                                  std::optional<std::size_t> last);
  void record(nlohmann::json record) { journal_->append(record); }
  const nlohmann::json* find(const char* kind) const;
  std::vector<std::size_t> begun() const;
  StepTrace trace(std::size_t index, bool interrupted) const;

  StepContext& context_;
  std::unique_ptr<Journal> journal_;
  bool note_lost_ = false;  ///< the last step's last note is not in the journal
};

/// The plan in a journal's first record. Throws Error{kCorrupt}.
Plan plan_in(const Journal& journal);

}  // namespace mcpu
