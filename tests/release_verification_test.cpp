#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::release_verification_test {

namespace {

/// 1.1.0 is current, 1.0.0 the way back; and a file of 1.1.0 that lies beside its tree.
struct Damaged {
  Machine machine{upgraded_machine()};
  std::string id = release_of(machine, "1.1.0");

  std::string own(const std::string& name) const {
    return machine.layout().release("app", id) + "/" + name;
  }
  void overwrite(const std::string& name, const std::string& content) const {
    machine.write(own(name), content, 0444);
  }
  void replace_by_link(const std::string& name) const {
    machine.fs().remove_file(own(name));
    machine.fs().make_link("nowhere", own(name));
  }
  void replace_by_directory(const std::string& name) const {
    machine.fs().remove_file(own(name));
    machine.fs().make_directory(own(name), 0755);
  }
  /// The only damage that is found.
  Damage found() const {
    const auto damages = machine.store().verify(id);
    REQUIRE(damages.size() == 1);
    return damages[0];
  }
};

/// Every way in which one file of a release can be lost.
const std::vector<std::pair<std::string, std::function<void(Damaged&, const std::string&)>>>&
ways() {
  static const std::vector<
      std::pair<std::string, std::function<void(Damaged&, const std::string&)>>>
      all{{"is empty", [](Damaged& one, const std::string& name) { one.overwrite(name, ""); }},
          {"missing", [](Damaged& one,
                         const std::string& name) { one.machine.fs().remove_file(one.own(name)); }},
          {"is not a file",
           [](Damaged& one, const std::string& name) { one.replace_by_link(name); }},
          {"is not a file",
           [](Damaged& one, const std::string& name) { one.replace_by_directory(name); }}};
  return all;
}

JobRequest forced() {
  JobRequest request = upgrade_request();
  request.force = true;
  return request;
}

}  // namespace

TEST_CASE("what the launcher reads is compared too, and named by its path") {
  Damaged one;
  std::string content = one.machine.read(one.own("exec/app"));
  content[0] ^= 1;
  one.overwrite("exec/app", content);
  CHECK(one.found().path == one.own("exec/app"));
  CHECK(one.found().what == "content differs");
  CHECK(error_of([&] { one.machine.store().exec(one.id); }).code() == Code::kCorrupt);
}

TEST_CASE("a file too many among those that the launcher reads is damage") {
  const Damaged one;
  one.overwrite("exec/other", "bin/app");
  CHECK(one.found().path == one.own("exec/other"));
  CHECK(one.found().what == "not part of the release");
}

TEST_CASE("the directory of what the launcher reads may be lost too") {
  const Damaged one;
  one.machine.fs().rename(one.own("exec"), one.own("elsewhere"));
  CHECK(one.found().path == one.own("exec"));
  one.machine.fs().make_link("elsewhere", one.own("exec"));
  CHECK(one.found().path == one.own("exec"));
}

TEST_CASE("a release's own file that is empty, missing or no file is named by its path") {
  for (const std::string name : {"exec/app", "listing", "release.json"}) {
    for (const auto& [what, damage] : ways()) {
      CAPTURE(name);
      Damaged one;
      damage(one, name);
      CHECK(one.found().path == one.own(name));
      CHECK(one.found().what == what);
    }
  }
}

TEST_CASE("a listing or description of another release is damage") {
  const Damaged one;
  const std::string other = one.machine.layout().release("app", release_of(one.machine, "1.0.0"));
  const std::string own = one.machine.read(one.own("listing"));
  one.overwrite("listing", one.machine.read(other + "/listing"));
  CHECK(one.found().path == one.own("listing"));
  one.overwrite("listing", own);
  one.overwrite("release.json", one.machine.read(other + "/release.json"));
  CHECK(contains(one.found().path, "release.json"));
  CHECK(one.found().what == "tells of another release");
}

TEST_CASE("a release that was staged before its exec files were written down is whole") {
  const Damaged one;
  auto document = nlohmann::json::parse(one.machine.read(one.own("release.json")));
  document.erase("exec");
  one.overwrite("release.json", document.dump());
  CHECK(one.machine.store().verify(one.id).empty());
  CHECK(one.machine.store().exec(one.id).at(0).path == "bin/app");
  one.replace_by_directory("exec/app");
  CHECK(one.found().what == "is not a file");
}

TEST_CASE("whatever file of the current release is lost, the same one is staged again beside it") {
  for (const std::string name : {"exec/app", "listing", "release.json"}) {
    for (const auto& [what, damage] : ways()) {
      for (const JobRequest& request : {upgrade_request(), forced()}) {
        CAPTURE(name);
        CAPTURE(what);
        Damaged one;
        one.machine.offer("1.1.0");
        damage(one, name);
        run_well(one.machine, request);
        const auto current = one.machine.store().current();
        CHECK(current.value_or("").starts_with(one.id + "~"));
        CHECK(one.machine.store().verify(*current).empty());
        CHECK(one.machine.runs() == "app 1.1.0");
      }
    }
  }
}

TEST_CASE("whatever file of the current release is lost, one can leave it, forwards and back") {
  for (const std::string name : {"exec/app", "listing", "release.json"}) {
    for (const auto& [what, damage] : ways()) {
      CAPTURE(name);
      CAPTURE(what);
      Damaged back;
      damage(back, name);
      run_well(back.machine, rollback_request());
      CHECK(back.machine.runs() == "app 1.0.0");
      Damaged forwards;
      damage(forwards, name);
      run_well(forwards.machine, upgrade_request());
      CHECK(forwards.machine.runs() == "app 1.2.0");
    }
  }
}

TEST_CASE("a release that is left damaged is told of, and is not good any more") {
  Damaged one;
  one.overwrite("listing", "");
  Engine engine(one.machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  const auto events = events_of(engine);
  const Event* told = find_event(events, "release.unreadable");
  REQUIRE(told);
  CHECK(told->tier == Tier::kWarning);
  CHECK(contains(told->text, one.own("listing")));
  CHECK_FALSE(engine.state().get()->application("app").health.at(one.id).passed);
}

TEST_CASE("a damaged release is no baseline: the new one is not blamed for its failing checks") {
  Damaged one;
  one.replace_by_link("exec/app");
  one.machine.check_by(
      [](const CheckRun& run) { return run.name == "app status" ? failing() : passing(); });
  Engine engine(one.machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK(find_event(events_of(engine), "check.warning"));
  CHECK_FALSE(find_event(events_of(engine), "check.regression"));
}

TEST_CASE("a release damaged while another one was current is staged again when it comes back") {
  Damaged one;
  one.machine.offer("1.1.0");
  one.overwrite("exec/app", "bin/bpp");
  run_well(one.machine, rollback_request());
  run_well(one.machine, forced());
  CHECK(one.machine.store().current().value_or("").starts_with(one.id + "~"));
  CHECK(one.machine.runs() == "app 1.1.0");
}

TEST_CASE("other stored releases that cannot be read are in nobody's way") {
  Damaged one;
  one.overwrite("release.json", "{");
  run_well(one.machine, upgrade_request());
  run_well(one.machine, rollback_request("1.0.0"));
  CHECK(one.machine.runs() == "app 1.0.0");
}

}  // namespace mcpu::release_verification_test
