#include "tests/golden/golden_files.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/status_macros.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr char kCommonPrefix[] = "common_";
constexpr char kSuffix[] = ".json";

absl::StatusOr<json> ReadObject(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  json object = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a JSON object"));
  }
  return object;
}

absl::StatusOr<std::vector<std::string>> ListJson(const std::string& directory, bool common) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::vector<std::string> result;
  for (const std::string& name : names) {
    if (absl::EndsWith(name, kSuffix) && absl::StartsWith(name, kCommonPrefix) == common) {
      result.push_back(name);
    }
  }
  return result;
}

// The values of an object member of the case over those of `into`.
void Merge(const json& one, const char* key, json& into) {
  if (Has(one, key) && one.at(key).is_object()) into.update(one.at(key));
}

absl::Status AddCommon(const std::string& directory, CommonInputs& common) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListJson(directory, true));
  for (const std::string& name : names) {
    ATTUNE_ASSIGN_OR_RETURN(json object, ReadObject(JoinPath(directory, name)));
    common.emplace(absl::StripSuffix(name, kSuffix), std::move(object));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommonInputs> ReadCommonInputs(const std::string& directory) {
  CommonInputs common;
  ATTUNE_RETURN_IF_ERROR(AddCommon(directory, common));
  const std::string absolute = AbsolutePath(directory);
  if (BaseName(absolute) == "derived") {
    ATTUNE_RETURN_IF_ERROR(AddCommon(ParentPath(absolute), common));
  }
  return common;
}

absl::StatusOr<std::vector<std::string>> ListGoldenFiles(const std::string& directory) {
  return ListJson(directory, false);
}

absl::StatusOr<std::vector<GoldenCase>> ReadCases(const std::string& path,
                                                  const CommonInputs& common) {
  ATTUNE_ASSIGN_OR_RETURN(const json file, ReadObject(path));
  if (!Has(file, "method") || !Has(file, "cases") || !file.at("cases").is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has no method or no cases"));
  }
  std::vector<GoldenCase> cases;
  for (const json& one : file.at("cases")) {
    GoldenCase golden;
    golden.method = file.at("method").get<std::string>();
    golden.number = cases.size();
    golden.step = static_cast<size_t>(NumberOr(one, "step", 0));
    golden.dtype = TextOr(one, "dtype", TextOr(file, "dtype", "float64").c_str());
    golden.inputs = json::object();
    if (Has(one, "inputs_ref")) {
      const auto found = common.find(one.at("inputs_ref").get<std::string>());
      if (found == common.end()) {
        return absl::NotFoundError(absl::StrCat(path, ", case ", golden.number, ": no common file ",
                                                one.at("inputs_ref").dump()));
      }
      golden.inputs = found->second;
    }
    Merge(one, "inputs", golden.inputs);
    Merge(one, "extra_inputs", golden.inputs);
    golden.hparams = Has(one, "hparams") ? one.at("hparams") : json::object();
    golden.outputs = one.value("outputs", json::object());
    cases.push_back(std::move(golden));
  }
  return cases;
}

}  // namespace attune
