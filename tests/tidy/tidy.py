#!/usr/bin/env python3
"""Checks the repository itself: sizes, layers, dead files, banned calls, frozen lists.

    tests/tidy/tidy.py [ROOT]

Prints one line per finding, "path:line: sentence", and fails if there is any. Every check is a
function from a Tree ({path: text}) to findings, so that tidy_test.py can show that it can fail.
"""

import ast
import os
import re
import sys

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
FILE_LINES_REPORTED = 400
COLUMNS_MAX = 100
FLAGS_MAX = 12

SOURCE_FOLDERS = ("common", "rpc", "spec", "storage", "model", "comm", "oracle", "rollout",
                  "worker", "coordinator", "serve", "client")
SERVERS = {"coordinator": "attune-coordinator", "rollout": "attune-rollout",
           "oracle": "attune-oracle", "worker": "attune-trainer",
           "serve": "attune-serve"}

# Who may include whom. `proto` stands for the generated headers.
LAYERS = {
    "common": {"common"},
    "rpc": {"common", "proto", "rpc"},
    "spec": {"common", "proto", "rpc", "spec"},
    "storage": {"common", "proto", "rpc", "storage"},
    "coordinator": {"common", "proto", "rpc", "spec", "storage", "coordinator"},
    "model": {"common", "model"},
    "comm": {"common", "model", "comm"},
    "worker": {"common", "proto", "rpc", "model", "comm", "worker"},
    "rollout": {"common", "proto", "rpc", "model", "rollout"},
    "oracle": {"common", "proto", "rpc", "spec", "model", "oracle"},
    "serve": {"common", "model", "serve"},
    "client": {"common", "proto", "rpc", "spec", "client"},
}
# Headers of libraries, and the only places that may include them.
LIBRARIES = {
    "LibTorch": (("torch/", "ATen/", "c10/"), ("worker/",)),
    "RocksDB": (("rocksdb/",), ("storage/",)),
    "MPI": (("mpi.h",), ("comm/collective_mpi.",)),
    "gRPC": (("grpc/", "grpcpp/", "google/protobuf/"),
             ("rpc/", "spec/", "storage/", "coordinator/", "oracle/", "rollout/", "worker/",
              "client/")),
    "prometheus-cpp": (("prometheus/",), ("common/metrics.",)),
    "libcurl": (("curl/",), ("rpc/http_client.",)),
    "cpp-httplib": (("httplib.h",), ("serve/http_server.",)),
}
# Outside common/ and tests: the doors to time, chance, files and the environment are common's.
BANNED_CALLS = {
    r"std::this_thread::sleep": "sleeps",
    r"\babsl::SleepFor\b": "sleeps",
    r"\busleep\s*\(": "sleeps",
    r"std::random_device": "draws from the system; use common/rng.h",
    r"\bgetenv\s*\(": "reads the environment; use common/process.h",
    r"std::filesystem": "uses std::filesystem; use common/files.h",
    r"\bsystem\s*\(": "runs a shell",
    r"\btime\s*\(\s*(?:nullptr|NULL|0)\s*\)": "reads the clock; use common/clock.h",
    r"std::chrono::system_clock::now": "reads the clock; use common/clock.h",
}
LEFTOVERS = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|farm|home|root|Users)/\w+")
REGISTRY_HOSTS = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|crates\.io|proxy\.golang\.org|"
    r"anaconda\.org|rubygems\.org|repo1?\.maven\.(?:apache\.)?org)\b")

CPP = (".cc", ".h")
SIZED = CPP + (".py", ".sh", ".cmake", ".proto", "CMakeLists.txt")
TEXT = SIZED + (".md", ".yaml", ".yml", ".json", ".in", "NOTICE", ".ci/run")
SKIPPED = {".git", "build", "__pycache__", ".cache"}


def load_tree(root):
    """{path: text} of the files that the checks look at, data excepted."""
    tree = {}
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - SKIPPED)
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            if path.endswith(TEXT) or path.startswith("tests/tidy/"):
                if not path.startswith(("models/", "recipes/data/", "tests/data/")):
                    with open(os.path.join(root, path), encoding="utf-8") as file:
                        tree[path] = file.read()
    return tree


def select(tree, endings, folders=("",)):
    return [(path, text) for path, text in tree.items()
            if path.endswith(endings) and path.startswith(tuple(folders))]


def source_files(tree):
    return select(tree, CPP, [folder + "/" for folder in SOURCE_FOLDERS])


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def without_comments_and_strings(text):
    """C++ with comments, literals and preprocessor lines blanked out; line numbers stay."""
    pattern = re.compile(
        r'R"(?P<delimiter>[^()\s]*)\(.*?\)(?P=delimiter)"'
        r'|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"
        r"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def cpp_functions(text):
    """(first line, last line) of every outermost function body with its signature."""
    code = without_comments_and_strings(text)
    scopes = []  # one entry per open brace: the start of a function, or None
    start = 0  # of the text since the last ; { or }
    functions = []
    for match in re.finditer(r"[;{}]", code):
        if match.group() == "{":
            header = re.sub(r"\b(?:public|private|protected)[ \t]*:(?!:)",
                            lambda label: " " * len(label.group()), code[start:match.start()])
            inside = any(scope is not None for scope in scopes)
            is_function = not inside and "(" in header and not re.match(
                r"\s*(?:namespace|class|struct|enum|union)\b", header)
            scopes.append(start + len(header) - len(header.lstrip()) if is_function else None)
        elif match.group() == "}" and scopes:
            opened = scopes.pop()
            if opened is not None:
                functions.append((line_of(code, opened), line_of(code, match.start())))
        start = match.end()
    return functions


def python_functions(text):
    return [(node.lineno, node.end_lineno) for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def check_function_length(tree):
    findings = []
    for endings, functions in ((CPP, cpp_functions), ((".py",), python_functions)):
        for path, text in select(tree, endings):
            for first, last in functions(text):
                if last - first + 1 > FUNCTION_LINES_MAX:
                    findings.append(f"{path}:{first}: function of {last - first + 1} lines; at "
                                    f"most {FUNCTION_LINES_MAX}")
    return findings


def check_file_length(tree):
    return [f"{path}:1: {len(text.splitlines())} lines; at most {FILE_LINES_MAX}"
            for path, text in select(tree, SIZED) if len(text.splitlines()) > FILE_LINES_MAX]


def check_columns(tree):
    return [f"{path}:{number}: {len(line)} columns; at most {COLUMNS_MAX}"
            for path, text in select(tree, SIZED)
            for number, line in enumerate(text.splitlines(), 1) if len(line) > COLUMNS_MAX]


def includes(text):
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', text, re.MULTILINE):
        yield line_of(text, match.start()), match.group(1)


def check_include_direction(tree):
    findings = []
    for path, text in source_files(tree):
        folder = path.split("/")[0]
        for line, header in includes(text):
            layer = header.split("/")[0]
            if header.startswith(("attune/v1/", "google/rpc/")):
                layer = "proto"
            if layer in set(LAYERS) | {"proto", "tests"} and layer not in LAYERS[folder]:
                findings.append(f"{path}:{line}: {folder}/ may not include {header}")
    return findings


def check_libraries(tree):
    findings = []
    for path, text in source_files(tree):
        for line, header in includes(text):
            for library, (headers, folders) in LIBRARIES.items():
                if header.startswith(headers) and not path.startswith(folders):
                    findings.append(f"{path}:{line}: {library} header {header} may be included "
                                    f"only in {', '.join(folders)}")
    for path, text in select(tree, CPP):
        findings += [f"{path}:{line}: torch/torch.h takes 15 s and 1.2 GB to compile; use ATen's"
                     for line, header in includes(text) if header == "torch/torch.h"]
    return findings


def without_loops(cmake):
    """foreach(name a b) ... ${name} ... endforeach() written out."""
    return re.sub(
        r"foreach\((\w+)\s+([^)]*)\)(.*?)endforeach\(\)",
        lambda loop: "".join(loop.group(3).replace("${" + loop.group(1) + "}", item)
                             for item in loop.group(2).split()), cmake, flags=re.DOTALL)


def check_dead_files(tree):
    """Every source is named in a CMakeLists.txt at or above it, every header of tests is used."""
    findings = []
    for path, text in select(tree, CPP + ("_test.py",)):
        if path.startswith("tests/") and path.endswith(".h"):
            if not any(f'"{path}"' in other for name, other in tree.items() if name != path):
                findings.append(f"{path}:1: no test includes it")
            continue
        folder = os.path.dirname(path)
        listed = False
        while folder and not listed:
            lists = without_loops(tree.get(folder + "/CMakeLists.txt", ""))
            name = os.path.relpath(path, folder)
            listed = re.search(r"(?<![\w./])" + re.escape(name) + r"(?![\w.])", lists) is not None
            folder = os.path.dirname(folder)
        if not listed:
            findings.append(f"{path}:1: no CMakeLists.txt names it")
    return findings


def check_include_guards(tree):
    findings = []
    for path, text in select(tree, (".h",)):
        guard = "ATTUNE_" + re.sub(r"\W", "_", path).upper() + "_"
        for wanted in (f"#ifndef {guard}\n#define {guard}\n", f"#endif  // {guard}\n"):
            if wanted not in text:
                findings.append(f"{path}:1: include guard must be {guard}, closed with a comment")
                break
    return findings


def check_banned_calls(tree):
    findings = []
    for path, text in source_files(tree) + select(tree, CPP, ["bench/"]):
        if path.startswith("common/"):
            continue
        code = without_comments_and_strings(text)
        for pattern, reason in BANNED_CALLS.items():
            findings += [f"{path}:{line_of(code, match.start())}: {match.group().strip()} {reason}"
                         for match in re.finditer(pattern, code)]
    return findings


def check_nodiscard(tree):
    """g++ 12 warns about an ignored Status by itself, but not about an ignored StatusOr."""
    pattern = re.compile(r"^[ \t]*(?:(?:static|virtual|inline)[ \t]+)*absl::StatusOr<.*\(",
                         re.MULTILINE)
    return [f"{path}:{line_of(text, match.start())}: StatusOr without [[nodiscard]]"
            for path, text in source_files(tree) if path.endswith(".h")
            for match in pattern.finditer(without_comments_and_strings(text))]


def check_words(tree):
    findings = []
    for path, text in tree.items():
        if path.startswith("tests/tidy/"):
            continue
        for pattern, complaint in ((LEFTOVERS, "leftover"), (MACHINE_PATHS, "path of one machine"),
                                   (REGISTRY_HOSTS, "host of a package registry")):
            findings += [f"{path}:{line_of(text, match.start())}: {complaint}: {match.group()}"
                         for match in pattern.finditer(text)]
    return findings


def job_fields(proto):
    """"Message.field type number" and "Enum.VALUE number" of everything a job file can say."""
    proto = re.sub(r"//[^\n]*", "", proto)
    fields = []
    for name, body in re.findall(r"message (\w+Spec) \{(.*?)\n\}", proto, re.DOTALL):
        fields += [f"{name}.{field} {kind} {number}" for kind, field, number in re.findall(
            r"(?:optional |repeated )?([\w.]+) (\w+) = (\d+)", body)]
    for name, body in re.findall(r"enum (\w+) \{(.*?)\n\}", proto, re.DOTALL):
        if name not in ("JobState", "FailureReason"):
            fields += [f"{name}.{value} {number}"
                       for value, number in re.findall(r"(\w+) = (\d+)", body)]
    return sorted(fields)


def command_line_flags(tree):
    """"binary --flag" of every flag that a main program or its helpers define with CLI11."""
    flags = set()
    for folder, binary in list(SERVERS.items()) + [("client", "attune"), ("model", "attune-model")]:
        for path, text in select(tree, (".cc",), [folder + "/"]):
            is_tool = path.startswith("oracle/tool_")
            for names in re.findall(r'add_(?:option|flag)\w*(?:<[^>]*>)?\(\s*"([^"]+)"', text):
                flags |= {f"{'attune-judge' if is_tool else binary} {name}"
                          for name in names.split(",") if name[:2] == "--"}
    return sorted(flags)


def compare_with_frozen(tree, path, actual):
    frozen = [line for line in tree.get(path, "").splitlines() if line and line[0] != "#"]
    return ([f"{path}:1: add the line '{line}', or take it out of the code"
             for line in actual if line not in frozen] +
            [f"{path}:1: '{line}' is no more; a field or flag that users have is for ever"
             for line in frozen if line not in actual])


def check_job_fields(tree):
    protos = [tree.get(f"proto/attune/v1/{name}.proto", "")
              for name in ("job", "objective", "oracle_spec")]
    return compare_with_frozen(tree, "tests/tidy/job_fields.txt", job_fields("\n".join(protos)))


def check_flags(tree):
    flags = command_line_flags(tree)
    findings = compare_with_frozen(tree, "tests/tidy/flags.txt", flags)
    for binary in SERVERS.values():
        count = sum(flag.split()[0] == binary for flag in flags)
        if count > FLAGS_MAX:
            findings.append(f"tests/tidy/flags.txt:1: {binary} has {count} flags; at most "
                            f"{FLAGS_MAX}")
    return findings


CHECKS = (check_function_length, check_file_length, check_columns, check_include_direction,
          check_libraries, check_dead_files, check_include_guards, check_banned_calls,
          check_nodiscard, check_words, check_job_fields, check_flags)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../..")
    tree = load_tree(root)
    for path, text in select(tree, SIZED):
        if FILE_LINES_REPORTED < len(text.splitlines()) <= FILE_LINES_MAX:
            print(f"note: {path} has {len(text.splitlines())} lines")
    findings = [finding for check in CHECKS for finding in check(tree)]
    print("\n".join(findings + [f"{len(tree)} files, {len(findings)} findings"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
