"""How the source must look: formatted, with layers that stay layers, and names that say something.
Reads the sources only; needs clang-format and no build."""

import pathlib
import re
import subprocess
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)
MAX_LINES = 400

#: Who may include what, beside the tests: the patterns match names of files without their ending.
LAYERS = {
    r"proto/codec\.hpp":
        r"proto/codec|daemon/(server|session|replies|event_stream)|client/connection",
    r"asio(/.*|\.hpp)": r"daemon/(main|server|session|posix_processes)",
    r"git2(/.*|\.h)": r"daemon/worker/(git_.*|source_main)",
    r"doctest/.*": r"tests/.*",
    r"tests/.*": r"tests/.*",
    r"client/.*": r"client/.*",
    r"daemon/worker/.*": r"daemon/worker/.*|daemon/posix_processes",
    # The client knows the daemon's files and how paths are given, and nothing else of it.
    r"daemon/(?!absolute_path|layout|unique_fd).*": r"daemon/.*",
}
#: Includes that one file at most may have.
SINGLE = (r"systemd/sd-bus\.h",)

#: No name for a thing; systemd's "service manager" is one.
EMPTY_NAMES = re.compile(r"(^|_)(utils?|common|helpers?|manager)(_|$)")
NAMED_SO_BY_OTHERS = {"service_manager", "service_manager_test"}


def sources(*endings):
    """The product's files, as paths relative to the top."""
    found = []
    for part in ("proto", "daemon", "client", "systemd", "tests"):
        found += [path.relative_to(TOP) for path in sorted((TOP / part).rglob("*"))
                  if path.is_file() and path.suffix in endings]
    return found


def text_of(path):
    return (TOP / path).read_text(encoding="utf-8")


def includes(path):
    return INCLUDE.findall(text_of(path))


class Style(unittest.TestCase):
    def test_each_file_is_formatted(self):
        done = subprocess.run(["clang-format", "--dry-run", "--Werror", *sources(".cpp", ".hpp")],
                              cwd=TOP, capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)

    def test_each_layer_includes_only_what_it_may(self):
        wrong = [f"{path} includes {name}"
                 for path in sources(".cpp", ".hpp") if path.parts[0] != "tests"
                 for name in includes(path) for what, who in LAYERS.items()
                 if re.fullmatch(what, name) and not re.fullmatch(who, str(path.with_suffix("")))]
        self.assertEqual([], wrong)

    def test_what_one_file_wraps_no_other_includes(self):
        for what in SINGLE:
            users = [str(path) for path in sources(".cpp", ".hpp")
                     if any(re.fullmatch(what, name) for name in includes(path))]
            with self.subTest(what):
                self.assertLessEqual(len(users), 1, users)

    def test_a_file_includes_its_own_header_first(self):
        wrong = []
        for path in sources(".cpp"):
            own = path.with_suffix(".hpp")
            if (TOP / own).exists() and includes(path)[:1] != [str(own)]:
                wrong.append(str(path))
        self.assertEqual([], wrong)

    def test_each_program_says_what_its_sanitizer_finds(self):
        wrong = []
        for path in sources(".build"):
            for program in re.findall(r"^\w+ = executable\(\n.*?^\)", text_of(path), re.M | re.S):
                if "sanitizer" not in program and "b_sanitize=none" not in program:
                    wrong.append(f"{path}: {program.split(',')[0]}")
        self.assertEqual([], wrong, "add the dependency `sanitizer`")

    def test_a_test_file_has_a_namespace_of_its_own(self):
        """So that several can be compiled at a time, with helpers of the same names."""
        wrong = [str(path) for path in sources(".cpp")
                 if path.stem.endswith("_test") and path.stem != "main_test" and
                 f"\nnamespace mcpu::{path.stem} {{\n" not in text_of(path)]
        self.assertEqual([], wrong)

    def test_no_file_is_named_for_nothing(self):
        wrong = [str(path) for path in sources(".cpp", ".hpp", ".py", ".sh", ".c", ".h")
                 if EMPTY_NAMES.search(path.stem) and path.stem not in NAMED_SO_BY_OTHERS]
        self.assertEqual([], wrong)

    def test_long_files_are_named(self):
        """Warns only: some are long for a reason."""
        for path in sources(".cpp", ".hpp", ".py"):
            lines = text_of(path).count("\n")
            if lines > MAX_LINES:
                print(f"warning: {path} has {lines} lines; aim for {MAX_LINES}")


if __name__ == "__main__":
    unittest.main()
