"""Each file includes, itself or through headers of ours, what declares the names that it uses. Where
several files are compiled at a time, or with precompiled headers, no compiler would miss it."""

import functools
import pathlib
import re
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)
#: Comments, and what is quoted.
NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)\'',
                     re.DOTALL)
#: Types and constants that are declared, for all where the line is not indented.
DECLARED = re.compile(r"^( *)(?:(?:class|struct|enum class|enum) (\w+)(?: final)?(?: :[^;]*)? \{"
                      r"|using (\w+) ="
                      r"|(?:inline )?constexpr [\w:<>, ]+ (k\w+)\b)", re.MULTILINE)
#: Named without its header: declared only, or a template's parameter.
FORWARD = re.compile(r"\b(?:class|struct|typename) (?:\w+::)*(\w+)")

STANDARD = {
    "algorithm": r"ranges::(?:any_of|all_of|none_of|find|find_if|sort|count|count_if|transform)|"
                 r"min|max|clamp|sort",
    "array": r"array", "atomic": r"atomic", "charconv": r"from_chars|to_chars",
    "chrono": r"chrono", "condition_variable": r"condition_variable", "deque": r"deque",
    "filesystem": r"filesystem", "fstream": r"[io]fstream", "functional": r"function",
    "map": r"map|multimap", "memory": r"(?:make_)?(?:unique|shared)(?:_ptr)?|weak_ptr",
    "mutex": r"mutex|lock_guard|unique_lock|scoped_lock", "optional": r"optional|nullopt",
    "set": r"set|multiset", "span": r"span", "sstream": r"[io]?stringstream",
    "string": r"string|to_string|stoi|stoul", "string_view": r"string_view",
    "system_error": r"error_code|system_error|generic_category|system_category",
    "thread": r"thread|jthread|this_thread", "tuple": r"tuple|tie",
    "unordered_map": r"unordered_map", "variant": r"variant|visit|get_if|holds_alternative",
    "vector": r"vector",
}
#: Headers that bring others along, by the standard or, for <string>, everywhere.
BRINGS = {"string": {"string_view"}}


def sources():
    return [path.relative_to(TOP) for part in ("proto", "daemon", "client", "tests")
            for path in sorted((TOP / part).rglob("*"))
            if path.suffix in (".cpp", ".hpp") and "precompiled" not in path.parts]


@functools.cache
def text_of(path):
    return (TOP / path).read_text(encoding="utf-8")


@functools.cache
def code_of(path):
    return NO_CODE.sub(" ", INCLUDE.sub("", text_of(path)))


def own_header(name, user):
    """The header of ours that an include names, if it is one."""
    for path in (pathlib.Path(name), user.parent / name):
        if (TOP / path).is_file():
            return path
    return None


@functools.cache
def reached(path):
    """What a file includes, itself or through headers of ours."""
    found = set()
    for name in INCLUDE.findall(text_of(path)):
        header = own_header(name, path)
        found |= {header} | reached(header) if header else {name} | BRINGS.get(name, set())
    return found


@functools.cache
def declared(path, nested=False):
    return {name for indent, *names in DECLARED.findall(code_of(path)) if nested or not indent
            for name in names if name}


def known(path):
    """What a file may name: what it and its headers declare, wherever in them."""
    own = declared(path, True) | set(FORWARD.findall(code_of(path)))
    return own.union(*(declared(header, True) for header in reached(path)
                       if isinstance(header, pathlib.Path)))


class Includes(unittest.TestCase):
    maxDiff = None

    def test_names_of_ours_come_from_an_included_header(self):
        headers = {}
        for path in sources():
            if path.suffix == ".hpp":
                for name in declared(path):
                    headers.setdefault(name, set()).add(path)
        wrong = []
        for path in sources():
            used = set(re.findall(r"(?<!::)\b\w+", code_of(path)))
            wrong += [f"{path}: {name} of {', '.join(map(str, headers[name]))}"
                      for name in used & headers.keys() - known(path)]
        self.assertEqual([], sorted(wrong))

    def test_standard_names_come_from_an_included_header(self):
        wrong = []
        for path in sources():
            for header, names in STANDARD.items():
                used = re.search(rf"\bstd::({names})\b", code_of(path))
                if used and header not in reached(path):
                    wrong.append(f"{path}: std::{used[1]} of <{header}>")
        self.assertEqual([], sorted(wrong))


if __name__ == "__main__":
    unittest.main()
