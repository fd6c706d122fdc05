#include "worker/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/delimited_message_util.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

constexpr char kFast[] = "adapter";
constexpr char kSlow[] = "adapter_slow";
constexpr char kState[] = "adapters.json";
constexpr char kWeightsFile[] = "adapter_model.safetensors";
constexpr char kPairsFile[] = "pairs.binpb";

std::string DomainDirectory(const std::string& checkpoint, size_t domain) {
  return JoinPath(checkpoint, absl::StrCat("domains/", domain + 1));
}

bool HasSlow(const v1::TrainRoundRequest& request) {
  const auto& losses = request.objective().loss_type();
  return std::find(losses.begin(), losses.end(), v1::LOSS_TYPE_OFS_DPO) != losses.end();
}

// As LoraConfig.save_pretrained writes it.
std::string ConfigJson(const LoraLayout& layout, const std::string& model) {
  const LoraOptions& options = layout.options;
  nlohmann::ordered_json json = {{"base_model_name_or_path", model},
                                 {"bias", "none"},
                                 {"fan_in_fan_out", layout.transposed},
                                 {"inference_mode", true},
                                 {"init_lora_weights", true},
                                 {"lora_alpha", options.lora_alpha},
                                 {"lora_dropout", 0.0},
                                 {"modules_to_save", nullptr},
                                 {"peft_type", "LORA"},
                                 {"r", options.r},
                                 {"target_modules", options.target_modules},
                                 {"task_type", "CAUSAL_LM"},
                                 {"use_rslora", false}};
  const double alpha = options.lora_alpha;
  if (alpha == std::floor(alpha)) json["lora_alpha"] = static_cast<int64_t>(alpha);
  return json.dump(2) + "\n";
}

absl::Status SaveAdapter(const std::string& directory, const std::string& model,
                         const LoraLayout& layout, const std::vector<float>& adapter) {
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(directory));
  std::vector<TensorToStore> tensors;
  for (const TensorSpec& spec : layout.tensors) {
    tensors.push_back({spec.name, spec.shape, ViewOf(&adapter[spec.offset])});
  }
  ATTUNE_RETURN_IF_ERROR(WriteSafetensors(JoinPath(directory, kWeightsFile), std::move(tensors)));
  ATTUNE_RETURN_IF_ERROR(
      WriteFile(JoinPath(directory, "adapter_config.json"), ConfigJson(layout, model)));
  return SyncDirectory(directory);
}

// The tensors of the layout and no others. The scale is not looked at: the weights that the adapter
// is merged to have a digest.
absl::StatusOr<std::vector<float>> LoadAdapter(const std::string& directory,
                                               const LoraLayout& layout) {
  const std::string path = JoinPath(directory, kWeightsFile);
  const auto file = SafetensorsFile::Open(path);
  if (!file.ok()) {
    return absl::DataLossError(
        absl::StrCat("cannot go on with the adapter ", path, ": ", file.status().message()));
  }
  std::vector<float> adapter(WeightCount(layout.tensors));
  for (const TensorSpec& spec : layout.tensors) {
    const auto found = (*file)->index().find(spec.name);
    if (found == (*file)->index().end() || found->second.shape != spec.shape ||
        found->second.type != TensorType::kF32) {
      return absl::DataLossError(absl::StrCat(path, " has no fp32 tensor ", spec.name, " of ",
                                              absl::StrJoin(spec.shape, " x ")));
    }
    (*file)->View(found->second).Read(spec.size, &adapter[spec.offset]);
  }
  if ((*file)->index().size() != layout.tensors.size()) {
    return absl::DataLossError(absl::StrCat(path, " has ", (*file)->index().size(),
                                            " tensors instead of ", layout.tensors.size()));
  }
  return adapter;
}

absl::Status SavePairs(const std::string& path, const std::vector<v1::TrainingPair>& pairs) {
  std::ostringstream out;
  for (const v1::TrainingPair& pair : pairs) {
    google::protobuf::util::SerializeDelimitedToOstream(pair, &out);
  }
  return WriteFile(path, out.str());
}

absl::StatusOr<std::vector<v1::TrainingPair>> LoadPairs(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  google::protobuf::io::ArrayInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  std::vector<v1::TrainingPair> pairs;
  while (in.ByteCount() < static_cast<int64_t>(bytes.size())) {
    bool at_end = false;
    if (!google::protobuf::util::ParseDelimitedFromZeroCopyStream(&pairs.emplace_back(), &in,
                                                                  &at_end)) {
      return absl::DataLossError(absl::StrCat(path, " is damaged after pair ", pairs.size() - 1));
    }
  }
  return pairs;
}

// What OFS-DPO and COFS-DPO keep besides the fast adapter.
absl::Status LoadRest(const std::string& checkpoint, Adapters* adapters) {
  ATTUNE_ASSIGN_OR_RETURN(adapters->slow,
                          LoadAdapter(JoinPath(checkpoint, kSlow), adapters->layout));
  const std::string path = JoinPath(checkpoint, kState);
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const auto state = nlohmann::json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object() || !state.contains("swapped") || !state["swapped"].is_boolean() ||
      !state.contains("domains") || !state["domains"].is_number_unsigned()) {
    return absl::DataLossError(absl::StrCat(path, " is not what a trainer wrote there"));
  }
  adapters->swapped = state["swapped"];
  for (size_t domain = 0; domain < state["domains"].get<size_t>(); ++domain) {
    const std::string directory = DomainDirectory(checkpoint, domain);
    LearnedDomain& learned = adapters->domains.emplace_back();
    ATTUNE_ASSIGN_OR_RETURN(learned.adapter, LoadAdapter(directory, adapters->layout));
    ATTUNE_ASSIGN_OR_RETURN(learned.pairs, LoadPairs(JoinPath(directory, kPairsFile)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Adapters> LoadAdapters(const v1::TrainRoundRequest& request,
                                      const ModelConfig& config) {
  const v1::LoraSpec& spec = request.training().lora();
  Adapters adapters;
  ATTUNE_ASSIGN_OR_RETURN(
      adapters.layout,
      LoraLayoutOf({.r = spec.r(),
                    .lora_alpha = spec.lora_alpha(),
                    .target_modules = {spec.target_modules().begin(), spec.target_modules().end()}},
                   config));
  const std::string& checkpoint = request.input().checkpoint_path();
  if (checkpoint.empty()) {
    adapters.fast = InitialAdapter(adapters.layout, request.seed(), "fast");
    if (HasSlow(request)) adapters.slow = InitialAdapter(adapters.layout, request.seed(), "slow");
    return adapters;
  }
  ATTUNE_ASSIGN_OR_RETURN(adapters.fast, LoadAdapter(JoinPath(checkpoint, kFast), adapters.layout));
  if (HasSlow(request)) ATTUNE_RETURN_IF_ERROR(LoadRest(checkpoint, &adapters));
  return adapters;
}

absl::Status SaveAdapters(const std::string& directory, const std::string& model,
                          const Adapters& adapters) {
  const LoraLayout& layout = adapters.layout;
  ATTUNE_RETURN_IF_ERROR(SaveAdapter(JoinPath(directory, kFast), model, layout, adapters.fast));
  if (adapters.slow.empty()) return SyncDirectory(directory);
  ATTUNE_RETURN_IF_ERROR(SaveAdapter(JoinPath(directory, kSlow), model, layout, adapters.slow));
  for (size_t domain = 0; domain < adapters.domains.size(); ++domain) {
    const LearnedDomain& learned = adapters.domains[domain];
    const std::string path = DomainDirectory(directory, domain);
    ATTUNE_RETURN_IF_ERROR(SaveAdapter(path, model, layout, learned.adapter));
    ATTUNE_RETURN_IF_ERROR(SavePairs(JoinPath(path, kPairsFile), learned.pairs));
  }
  const nlohmann::json state = {{"swapped", adapters.swapped},
                                {"domains", adapters.domains.size()},
                                {"domain_weights", adapters.domain_weights}};
  ATTUNE_RETURN_IF_ERROR(WriteFile(JoinPath(directory, kState), state.dump(2) + "\n"));
  return SyncDirectory(directory);
}

}  // namespace attune
