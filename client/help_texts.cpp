#include <array>
#include <utility>

#include "client/arguments.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kOverview =
    R"(mcpctl - upgrade MCP Local Manager and tools like it, safely

Usage: mcpctl [OPTIONS] COMMAND [OPTIONS]

Change something
  upgrade             go to a newer release, or install the first one
  rollback            go back to the release before
  check               run the current release's checks, and compare every file with its digest
  repair              put back a command, launcher or index that was changed or removed
  cancel [JOB]        cancel a job; what it has done is undone
  pin RELEASE         keep a release from being removed        (unpin RELEASE)
  hold [RELEASE]      keep unattended upgrades away from it    (unhold [RELEASE])

See what is going on
  status              what is installed, what one can go back to, what is wrong and what to do
  watch [JOB]         follow a job as it runs
  logs [JOB]          the log of a job, now or long after
  jobs                the last jobs and how they ended
  releases            the releases on disk: size, date, health, what keeps them

Configuration of the daemon
  config show         what is in force
  config validate     check a configuration file, without a daemon

Options, before or after the command
  --app NAME          which application (the default is `mcp`, or the only one there is)
  --user, --system    your own instance, or the machine's; without either, the machine's if there
                      is one, else your own, which is started on demand
  --config FILE       configuration file of the instance
  --state-dir DIR     state directory of the instance
  --socket PATH       where its daemon listens; a running daemon that is not what these options say
                      is not used: exit 2
  --json              JSON lines, errors included: for programs
  -v, --verbose       DEBUG lines too
  -q, --quiet         warnings, errors and the result only
  --color WHEN        auto (default), always or never; NO_COLOR is respected
  --version, --help   this program's version; help, also after a command

Exit codes
  0 done, or nothing to do            4 not authorized
  1 failed; the system is as it was   5 no daemon answers
  2 wrong usage                       6 failed and not yet restored: look at it now
  3 busy, gave up waiting           130 interrupted; the job goes on

Examples
  mcpctl upgrade                      to the newest release, quickly
  mcpctl upgrade --full               with deep checks of every managed user
  mcpctl rollback                     back to what was current before
  mcpctl status --verify              is everything as it should be, byte by byte?

`mcpctl help COMMAND` says more.
)";

constexpr std::string_view kUpgrade =
    R"(mcpctl upgrade - go to a newer release, or install the first one

Usage: mcpctl upgrade [OPTIONS]

The new release is staged and verified beside the old one, its checks run, and one atomic switch
makes it current. Whatever goes wrong is undone: afterwards there is exactly the old or exactly the
new release, configuration files included. The log is shown as it happens.

What to upgrade to
  --from SOURCE       another source than the configured one: a git checkout, a git repository
                      (path or URL) or a plain directory
  --to VERSION        a version, tag, branch or commit instead of the newest version
  --worktree          a checkout's tracked files as they are, instead of its last commit

How
  --quick             basic checks (the default)
  --full              deep checks, of every managed user, and stale installations are removed
  --force             the same content again, or a release that failed its checks before; never
                      skips verification, space, checks or rights
  --unattended        for timers: leaves out releases that failed, are held or are older; says so;
                      without --app all applications, one after the other: the worst exit code
  --dry-run           show what would be done, and change nothing

When another job runs
  --wait SECONDS      how long to wait for its turn (default: 30, with --full 60)
  --no-wait           do not wait for its turn: exit 3; the same work, if it is already under way,
                      is joined and followed to its end
  --detach            return once it is queued; `mcpctl watch` follows it

On a system instance --from, --worktree, --force, and --to a branch or commit are for root alone.

Examples
  mcpctl upgrade
  mcpctl upgrade --full --wait 300
  mcpctl upgrade --from ~/src/mcp-local-manager --worktree
  mcpctl upgrade --to v1.3.10
  mcpctl upgrade --dry-run --json

Exit codes: 0 upgraded, or already up to date; 1 failed or refused, and everything is as it was;
2 wrong usage; 3 busy; 4 not authorized; 5 no daemon; 6 not yet restored; 130 interrupted (the job
goes on). Options common to all commands: mcpctl --help
)";

constexpr std::string_view kRollback = R"(mcpctl rollback - go back to an earlier release

Usage: mcpctl rollback [OPTIONS]

Without --to it goes to the release that was current before the last switch: doing it twice comes
back. A rollback is an ordinary job: the target is verified first, and it can be undone itself.
Unattended upgrades leave out the release you came from until something newer appears, and after
--to before whatever there is, until somebody upgrades again.

  --to RELEASE        a release of `mcpctl releases`, or its version
  --to before         what stood there before the first upgrade, exactly
  --configs=auto      put back a configuration file only if nobody edited it since (default)
  --configs=always    put them all back; your versions are kept beside the snapshot
  --configs=never     leave configuration files alone
  --dry-run           show what would be done, and change nothing
  --wait SECONDS      how long to wait for its turn while another job runs (default: 30)
  --no-wait           do not wait for its turn: exit 3; the same work, if it is already under way,
                      is joined and followed to its end
  --detach            return once it is queued; `mcpctl watch` follows it

Examples
  mcpctl rollback
  mcpctl rollback --to 1.3.10
  mcpctl rollback --to before

Exit codes: 0 done; 1 failed, and everything is as it was; 2 wrong usage; 3 busy; 4 not authorized;
5 no daemon; 6 not yet restored; 130 interrupted (the job goes on).
Options common to all commands: mcpctl --help
)";

constexpr std::string_view kCheck = R"(mcpctl check - is the current release healthy?

Usage: mcpctl check [--deep] [--wait SECONDS | --no-wait] [--detach]

Compares every file of the current release with its digest and runs the basic checks. Changes
nothing.

  --deep              the deep checks too
  --wait SECONDS      how long to wait for its turn while another job runs (default: 30)
  --no-wait           do not wait for its turn: exit 3; the same work, if it is already under way,
                      is joined and followed to its end
  --detach            return once it is queued; `mcpctl watch` follows it

Exit codes: 0 healthy; 1 something failed, the log says what; 2 wrong usage; 3 busy; 4 not
authorized; 5 no daemon. Options common to all commands: mcpctl --help
)";

constexpr std::string_view kRepair = R"(mcpctl repair - put back what leads to the current release

Usage: mcpctl repair [--dry-run] [--wait SECONDS | --no-wait] [--detach]

Does what is safe, and nothing else: no source is asked, and no code of the application runs.

  the command         a link on PATH that was replaced or removed leads to its launcher again; a file
                      that somebody put there is saved with the job, which names the copy
  the launcher        one that was changed or removed is put back
  the current release the link that names it is made again, if that release is whole
  the index           state.json, if a damaged one was set aside, from the jobs' records: pins, holds
                      and pauses are not in them: until one is set or cleared, no release is removed
  releases            those that retention does not keep, and that nothing runs from, are removed

What a crash left (a job half done, temporary files) every start of the daemon mends by itself. What
needs a source, a damaged release, is named: `mcpctl upgrade --force` stages it again.

  --dry-run           show what would be done, and change nothing
  --wait SECONDS      how long to wait for its turn while another job runs (default: 30)
  --no-wait           do not wait for its turn: exit 3; the same work, if it is already under way,
                      is joined and followed to its end
  --detach            return once it is queued; `mcpctl watch` follows it

Exit codes: 0 mended, or nothing was to be mended; 1 it cannot be mended so, the message says how; 2
wrong usage; 3 busy; 4 not authorized; 5 no daemon; 6 not yet restored; 130 interrupted (the job goes
on). Options common to all commands: mcpctl --help
)";

constexpr std::string_view kStatus = R"(mcpctl status - what is installed, and is it well?

Usage: mcpctl status [--verify]

Shows the current release, since when and by whom, what one can go back to, whether something newer
is known and when it was last looked for, a running job, the last job's result, and what is wrong
with what to do about it.

  --verify            compare the content of every file with its digest, and name those that differ:
                      of the current release, and of the one that 'mcpctl rollback' goes to

Exit codes: 0 shown; 1 a command cannot run, a configuration was not taken, or a file is damaged
(most are compared with --verify alone); 5 no daemon; 6 something needs to be looked at now. Options
common to all commands: mcpctl --help
)";

constexpr std::string_view kJobs = R"(mcpctl jobs - the last jobs and how they ended

Usage: mcpctl jobs [--app NAME]

  --app NAME          only those of this application

`mcpctl logs JOB` shows what a job did. Options common to all commands: mcpctl --help
)";

constexpr std::string_view kLogs = R"(mcpctl logs - the log of a job

Usage: mcpctl logs [JOB] [OPTIONS]

Without a number the last job's. Job 0 is what happened outside of jobs.

  -f, --follow        go on with new lines until the job has ended
  --after N           only the lines after number N
  --level TIER        only this tier and worse: debug, info, success, warning or error; without it,
                      all but debug
  -v, --verbose       DEBUG lines too, like --level debug

Examples
  mcpctl logs 12
  mcpctl logs 12 --level warning
  mcpctl logs 0 --follow

Exit codes: 0 shown; 1 there is no such job; 2 wrong usage; 5 no daemon.
Options common to all commands: mcpctl --help
)";

constexpr std::string_view kWatch = R"(mcpctl watch - follow a job as it runs

Usage: mcpctl watch [JOB] [-v]

Without a number it follows the running job, or waits for the next one. It ends with the job. Ctrl-C
ends watching only: the job goes on.

  -v, --verbose       DEBUG lines too

Exit codes: those of the job that is watched; 5 no daemon; 130 interrupted.
Options common to all commands: mcpctl --help
)";

constexpr std::string_view kReleases = R"(mcpctl releases - the releases on disk

Usage: mcpctl releases

Shows size, date and health of each, and what keeps it: being current, the one to roll back to,
pinned, running, or among the last ones. Options common to all commands: mcpctl --help
)";

constexpr std::string_view kPin = R"(mcpctl pin, unpin - keep a release from being removed

Usage: mcpctl pin RELEASE
       mcpctl unpin RELEASE

RELEASE is one of `mcpctl releases`, or its version. Options common to all commands: mcpctl --help
)";

constexpr std::string_view kHold = R"(mcpctl hold, unhold - keep unattended upgrades away

Usage: mcpctl hold [RELEASE]
       mcpctl unhold [RELEASE]

`hold RELEASE` keeps unattended upgrades from going to that release; `unhold RELEASE` clears that
mark, and the mark of a release that failed its checks. `hold` alone pauses all unattended upgrades
of the application, `unhold` alone resumes them. What a person asks for is never held back.
Options common to all commands: mcpctl --help
)";

constexpr std::string_view kCancel = R"(mcpctl cancel - cancel a job

Usage: mcpctl cancel [JOB]

Without a number the running job. What it has done so far is undone; once a job is committed it is
too late, and `mcpctl rollback` is the way. Options common to all commands: mcpctl --help
)";

constexpr std::string_view kConfig = R"(mcpctl config - the daemon's configuration

Usage: mcpctl config show
       mcpctl config validate [FILE]

  show                what is in force: the file, with defaults for what it does not say
  validate [FILE]     check FILE, or the instance's own file; needs no daemon, changes nothing

Exit codes of validate: 0 valid; 2 not, and file, line and key are named.
Options common to all commands: mcpctl --help
)";

constexpr auto kPages = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"", kOverview},
    {"help", kOverview},
    {"upgrade", kUpgrade},
    {"rollback", kRollback},
    {"check", kCheck},
    {"repair", kRepair},
    {"status", kStatus},
    {"jobs", kJobs},
    {"logs", kLogs},
    {"watch", kWatch},
    {"releases", kReleases},
    {"pin", kPin},
    {"unpin", kPin},
    {"hold", kHold},
    {"unhold", kHold},
    {"cancel", kCancel},
    {"config", kConfig},
    {"config show", kConfig},
    {"config validate", kConfig},
});

}  // namespace

std::string_view help_text(std::string_view command) {
  for (const auto& [name, text] : kPages) {
    if (name == command) return text;
  }
  return {};
}

}  // namespace mcpu
