#include "daemon/worker/git_fetch.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <optional>

#include "daemon/digest.hpp"
#include "daemon/durable.hpp"
#include "daemon/worker/fetch_advice.hpp"
#include "daemon/worker/git_damage.hpp"
#include "daemon/worker/known_hosts.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenNotices{200};
constexpr std::uint64_t kMaxKnownHostsBytes = 4 << 20;
constexpr const char* kSystemAuthorities = "/etc/ssl/certs";
constexpr std::array<const char*, 3> kKeyFiles{"id_ed25519", "id_ecdsa", "id_rsa"};

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool of_network(const Error& error) {
  constexpr std::array kClasses{GIT_ERROR_NET, GIT_ERROR_SSL, GIT_ERROR_SSH, GIT_ERROR_HTTP};
  return std::ranges::find(kClasses, error.context().value("git_class", -1)) != kClasses.end();
}

/// One fetch as libgit2's callbacks see it. An exception cannot pass through C: it waits here.
class Transfer {
 public:
  Transfer(FileSystem& fs, const SourceLocation& location, const SourceRequest& request,
           std::uint64_t budget_bytes, const Tell& tell)
      : fs_(fs),
        location_(location),
        budget_bytes_(budget_bytes),
        max_bytes_(request.max_clone_bytes),
        tell_(tell),
        known_hosts_file_(request.known_hosts.empty() ? environment("HOME") + "/.ssh/known_hosts"
                                                      : request.known_hosts) {}

  git_fetch_options options() {
    git_fetch_options options{};
    git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
    options.prune = GIT_FETCH_PRUNE;
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;  // the refspecs bring all of them
    options.update_fetchhead = 0;
    options.callbacks.payload = this;
    options.callbacks.transfer_progress = [](const git_indexer_progress* progress, void* self) {
      return guarded(self, [&](Transfer& transfer) { return transfer.progress(*progress); });
    };
    options.callbacks.certificate_check = [](git_cert* certificate, int valid, const char* host,
                                             void* self) {
      return guarded(self, [&](Transfer& transfer) {
        return transfer.certificate(*certificate, valid != 0, host);
      });
    };
    options.callbacks.credentials = [](git_credential** out, const char*, const char* user,
                                       unsigned allowed, void* self) {
      return guarded(self, [&](Transfer& transfer) {
        return transfer.credentials(out, user == nullptr ? "" : user, allowed);
      });
    };
    return options;
  }

  /// Of a call that reads nothing of the repository yet.
  void check_connecting(int result) const {
    if (const auto error = failure(result)) fail(*error, true);
  }

  /// What libgit2 says of the other side's pack may sound like damage of our own: then the
  /// repository itself is asked.
  void check_fetching(int result, git_repository* repository) const {
    const auto error = failure(result);
    if (!error) return;
    if (blames_repository(*error)) require_whole(repository);
    fail(*error, of_network(*error));
  }

 private:
  std::string action() const { return "fetch " + location_.shown; }

  /// The exception of a callback comes first: it knows better what was wrong than libgit2.
  std::optional<Error> failure(int result) const {
    if (failure_) std::rethrow_exception(failure_);
    return result < 0 ? std::optional(git_error_of(action())) : std::nullopt;
  }

  [[noreturn]] void fail(const Error& error, bool by_network) const {
    const std::string what = error.what();
    const std::string advice = fetch_advice(what.substr(action().size()), by_network);
    throw Error(error.code(), advice.empty() ? what : what + "; " + advice);
  }

  template <typename Call>
  static int guarded(void* self, Call call) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    try {
      return call(transfer);
    } catch (...) {
      transfer.failure_ = std::current_exception();
      return GIT_EUSER;
    }
  }

  int progress(const git_indexer_progress& progress) {
    if (progress.received_bytes > budget_bytes_) {
      throw Error(Code::kSource, location_.shown + " is larger than " + format_bytes(max_bytes_) +
                                     "; raise `clone_bytes` in the configuration if it is right");
    }
    const Clock::time_point now = Clock::now();
    const bool done = progress.received_objects == progress.total_objects;
    if (now - last_notice_ < kBetweenNotices && !(done && !done_told_)) return 0;
    last_notice_ = now;
    done_told_ = done;
    tell_({Tier::kInfo,
           "source.fetching",
           {{"objects", progress.received_objects},
            {"total", progress.total_objects},
            {"bytes", progress.received_bytes}}});
    return 0;
  }

  int certificate(const git_cert& certificate, bool valid, const std::string& host) {
    if (certificate.cert_type == GIT_CERT_HOSTKEY_LIBSSH2) {
      check_host_key(reinterpret_cast<const git_cert_hostkey&>(certificate));
      return 0;
    }
    if (valid) return 0;
    const auto& x509 = reinterpret_cast<const git_cert_x509&>(certificate);
    const std::string_view bytes(static_cast<const char*>(x509.data), x509.len);
    throw Error(Code::kSource,
                "the certificate of " + to_utf8(host) +
                    " is not trusted: it is not signed by an authority known here, not for this "
                    "name, or not valid now (SHA-256 " +
                    Sha256::of(bytes).hex() +
                    "); if it is right, give its authority with `ca_file` in the configuration",
                {{"host", to_utf8(host)}});
  }

  std::string known_hosts() const {
    if (!fs_.info(known_hosts_file_)) return {};
    return read_file(fs_, known_hosts_file_, kMaxKnownHostsBytes);
  }

  void check_host_key(const git_cert_hostkey& certificate) const {
    if ((certificate.type & GIT_CERT_SSH_RAW) == 0) refuse_host_key("cannot be read", "");
    const std::string_view key(certificate.hostkey, certificate.hostkey_len);
    const std::string file = escape_path(known_hosts_file_);
    switch (judge_host_key(known_hosts(), location_.host, location_.port, key)) {
      case HostKey::kKnown:
        return;
      case HostKey::kUnknown:
        refuse_host_key("(" + key_fingerprint(key) + ") is not known here",
                        "; if it is right, add this line to " + file + ": " +
                            known_hosts_line(location_.host, location_.port, key));
      case HostKey::kDifferent:
        refuse_host_key("(" + key_fingerprint(key) + ") is not the one in " + file,
                        "; somebody may be in between: ask who runs it before changing the file");
      case HostKey::kRevoked:
        refuse_host_key("(" + key_fingerprint(key) + ") is marked as revoked in " + file, "");
    }
  }

  [[noreturn]] void refuse_host_key(const std::string& what, const std::string& next) const {
    throw Error(Code::kSource, "the ssh host key of " + location_.host + " " + what + next,
                {{"host", location_.host}});
  }

  int credentials(git_credential** out, const std::string& user_of_url, unsigned allowed) {
    std::string user = location_.user.empty() ? user_of_url : location_.user;
    if (user.empty()) user = environment("LOGNAME");
    if ((allowed & GIT_CREDENTIAL_USERNAME) != 0)
      return git_credential_username_new(out, user.c_str());
    if ((allowed & GIT_CREDENTIAL_SSH_KEY) != 0) return ssh_key(out, user);
    if ((allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) != 0 && !location_.user.empty() &&
        attempts_++ == 0) {
      return git_credential_userpass_plaintext_new(out, location_.user.c_str(),
                                                   location_.password.c_str());
    }
    throw Error(Code::kSource,
                location_.host + " wants credentials for " + location_.shown +
                    (attempts_ == 0 ? ", and none are given" : " and refused those given") +
                    "; put a token into the URL (https://USER:TOKEN@...), or use ssh with a key");
  }

  /// The agent first, then each key file without a passphrase, once each.
  int ssh_key(git_credential** out, const std::string& user) {
    const std::string directory = environment("HOME") + "/.ssh/";
    while (attempts_ <= kKeyFiles.size()) {
      const std::size_t attempt = attempts_++;
      if (attempt == 0) {
        if (environment("SSH_AUTH_SOCK").empty()) continue;
        return git_credential_ssh_key_from_agent(out, user.c_str());
      }
      const std::string file = directory + kKeyFiles.at(attempt - 1);
      if (!fs_.info(file)) continue;
      return git_credential_ssh_key_new(out, user.c_str(), nullptr, file.c_str(), "");
    }
    throw Error(Code::kSource, location_.host + " accepts no key of ours for the user " +
                                   escape_path(user) +
                                   "; add one to the ssh agent, or a key without a passphrase to " +
                                   escape_path(directory));
  }

  FileSystem& fs_;
  const SourceLocation& location_;
  std::uint64_t budget_bytes_;
  std::uint64_t max_bytes_;
  const Tell& tell_;
  std::string known_hosts_file_;
  std::exception_ptr failure_;
  Clock::time_point last_notice_{};
  bool done_told_ = false;
  std::size_t attempts_ = 0;
};

void trust_also(const std::string& ca_file) {
  if (ca_file.empty()) return;
  if (git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, ca_file.c_str(), kSystemAuthorities) < 0) {
    throw Error(Code::kSource,
                git_error_of("read the certificate authority " + escape_path(ca_file)).what() +
                    std::string("; correct `ca_file` in the configuration"));
  }
}

}  // namespace

FetchStatistics fetch_all(FileSystem& fs, git_repository* repository,
                          const SourceLocation& location, const SourceRequest& request,
                          std::uint64_t budget_bytes, const Tell& tell) {
  trust_also(request.ca_file);
  Transfer transfer(fs, location, request, budget_bytes, tell);
  git_remote* remote = nullptr;
  transfer.check_connecting(git_remote_create_anonymous(&remote, repository, location.url.c_str()));
  const GitRemote owned(remote);
  std::string branches = "+refs/heads/*:refs/heads/*", tags = "+refs/tags/*:refs/tags/*";
  std::array<char*, 2> specs{branches.data(), tags.data()};
  const git_strarray refspecs{specs.data(), specs.size()};
  const git_fetch_options options = transfer.options();
  transfer.check_connecting(git_remote_connect(remote, GIT_DIRECTION_FETCH, &options.callbacks,
                                               &options.proxy_opts, &options.custom_headers));
  transfer.check_fetching(git_remote_fetch(remote, &refspecs, &options, nullptr), repository);
  const git_indexer_progress* const stats = git_remote_stats(remote);
  return {stats->received_objects, stats->received_bytes};
}

}  // namespace mcpu
