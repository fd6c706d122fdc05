"""Shows that every check of tidy.py can fail, and passes what is right."""

import unittest

import tidy


def function(lines):
    return "int F(int x) {\n" + "  x++;\n" * (lines - 2) + "}\n"


def header(path, body=""):
    guard = "ATTUNE_" + path.replace("/", "_").replace(".", "_").upper() + "_"
    return f"#ifndef {guard}\n#define {guard}\n\n{body}\n#endif  // {guard}\n"


class TidyTest(unittest.TestCase):
    def assert_finds(self, check, tree, *fragments):
        findings = check(tree)
        self.assertEqual(len(findings), len(fragments), findings)
        for finding, fragment in zip(findings, fragments):
            self.assertIn(fragment, finding)

    def test_function_length(self):
        check = tidy.check_function_length
        self.assert_finds(check, {"common/a.cc": function(70)})
        self.assert_finds(check, {"common/a.cc": "\n" + function(71)},
                          "common/a.cc:2: function of 71 lines")
        in_class = "namespace n {\nclass C {\n public:\n" + function(71) + "};\n}\n"
        self.assert_finds(check, {"common/a.h": in_class}, "common/a.h:4:")
        constructor = "C::C(int x)\n    : x_(x) {\n" + "  x++;\n" * 70 + "}\n"
        self.assert_finds(check, {"common/a.cc": constructor}, "function of 73 lines")
        python = "def f():\n" + "    x = 1\n" * 70
        self.assert_finds(check, {"tests/a.py": python}, "function of 71 lines")

    def test_function_length_is_not_fooled(self):
        tricks = ('const char* kBrace = "{";  // {\nchar c = \'{\';\nint big = 1\'000\'000;\n'
                  '#define OPEN do { \\\n  {\nauto raw = R"({{{)";\n')
        self.assert_finds(tidy.check_function_length, {"common/a.cc": tricks + function(70)})
        self.assert_finds(tidy.check_function_length, {"common/a.cc": tricks + function(71)},
                          "function of 71 lines")
        table = "const int kTable[] = {\n" + "  1,\n" * 100 + "};\n"
        self.assert_finds(tidy.check_function_length, {"common/a.cc": table})

    def test_file_length_and_columns(self):
        self.assert_finds(tidy.check_file_length, {"a/b.cc": "x\n" * 600})
        self.assert_finds(tidy.check_file_length, {"a/b.cc": "x\n" * 601}, "601 lines")
        self.assert_finds(tidy.check_columns, {"a/b.sh": "x" * 100, "a/b.md": "x" * 200})
        self.assert_finds(tidy.check_columns, {"a/b.sh": "\n" + "\u00e9" * 101}, "a/b.sh:2: 101")

    def test_include_direction(self):
        check = tidy.check_include_direction
        self.assert_finds(check, {"coordinator/a.cc": '#include "storage/store.h"\n'
                                                      '#include "attune/v1/job.pb.h"\n'})
        self.assert_finds(check, {"common/a.cc": '#include "attune/v1/job.pb.h"\n'},
                          "common/ may not include attune/v1/job.pb.h")
        self.assert_finds(check, {"coordinator/a.cc": '#include "worker/trainer.h"\n'},
                          "coordinator/ may not include worker/trainer.h")
        self.assert_finds(check, {"model/a.h": '#include "rpc/server.h"\n'}, "model/a.h:1:")
        self.assert_finds(check, {"client/a.cc": '#include "storage/store.h"\n'}, "client/")

    def test_libraries(self):
        check = tidy.check_libraries
        self.assert_finds(check, {"comm/collective_mpi.cc": "#include <mpi.h>\n",
                                  "worker/a.cc": "#include <ATen/ATen.h>\n"})
        self.assert_finds(check, {"comm/collective_local.cc": "#include <mpi.h>\n"}, "MPI header")
        self.assert_finds(check, {"oracle/a.cc": "#include <ATen/ATen.h>\n"}, "LibTorch header")
        self.assert_finds(check, {"model/a.cc": '#include "grpcpp/grpcpp.h"\n'}, "gRPC header")
        self.assert_finds(check, {"coordinator/a.cc": "#include <rocksdb/db.h>\n"}, "RocksDB")
        self.assert_finds(check, {"tests/unit/a_test.cc": "#include <torch/torch.h>\n"}, "15 s")

    def test_dead_files(self):
        check = tidy.check_dead_files
        lists = {"common/CMakeLists.txt": "attune_library(c SRCS log.cc HDRS log.h)\n"}
        self.assert_finds(check, {**lists, "common/log.cc": "", "common/log.h": ""})
        self.assert_finds(check, {**lists, "common/blog.cc": ""}, "common/blog.cc:1:")
        self.assert_finds(check, {**lists, "common/log.c.cc": ""}, "common/log.c.cc")
        self.assert_finds(check, {"tests/unit/common/log_test.cc": ""}, "no CMakeLists.txt names")
        self.assert_finds(check, {"tests/integration/a_test.py": ""}, "no CMakeLists.txt names")
        loop = {"tests/CMakeLists.txt":
                "foreach(x a b)\n  t(${x}_t SRCS ${x}_test.cc)\nendforeach()"}
        self.assert_finds(check, {**loop, "tests/a_test.cc": "", "tests/b_test.cc": "",
                                  "tests/x_test.cc": ""}, "tests/x_test.cc:1:")
        used = {"tests/unit/a_test.cc": '#include "tests/testing/x.h"\n',
                "tests/unit/CMakeLists.txt": "attune_test(a SRCS a_test.cc)"}
        self.assert_finds(check, {**used, "tests/testing/x.h": "", "tests/testing/y.h": ""},
                          "tests/testing/y.h:1: no test includes it")

    def test_include_guards(self):
        check = tidy.check_include_guards
        self.assert_finds(check, {"common/log.h": header("common/log.h")})
        self.assert_finds(check, {"common/log.h": header("common/clock.h")},
                          "must be ATTUNE_COMMON_LOG_H_")

    def test_banned_calls(self):
        check = tidy.check_banned_calls
        for call in ("std::this_thread::sleep_for(x);", "usleep(5);", "std::random_device rd;",
                     "std::getenv(\"X\");", "std::filesystem::path p;", "system(\"ls\");",
                     "auto t = time(nullptr);", "std::chrono::system_clock::now();"):
            self.assert_finds(check, {"worker/a.cc": "\n" + call}, "worker/a.cc:2:")
            self.assert_finds(check, {"common/a.cc": call})
        self.assert_finds(check, {"worker/a.cc": "// usleep(5)\nrun_time(0);\nfile_system(x);\n"})

    def test_nodiscard(self):
        check = tidy.check_nodiscard
        self.assert_finds(check, {"common/a.h": "[[nodiscard]] absl::StatusOr<int> F();\n"})
        self.assert_finds(check, {"common/a.h": "  static absl::StatusOr<int> F();\n"},
                          "common/a.h:1: StatusOr without")

    def test_words(self):
        check = tidy.check_words
        self.assert_finds(check, {"a.md": "mktemp XXXXXX, homework/x, https://cdla.dev\n"})
        self.assert_finds(check, {"a.md": "\nTODO: write\n"}, "a.md:2: leftover: TODO")
        self.assert_finds(check, {"a.md": "see /home/someone/x"}, "path of one machine")
        self.assert_finds(check, {"a.sh": "curl https://pypi.org/simple"}, "package registry")

    def test_job_fields(self):
        proto = ("message RoundRecord {\n  string a = 1;\n}\nmessage TrainingSpec {\n"
                 "  optional double learning_rate = 1;  // x = 9\n}\n"
                 "enum LossType {\n  LOSS_TYPE_DNO = 2;\n}\n")
        frozen = "# comment\nLossType.LOSS_TYPE_DNO 2\nTrainingSpec.learning_rate double 1\n"
        tree = {"proto/attune/v1/job.proto": proto, "tests/tidy/job_fields.txt": frozen}
        self.assert_finds(tidy.check_job_fields, tree)
        renumbered = {**tree, "proto/attune/v1/job.proto": proto.replace("= 1;  //", "= 2;  //")}
        self.assert_finds(tidy.check_job_fields, renumbered, "add the line", "is no more")

    def test_flags(self):
        main = 'app.add_option("-l,--listen", x);\napp.add_flag("--json", y);\n'
        frozen = "attune-oracle --json\nattune-oracle --listen\n"
        tree = {"oracle/main.cc": main, "tests/tidy/flags.txt": frozen}
        self.assert_finds(tidy.check_flags, tree)
        self.assert_finds(tidy.check_flags, {**tree, "tests/tidy/flags.txt": ""},
                          "attune-oracle --json", "attune-oracle --listen")
        many = [f"--f{i:02}" for i in range(13)]
        crowded = {"oracle/main.cc": "".join(f'app.add_option("{flag}", x);\n' for flag in many),
                   "tests/tidy/flags.txt": "".join(f"attune-oracle {flag}\n" for flag in many)}
        self.assert_finds(tidy.check_flags, crowded, "has 13 flags")


if __name__ == "__main__":
    unittest.main()
