// mcp-launch: what every entry point on PATH links to. It reads once which release is current and
// executes that release's program by its real path, so that no process can see two releases. One
// copy of it stands at STATE/launch/APP/NAME for each entry point, and that place is all it knows:
// argv[0] can be anything. It uses no C++ library and allocates nothing but what putenv needs,
// because it stands between every command and its application.

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kNotExecutable = 126;  // as a shell says it
constexpr int kNotFound = 127;
constexpr int kAttempts = 4;          // once, and three times again
constexpr int kLockDescriptor = 200;  // scripts use the low ones themselves, and would close it

/// A path or a message built in place: what does not fit is remembered, not written.
struct Text {
  char bytes[PATH_MAX];
  std::size_t size = 0;
  bool too_long = false;

  Text& add(const char* part, std::size_t length) {
    if (length >= sizeof bytes - size) {
      too_long = true;
      length = sizeof bytes - size - 1;
    }
    std::memcpy(bytes + size, part, length);
    size += length;
    bytes[size] = '\0';
    return *this;
  }
  Text& add(const char* part) { return add(part, std::strlen(part)); }
};

/// Where this copy of the launcher stands; all three point into `path`.
struct Place {
  char path[PATH_MAX + 16];  // room for the kernel's " (deleted)"
  const char* state;
  const char* app;
  const char* name = "mcp-launch";
};

/// What STATE/apps/APP/releases/ID/exec/NAME says: a path within the tree, then NAME=VALUE each,
/// all ended by NUL. Static, because the environment of the new program points into it.
char recipe[64 * 1024];

[[noreturn]] void fail(const Place& place, int status, const char* what, const char* path,
                       int error) {
  static Text line;
  line.add(place.name).add(": ").add(what).add(" ").add(path);
  if (error != 0) line.add(": ").add(std::strerror(error));
  const char* hint =
      "\n  What to do: run `mcpctl status`; it says what is wrong and how to mend it.\n";
  if (write(STDERR_FILENO, line.bytes, line.size) < 0) _exit(status);
  if (write(STDERR_FILENO, hint, std::strlen(hint)) < 0) _exit(status);
  _exit(status);
}

/// Cuts the last component off `path` and returns it; nullptr if there is none.
const char* cut(char* path) {
  char* slash = std::strrchr(path, '/');
  if (slash == nullptr || slash[1] == '\0') return nullptr;
  *slash = '\0';
  return slash + 1;
}

/// Finds STATE, APP and NAME from where this program lies, following no link of the caller's.
void find_place(Place& place) {
  const ssize_t length = readlink("/proc/self/exe", place.path, sizeof place.path - 1);
  if (length <= 0) fail(place, kNotExecutable, "cannot read", "/proc/self/exe", errno);
  place.path[length] = '\0';
  static char whole[sizeof place.path];
  std::memcpy(whole, place.path, sizeof whole);
  // A launcher that was just replaced by a newer copy is named with this suffix.
  constexpr char kDeleted[] = " (deleted)";
  constexpr ssize_t kSuffix = sizeof kDeleted - 1;
  if (length > kSuffix && std::strcmp(place.path + length - kSuffix, kDeleted) == 0) {
    place.path[length - kSuffix] = '\0';
  }
  const char* name = cut(place.path);
  const char* app = name == nullptr ? nullptr : cut(place.path);
  const char* launch = app == nullptr ? nullptr : cut(place.path);
  if (launch == nullptr || std::strcmp(launch, "launch") != 0) {
    fail(place, kNotExecutable, "this launcher works only as STATE/launch/APP/NAME, not as", whole,
         0);
  }
  place.state = place.path;
  place.app = app;
  place.name = name;
}

/// STATE/apps/APP/`rest`.
void app_path(const Place& place, Text& path, const char* rest) {
  path.size = 0;
  path.add(place.state).add("/apps/").add(place.app).add("/").add(rest);
  if (path.too_long) fail(place, kNotExecutable, "path is too long:", path.bytes, 0);
}

/// The one look at `current`: leaves "releases/ID" in `release`.
void read_current(const Place& place, Text& release) {
  static Text link;
  app_path(place, link, "current");
  const ssize_t length = readlink(link.bytes, release.bytes, sizeof release.bytes - 1);
  if (length < 0) {
    const bool none = errno == ENOENT;
    fail(place, none ? kNotFound : kNotExecutable,
         none ? "no release is installed:" : "cannot read", link.bytes, errno);
  }
  release.size = static_cast<std::size_t>(length);
  release.bytes[length] = '\0';
  constexpr char kPrefix[] = "releases/";
  const char* id = release.bytes + sizeof kPrefix - 1;
  if (std::strncmp(release.bytes, kPrefix, sizeof kPrefix - 1) != 0 || *id == '\0' || *id == '.' ||
      std::strchr(id, '/') != nullptr) {
    fail(place, kNotExecutable, "does not name a release:", link.bytes, 0);
  }
}

/// Takes the read lock that keeps the release from being pruned while a process runs from it. The
/// lock belongs to the open file, so that it survives exec and ends with the last process. Returns
/// false if the release is just being removed, and `current` must be read again.
bool lock_release(const Place& place, const Text& release) {
  static Text path;
  app_path(place, path, release.bytes);
  path.add("/in-use");
  const int fd = open(path.bytes, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return errno != ENOENT;
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  const int error = fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
  const bool moved = error == 0 && fcntl(fd, F_DUPFD, kLockDescriptor) >= 0;
  // Where the limit of descriptors is low the lock stays where it is, but never as 0, 1 or 2.
  if (moved || error != 0 || fd <= STDERR_FILENO) close(fd);
  return error != EAGAIN;
}

/// Reads the release's recipe; false if it is not there. The length is returned in `size`.
bool read_recipe(const Place& place, const Text& release, std::size_t& size) {
  static Text path;
  app_path(place, path, release.bytes);
  path.add("/exec/").add(place.name);
  const int fd = open(path.bytes, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return false;
  if (fd < 0) fail(place, kNotExecutable, "cannot open", path.bytes, errno);
  const ssize_t length = read(fd, recipe, sizeof recipe);
  if (length < 0) fail(place, kNotExecutable, "cannot read", path.bytes, errno);
  size = static_cast<std::size_t>(length);
  if (size == 0 || size == sizeof recipe || recipe[size - 1] != '\0' || recipe[0] == '\0') {
    fail(place, kNotExecutable, "is damaged:", path.bytes, 0);
  }
  close(fd);
  return true;
}

/// Puts the recipe's variables into the environment and becomes the release's program. Returns
/// only if the file is not there (any more).
void execute(const Place& place, const Text& release, std::size_t size, char** argv) {
  static Text path;
  app_path(place, path, release.bytes);
  path.add("/tree/").add(recipe);
  if (path.too_long) fail(place, kNotExecutable, "path is too long:", path.bytes, 0);
  for (char* entry = recipe + std::strlen(recipe) + 1; entry < recipe + size;
       entry += std::strlen(entry) + 1) {
    if (std::strchr(entry, '=') != nullptr) putenv(entry);
  }
  execv(path.bytes, argv);
  if (errno != ENOENT) fail(place, kNotExecutable, "cannot execute", path.bytes, errno);
  if (access(path.bytes, F_OK) == 0) {
    fail(place, kNotFound, "the interpreter in the first line is not installed, of", path.bytes, 0);
  }
}

}  // namespace

int main(int, char** argv) {
  static Place place;
  static Text release;
  find_place(place);
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    const bool last = attempt == kAttempts;
    read_current(place, release);
    if (!lock_release(place, release) && !last) continue;
    std::size_t size = 0;
    if (read_recipe(place, release, size)) execute(place, release, size, argv);
  }
  fail(place, kNotFound, "its program is missing from the current release,", release.bytes, 0);
}
