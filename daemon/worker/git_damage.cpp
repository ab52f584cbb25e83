#include "daemon/worker/git_damage.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "proto/text.hpp"

namespace mcpu {

namespace {

void require_references(git_repository* repository) {
  git_reference_iterator* iterator = nullptr;
  git_check(git_reference_iterator_new(&iterator, repository), "list the references");
  const GitReferenceIterator owned(iterator);
  git_reference* next = nullptr;
  int result = git_reference_next(&next, iterator);
  for (; result == 0; result = git_reference_next(&next, iterator)) {
    const GitReference reference(next);
    const git_oid* const id = git_reference_target(next);
    if (id == nullptr) continue;  // leads to another reference, which comes by itself
    git_object* object = nullptr;
    git_check(git_object_lookup(&object, repository, id, GIT_OBJECT_ANY),
              "read what " + escape_path(git_reference_name(next)) + " leads to");
    const GitObject read(object);
  }
  if (result != GIT_ITEROVER) git_check(result, "list the references");
}

std::vector<git_oid> all_objects(git_odb* odb) {
  std::vector<git_oid> ids;
  const auto add = [](const git_oid* id, void* all) {
    static_cast<std::vector<git_oid>*>(all)->push_back(*id);
    return 0;
  };
  git_check(git_odb_foreach(odb, add, &ids), "list the objects");
  return ids;
}

}  // namespace

bool blames_repository(const Error& error) {
  constexpr std::array kDamage{GIT_ERROR_ODB,  GIT_ERROR_REFERENCE,  GIT_ERROR_CONFIG,
                               GIT_ERROR_ZLIB, GIT_ERROR_REPOSITORY, GIT_ERROR_OS};
  return std::ranges::find(kDamage, error.context().value("git_class", -1)) != kDamage.end();
}

void require_whole(git_repository* repository) {
  require_references(repository);
  git_odb* opened = nullptr;
  git_check(git_repository_odb(&opened, repository), "open the object store");
  const GitOdb odb(opened);
  for (const git_oid& id : all_objects(opened)) {
    git_odb_object* object = nullptr;
    git_check(git_odb_read(&object, opened, &id), "read the object " + hex_of(id));
    const GitOdbObject read(object);
  }
}

}  // namespace mcpu
