#include "model/config_checks.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

std::vector<std::string> FieldProblems(const Json& json,
                                       const std::vector<const char*>& known = {}) {
  std::vector<std::string> problems;
  ConfigReader reader(&json, "", &problems);
  CheckUnsupportedFields(&reader, known);
  return problems;
}

std::vector<std::string> ClassProblems(const Json& json) {
  std::vector<std::string> problems;
  ConfigReader reader(&json, "", &problems);
  CheckClasses(&reader, "Llama");
  return problems;
}

TEST(ConfigChecksTest, RefusesFieldsThatAreOnUnlessTheyAreKnown) {
  const Json json = {{"clip_qkv", 8.0}, {"mlp_bias", true}, {"attention_bias", true}};
  EXPECT_THAT(FieldProblems(json, {"mlp_bias"}),
              ElementsAre("attention_bias is true; only null, false or 0 is supported with this "
                          "model_type",
                          HasSubstr("clip_qkv is 8.0")));
}

TEST(ConfigChecksTest, RefusesEveryMultiplierButOne) {
  EXPECT_THAT(FieldProblems({{"logits_scaling", 1}, {"some_multiplier", 1.0}, {"scale_emb", 12}}),
              ElementsAre("scale_emb is 12; only 1 is supported with this model_type"));
  EXPECT_THAT(FieldProblems({{"some_multiplier", {1, 2}}}), ElementsAre(HasSubstr("[1,2]")));
}

TEST(ConfigChecksTest, LetsOtherFieldsBe) {
  EXPECT_THAT(FieldProblems({{"torch_dtype", "bfloat16"},
                             {"use_cache", true},
                             {"attention_dropout", 0.1},
                             {"num_experts", 0},
                             {"pruned_heads", Json::object()},
                             {"position_embedding_type", "rope"}}),
              IsEmpty());
}

TEST(ConfigChecksTest, ArchitecturesAreOfTheFamily) {
  EXPECT_THAT(ClassProblems({{"architectures", nullptr}}), IsEmpty());
  EXPECT_THAT(ClassProblems({{"architectures", {"LlamaForCausalLM"}}}), IsEmpty());
  EXPECT_THAT(ClassProblems({{"architectures", {"LLaMAForCausalLM"}}}), IsEmpty());
  for (const char* name : {"LlamaModel", "LlamaForTokenClassification", "XverseForCausalLM",
                           "LlamaForCausalLMEagle", ""}) {
    EXPECT_THAT(ClassProblems({{"architectures", {name}}}),
                ElementsAre(HasSubstr("LlamaForSequenceClassification")))
        << name;
  }
  EXPECT_THAT(ClassProblems({{"architectures", "LlamaForCausalLM"}}), ElementsAre(HasSubstr("is")));
  EXPECT_THAT(ClassProblems({{"architectures", {1}}}), ElementsAre(HasSubstr("[1]")));
}

TEST(ConfigChecksTest, AutoMapNamesTheFamilysOwnClassesOnly) {
  EXPECT_THAT(ClassProblems({{"auto_map",
                              {{"AutoConfig", "configuration_llama.LlamaConfig"},
                               {"AutoModelForCausalLM", "modeling_llama.LlamaForCausalLM"}}}}),
              IsEmpty());
  EXPECT_THAT(
      ClassProblems({{"auto_map", {{"AutoModelForCausalLM", "modeling_llama.FastLlamaModel"}}}}),
      ElementsAre(HasSubstr("code that comes with a model is not supported")));
  EXPECT_THAT(ClassProblems({{"auto_map", {{"AutoModel", {"a", "b"}}}}}),
              ElementsAre(HasSubstr("auto_map is {")));
}

TEST(ConfigChecksTest, KnowsSequenceClassifiers) {
  const auto classifies = [](const Json& json) {
    std::vector<std::string> problems;
    return IsSequenceClassifier(ConfigReader(&json, "", &problems));
  };
  EXPECT_TRUE(classifies({{"architectures", {"LlamaForSequenceClassification"}}}));
  EXPECT_FALSE(classifies({{"architectures", {"LlamaForCausalLM"}}}));
  EXPECT_FALSE(classifies({{"architectures", 3}}));
  EXPECT_FALSE(classifies(Json::object()));
}

}  // namespace
}  // namespace attune
