#include "oracle/table_judge.h"

#include <cmath>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/strict_json.h"
#include "oracle/match_counter.h"

namespace attune {
namespace {

using Json = nlohmann::json;

struct ResponseClass {
  std::string name;
  std::unique_ptr<const MatchCounter> pattern;  // null: takes every response
};

struct Table {
  std::vector<ResponseClass> classes;
  std::vector<double> preferences;  // classes x classes, by row
};

class TableJudge : public Judge {
 public:
  TableJudge(Table table, std::string digest)
      : Judge("table/1", std::move(digest)), table_(std::move(table)) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    std::vector<size_t> classes;
    for (int i = 0; i < item.responses_size(); ++i) {
      absl::StatusOr<size_t> found = ClassOf(item.responses(i));
      if (!found.ok()) return Annotate(found.status(), absl::StrCat("response ", i));
      classes.push_back(*found);
    }
    const size_t n = classes.size();
    std::vector<double> preferences(n * n, 0.5);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        preferences[i * n + j] =
            table_.preferences[classes[i] * table_.classes.size() + classes[j]];
      }
    }
    return VerdictOfPreferences(std::move(preferences), n);
  }

 private:
  absl::StatusOr<size_t> ClassOf(const std::string& response) const {
    for (size_t c = 0; c < table_.classes.size(); ++c) {
      if (table_.classes[c].pattern == nullptr) return c;
      ATTUNE_ASSIGN_OR_RETURN(const uint64_t matches, table_.classes[c].pattern->Count(response));
      if (matches > 0) return c;
    }
    return absl::InvalidArgumentError(
        "is of no class of the table; a last class without a pattern would take it");
  }

  const Table table_;
};

// Reads a table and remembers all that is wrong with it.
class TableReader {
 public:
  absl::StatusOr<Table> Read(const Json& document) && {
    if (!document.is_object()) return absl::InvalidArgumentError("must be a JSON object");
    for (const auto& [key, value] : document.items()) {
      if (key != "classes" && key != "preferences") Add("\"", key, "\" is no key of a table");
    }
    ReadClasses(document.value("classes", Json()));
    ReadPreferences(document.value("preferences", Json()));
    if (problems_.empty()) return std::move(table_);
    return absl::InvalidArgumentError(absl::StrJoin(problems_, "; "));
  }

 private:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    if (problems_.size() < kProblemsMax) problems_.push_back(absl::StrCat(parts...));
  }

  void ReadClasses(const Json& classes) {
    if (!classes.is_array() || classes.empty() || classes.size() > kClassesMax) {
      Add("\"classes\" must be a list of 1 to ", kClassesMax, " classes");
      return;
    }
    std::set<std::string> names;
    for (size_t c = 0; c < classes.size(); ++c) {
      const std::string where = absl::StrCat("classes[", c, "]");
      table_.classes.push_back(ReadClass(where, classes[c]));
      const ResponseClass& read = table_.classes.back();
      if (!names.insert(read.name).second) Add(where, " has the name of another class");
      const bool takes_all = classes[c].is_object() && !classes[c].contains("pattern");
      if (takes_all && c + 1 < classes.size()) {
        Add(where, " has no pattern and takes every response; it must be the last class");
      }
    }
  }

  ResponseClass ReadClass(const std::string& where, const Json& fields) {
    ResponseClass result;
    result.name = where;  // of its own, should it have none
    if (!fields.is_object()) {
      Add(where, " must be {\"name\": text, \"pattern\": text}");
      return result;
    }
    for (const auto& [key, value] : fields.items()) {
      if (key != "name" && key != "pattern") Add(where, " has \"", key, "\", which no class has");
    }
    const Json name = fields.value("name", Json());
    if (!name.is_string() || name.get<std::string>().empty()) {
      Add(where, " needs a \"name\"");
    } else {
      result.name = name.get<std::string>();
    }
    const auto pattern = fields.find("pattern");
    if (pattern == fields.end()) return result;
    if (!pattern->is_string()) {
      Add(where, ".pattern must be a text");
      return result;
    }
    absl::StatusOr<std::unique_ptr<const MatchCounter>> counter =
        MatchCounter::Create(pattern->get<std::string>());
    if (counter.ok()) {
      result.pattern = *std::move(counter);
    } else {
      Add(where, ": ", counter.status().message());
    }
    return result;
  }

  // Of as many rows and columns as there are classes; checks p_rc against what was read before.
  void ReadPreferences(const Json& rows) {
    const size_t n = table_.classes.size();
    if (!rows.is_array() || rows.size() != n) {
      Add("\"preferences\" must be a list of ", n, " rows, one for each class");
      return;
    }
    table_.preferences.assign(n * n, 0.5);
    for (size_t r = 0; r < n; ++r) {
      if (!rows[r].is_array() || rows[r].size() != n) {
        Add("preferences[", r, "] must be a list of ", n, " numbers, one for each class");
        continue;
      }
      for (size_t c = 0; c < n; ++c) {
        const Json& p = rows[r][c];
        if (!p.is_number() || !(p.get<double>() >= 0 && p.get<double>() <= 1)) {
          Add("preferences[", r, "][", c, "] must be a number from 0 to 1");
        } else {
          table_.preferences[r * n + c] = p.get<double>();
          if (c <= r) CheckPair(rows, r, c);
        }
      }
    }
  }

  // That p_rc + p_cr = 1, where p_cr was read; with r = c: that it is 1/2.
  void CheckPair(const Json& rows, size_t r, size_t c) {
    const size_t n = table_.classes.size();
    if (!rows[c].is_array() || rows[c].size() != n || !rows[c][r].is_number()) return;
    const double here = table_.preferences[r * n + c], there = table_.preferences[c * n + r];
    if (std::abs(here + there - 1) <= 1e-9) return;
    if (r == c) {
      Add("preferences[", r, "][", r, "] is ", here, "; must be 0.5");
    } else {
      Add("preferences[", r, "][", c, "] and [", c, "][", r, "] are ", here, " and ", there,
          "; they must add up to 1");
    }
  }

  static constexpr size_t kProblemsMax = 20;  // said; a large table may be wrong in every number

  Table table_;
  std::vector<std::string> problems_;
};

absl::StatusOr<std::string> ReadTableFile(const std::string& path) {
  if (!FileExists(path)) return absl::NotFoundError("there is no such file");
  ATTUNE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  if (size > kTableBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", size, " bytes, the limit is ", kTableBytesMax));
  }
  return ReadFile(path);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Judge>> ParseTableJudge(const std::string& path,
                                                             absl::string_view content) {
  absl::StatusOr<Json> document = ParseStrictJson(content);
  if (!document.ok()) return Annotate(document.status(), path);
  absl::StatusOr<Table> table = TableReader().Read(*document);
  if (!table.ok()) return Annotate(table.status(), path);
  return std::make_shared<const TableJudge>(*std::move(table), Sha256Hex(content));
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeTableJudge(const std::string& path) {
  absl::StatusOr<std::string> content = ReadTableFile(path);
  if (content.ok()) return ParseTableJudge(path, *content);
  const std::string text =
      absl::StrCat("cannot load the table ", path, ": ", content.status().message());
  if (absl::IsUnavailable(content.status())) return absl::UnavailableError(text);
  return absl::InvalidArgumentError(
      absl::StrCat(text, "; set oracle.path to a file that the oracle process can read"));
}

}  // namespace attune
