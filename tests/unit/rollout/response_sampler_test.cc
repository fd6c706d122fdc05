#include "rollout/response_sampler.h"

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rng.h"
#include "gtest/gtest.h"
#include "model/generator.h"
#include "model/scorer.h"
#include "rpc/grpc_status.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/rollout/small_model.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::ElementsAre;

bool Never() { return false; }

template <typename Repeated>
std::vector<int32_t> Ids(const Repeated& ids) {
  return {ids.begin(), ids.end()};
}

template <typename Repeated>
std::vector<float> Floats(const Repeated& values) {
  return {values.begin(), values.end()};
}

class ResponseSamplerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const SmallModel initial = MakeSmallModel(1.0f);
    const SmallModel trained = MakeSmallModel(1.05f);
    auto policy = Policy::Create(trained.config, trained.weights);
    auto initial_policy = Policy::Create(initial.config, initial.weights);
    auto tokenizer = LoadTokenizer(kModelPath, initial.config.vocab_size);
    ATTUNE_CHECK(policy.ok() && initial_policy.ok() && tokenizer.ok());
    engine_ = new EngineThread({.threads = 2}, /*waiting_max=*/1000);
    held_ = new HeldPolicies;
    held_->policy = *policy;
    held_->initial = *initial_policy;
    held_->tokenizer = *std::move(tokenizer);
    held_->version.set_round(3);
    held_->version.set_digest(trained.digest);
    held_->initial_digest = initial.digest;
  }
  static void TearDownTestSuite() {
    delete engine_;
    delete held_;
  }

  // A request for responses to `texts`, whose indices are 10, 11, ...
  static v1::SampleRequest Request(const std::vector<std::string>& texts) {
    v1::SampleRequest request;
    *request.mutable_policy() = held_->version;
    for (const std::string& text : texts) {
      v1::Prompt& prompt = *request.add_prompts();
      prompt.set_index(9 + request.prompts_size());
      prompt.set_text(text);
    }
    v1::SamplingSpec& sampling = *request.mutable_sampling();
    sampling.set_num_generations(3);
    sampling.set_temperature(0.8);
    sampling.set_top_p(0.9);
    sampling.set_top_k(0);
    sampling.set_max_new_tokens(24);
    request.set_seed(42);
    request.set_round(4);
    return request;
  }

  static absl::StatusOr<v1::SampleResponse> Sample(const v1::SampleRequest& request,
                                                   int threads = 2) {
    return SampleResponses(*held_, request, *engine_, threads, Never);
  }

  static std::vector<float> Score(const Policy& policy, const v1::Response& response) {
    auto logps =
        CompletionLogProbs(policy, Ids(response.prompt_token_ids()), Ids(response.token_ids()));
    EXPECT_OK(logps);
    return *std::move(logps);
  }

  static HeldPolicies* held_;
  static EngineThread* engine_;
};
HeldPolicies* ResponseSamplerTest::held_ = nullptr;
EngineThread* ResponseSamplerTest::engine_ = nullptr;

const std::vector<std::string>& Prompts() {
  static const auto& prompts = *new std::vector<std::string>{
      "Once upon a time, there was a little girl named Lily.", "", "The dog", "Tom and Sam went",
      "One day a big bear found a small red ball in the park and he was very happy. He"};
  return prompts;
}

// Whatever the responses are made of.
TEST_F(ResponseSamplerTest, GivesTheSameResponsesForAnySplitAndAnyNumberOfThreads) {
  v1::SampleRequest together = Request(Prompts());
  together.set_with_initial_logps(true);
  together.set_with_hidden_sums(true);
  together.set_include_gold(true);
  together.mutable_prompts(2)->set_gold(" barked at the cat.");
  together.mutable_prompts(3)->set_corrupted("Tom and Sue went");
  together.mutable_sampling()->set_mixture_coef(0.5);
  for (const v1::Opponent opponent :
       {v1::OPPONENT_NONE, v1::OPPONENT_INITIAL, v1::OPPONENT_MIXTURE}) {
    SCOPED_TRACE(v1::Opponent_Name(opponent));
    together.mutable_sampling()->set_opponent(opponent);
    ASSERT_OK_AND_ASSIGN(const v1::SampleResponse expected, Sample(together, 1));
    ASSERT_EQ(expected.responses_size(), 5 * 3 + 1);
    for (int threads : {2, 3, 8}) {
      ASSERT_OK_AND_ASSIGN(const v1::SampleResponse again, Sample(together, threads));
      EXPECT_EQ(again.SerializeAsString(), expected.SerializeAsString()) << threads << " threads";
    }
    for (int part : {1, 2, 3}) {
      v1::SampleResponse joined;
      for (int begin = 0; begin < 5; begin += part) {
        v1::SampleRequest request = together;
        request.clear_prompts();
        for (int i = begin; i < std::min(begin + part, 5); ++i) {
          *request.add_prompts() = together.prompts(i);
        }
        ASSERT_OK_AND_ASSIGN(const v1::SampleResponse some, Sample(request));
        joined.MergeFrom(some);
      }
      EXPECT_EQ(joined.SerializeAsString(), expected.SerializeAsString()) << "parts of " << part;
    }
  }
}

TEST_F(ResponseSamplerTest, RecordsExactlyTheLogProbabilitiesOfScoring) {
  v1::SampleRequest request = Request(Prompts());
  request.set_with_initial_logps(true);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  for (const v1::Response& response : sampled.responses()) {
    EXPECT_EQ(Floats(response.logps()), Score(*held_->policy, response));
    EXPECT_EQ(Floats(response.initial_logps()), Score(*held_->initial, response));
    EXPECT_NE(Floats(response.initial_logps()), Floats(response.logps()));
  }
}

TEST_F(ResponseSamplerTest, DrawsWithWeightsIn8BitsAndScoresWithWholeOnes) {
  v1::SampleRequest request = Request(Prompts());
  request.set_with_initial_logps(true);
  request.mutable_sampling()->set_quantization(v1::QUANTIZATION_INT8);
  request.mutable_sampling()->set_opponent(v1::OPPONENT_INITIAL);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  for (const v1::Response& response : sampled.responses()) {
    EXPECT_EQ(Floats(response.logps()), Score(*held_->policy, response));
    const bool is_opponent = response.provenance() == v1::PROVENANCE_OPPONENT;
    EXPECT_EQ(response.has_sampler(), !is_opponent);
    if (is_opponent) continue;
    EXPECT_EQ(response.sampler().name(), "int8");
    EXPECT_GT(response.sampler().gap(), 0);
    EXPECT_LT(response.sampler().gap(), 0.1);
  }
}

TEST_F(ResponseSamplerTest, TakesTheRecordedLogProbabilitiesWhereThePolicyIsTheInitialOne) {
  HeldPolicies start = *held_;
  start.initial = start.policy;
  v1::SampleRequest request = Request({"The dog"});
  request.set_with_initial_logps(true);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled,
                       SampleResponses(start, request, *engine_, 1, Never));
  for (const v1::Response& response : sampled.responses()) {
    EXPECT_EQ(Floats(response.initial_logps()), Floats(response.logps()));
  }
}

TEST_F(ResponseSamplerTest, FillsEveryFieldInTheOrderAsked) {
  v1::SampleRequest request = Request(Prompts());
  request.mutable_prompts(0)->set_index(77);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  ASSERT_EQ(sampled.responses_size(), 15);
  std::set<std::string> texts;
  for (int i = 0; i < 15; ++i) {
    const v1::Response& response = sampled.responses(i);
    const v1::Prompt& prompt = request.prompts(i / 3);
    EXPECT_EQ(response.prompt_index(), prompt.index());
    EXPECT_EQ(response.sample(), static_cast<uint32_t>(i % 3));
    EXPECT_EQ(Ids(response.prompt_token_ids()), held_->tokenizer->Encode(prompt.text(), true));
    EXPECT_EQ(response.prompt_token_ids(0), 1u);  // <s>
    std::vector<int32_t> all = Ids(response.prompt_token_ids());
    for (int32_t id : Ids(response.token_ids())) all.push_back(id);
    EXPECT_EQ(prompt.text() + response.text(), held_->tokenizer->Decode(all, true));
    EXPECT_EQ(response.logps_size(), response.token_ids_size());
    EXPECT_EQ(response.sampling_logps_size(), response.token_ids_size());
    EXPECT_EQ(response.initial_logps_size(), 0);
    EXPECT_EQ(response.provenance(), v1::PROVENANCE_STUDENT);
    EXPECT_EQ(response.policy().SerializeAsString(), held_->version.SerializeAsString());
    EXPECT_EQ(response.seed(), CounterRng({42, 4, prompt.index(), response.sample()}).key());
    EXPECT_NE(response.finish_reason(), v1::FINISH_REASON_UNSPECIFIED);
    texts.insert(absl::StrCat(i / 3, response.text()));
  }
  EXPECT_GT(texts.size(), 10u);  // samples of a prompt differ
}

TEST_F(ResponseSamplerTest, DrawsAnewForEachSeedAndRound) {
  v1::SampleRequest request = Request({"The dog"});
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse first, Sample(request));
  request.set_seed(43);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse other_seed, Sample(request));
  request.set_seed(42);
  request.set_round(5);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse other_round, Sample(request));
  EXPECT_NE(first.responses(0).text(), other_seed.responses(0).text());
  EXPECT_NE(first.responses(0).text(), other_round.responses(0).text());
}

class OpponentTest : public ResponseSamplerTest {
 protected:
  static v1::SampleRequest OpponentRequest(v1::Opponent opponent, double mixture_coef) {
    v1::SampleRequest request = Request(Prompts());
    request.mutable_sampling()->set_opponent(opponent);
    request.mutable_sampling()->set_mixture_coef(mixture_coef);
    return request;
  }

  // What a job whose policy is the initial one samples.
  static v1::SampleResponse SampleInitial(const v1::SampleRequest& request) {
    HeldPolicies start = *held_;
    start.policy = start.initial;
    auto sampled = SampleResponses(start, request, *engine_, 2, Never);
    EXPECT_OK(sampled);
    return *std::move(sampled);
  }

  // What was drawn is the same, whoever's log-probabilities are recorded.
  static void ExpectSameDraw(const v1::Response& response, const v1::Response& expected) {
    EXPECT_EQ(Ids(response.token_ids()), Ids(expected.token_ids()));
    EXPECT_EQ(Floats(response.sampling_logps()), Floats(expected.sampling_logps()));
    EXPECT_EQ(response.text(), expected.text());
    EXPECT_EQ(response.finish_reason(), expected.finish_reason());
    EXPECT_EQ(response.seed(), expected.seed());
  }
};

TEST_F(OpponentTest, InitialIsWhatTheInitialPolicyWouldHaveSampled) {
  const v1::SampleRequest plain = Request(Prompts());
  const v1::SampleRequest request = OpponentRequest(v1::OPPONENT_INITIAL, 0.5);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse own, Sample(plain));
  const v1::SampleResponse initial = SampleInitial(plain);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  ASSERT_EQ(sampled.responses_size(), 15);
  int different = 0;
  for (int i = 0; i < 15; ++i) {
    const v1::Response& response = sampled.responses(i);
    if (response.sample() < 2) {
      EXPECT_EQ(response.SerializeAsString(), own.responses(i).SerializeAsString());
      continue;
    }
    EXPECT_EQ(response.provenance(), v1::PROVENANCE_OPPONENT);
    ExpectSameDraw(response, initial.responses(i));
    EXPECT_EQ(Floats(response.logps()), Score(*held_->policy, response));
    EXPECT_NE(Floats(response.logps()), Floats(initial.responses(i).logps()));
    EXPECT_EQ(response.initial_logps_size(), 0);
    EXPECT_EQ(response.policy().SerializeAsString(), held_->version.SerializeAsString());
    different += Ids(response.token_ids()) != Ids(own.responses(i).token_ids());
  }
  EXPECT_GT(different, 0);
}

TEST_F(OpponentTest, RecordsTheLogProbabilitiesOfBothPolicies) {
  for (const v1::Opponent opponent : {v1::OPPONENT_INITIAL, v1::OPPONENT_MIXTURE}) {
    v1::SampleRequest request = OpponentRequest(opponent, 0.5);
    request.set_with_initial_logps(true);
    ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
    for (const v1::Response& response : sampled.responses()) {
      EXPECT_EQ(Floats(response.logps()), Score(*held_->policy, response));
      EXPECT_EQ(Floats(response.initial_logps()), Score(*held_->initial, response));
    }
  }
}

TEST_F(OpponentTest, MixtureReachesFromThePolicyToTheInitialOne) {
  const v1::SampleRequest plain = Request(Prompts());
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse own, Sample(plain));
  const v1::SampleResponse initial = SampleInitial(plain);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse none,
                       Sample(OpponentRequest(v1::OPPONENT_MIXTURE, 0)));
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse half,
                       Sample(OpponentRequest(v1::OPPONENT_MIXTURE, 0.5)));
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse all,
                       Sample(OpponentRequest(v1::OPPONENT_MIXTURE, 1)));
  for (int i = 2; i < 15; i += 3) {
    ExpectSameDraw(none.responses(i), own.responses(i));
    EXPECT_EQ(Floats(none.responses(i).logps()), Floats(own.responses(i).logps()));
    ExpectSameDraw(all.responses(i), initial.responses(i));
    EXPECT_EQ(half.responses(i).provenance(), v1::PROVENANCE_OPPONENT);
    EXPECT_NE(Floats(half.responses(i).sampling_logps()),
              Floats(own.responses(i).sampling_logps()));
    EXPECT_NE(Floats(half.responses(i).sampling_logps()),
              Floats(initial.responses(i).sampling_logps()));
  }
}

TEST_F(OpponentTest, IsThePolicyItselfInTheFirstRound) {
  HeldPolicies start = *held_;
  start.initial = start.policy;
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse own, Sample(Request(Prompts())));
  for (const v1::Opponent opponent : {v1::OPPONENT_INITIAL, v1::OPPONENT_MIXTURE}) {
    v1::SampleRequest request = OpponentRequest(opponent, 0.3);
    request.set_with_initial_logps(true);
    ASSERT_OK_AND_ASSIGN(v1::SampleResponse sampled,
                         SampleResponses(start, request, *engine_, 2, Never));
    ASSERT_EQ(sampled.responses_size(), 15);
    for (int i = 0; i < 15; ++i) {
      v1::Response& response = *sampled.mutable_responses(i);
      EXPECT_EQ(Floats(response.initial_logps()), Floats(response.logps()));
      response.clear_initial_logps();
      EXPECT_EQ(response.provenance(),
                i % 3 == 2 ? v1::PROVENANCE_OPPONENT : v1::PROVENANCE_STUDENT);
      response.set_provenance(v1::PROVENANCE_STUDENT);
      EXPECT_EQ(response.SerializeAsString(), own.responses(i).SerializeAsString());
    }
  }
}

TEST_F(OpponentTest, NeedsACoefficientToMix) {
  v1::SampleRequest request = OpponentRequest(v1::OPPONENT_MIXTURE, 1.5);
  EXPECT_EQ(FieldViolations(Sample(request).status())[0].field, "sampling.mixture_coef");
  request.mutable_sampling()->clear_mixture_coef();
  EXPECT_EQ(FieldViolations(Sample(request).status())[0].field, "sampling.mixture_coef");
  request.mutable_sampling()->set_opponent(v1::OPPONENT_INITIAL);
  EXPECT_OK(Sample(request));
}

TEST_F(ResponseSamplerTest, SumsTheHiddenStatesOfThePolicyForEveryCandidate) {
  v1::SampleRequest request = Request({"The dog"});
  request.mutable_sampling()->set_opponent(v1::OPPONENT_INITIAL);
  request.set_include_gold(true);
  request.mutable_prompts(0)->set_gold(" ran away.");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse without, Sample(request));
  request.set_with_hidden_sums(true);
  ASSERT_OK_AND_ASSIGN(v1::SampleResponse sampled, Sample(request));
  ASSERT_EQ(sampled.responses_size(), 4);
  for (v1::Response& response : *sampled.mutable_responses()) {
    std::vector<int32_t> ids = Ids(response.prompt_token_ids());
    const size_t first = ids.size() - 1;  // the last token of the prompt
    for (const int32_t id : Ids(response.token_ids())) ids.push_back(id);
    KvCache cache;
    std::vector<double> sum(64);
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const std::vector<float> state =
          held_->policy->Forward({{&cache, static_cast<int64_t>(i), ids[i], true}});
      for (size_t d = 0; i >= first && d < sum.size(); ++d) sum[d] += state[d];
    }
    EXPECT_EQ(Floats(response.hidden_sum()), std::vector<float>(sum.begin(), sum.end()));
    response.clear_hidden_sum();
  }
  EXPECT_EQ(sampled.SerializeAsString(), without.SerializeAsString());  // and nothing else changes
}

TEST_F(ResponseSamplerTest, TokenisesTheCorruptedPromptLikeThePrompt) {
  v1::SampleRequest request = Request({"The dog", "The cat"});
  request.mutable_prompts(0)->set_corrupted("The red fish");
  request.set_include_gold(true);
  request.mutable_prompts(0)->set_gold(" ran away.");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  ASSERT_EQ(sampled.responses_size(), 7);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(Ids(sampled.responses(i).corrupted_prompt_token_ids()),
              i < 4 ? held_->tokenizer->Encode("The red fish", true) : std::vector<int32_t>());
  }
}

// The loss reads the responses to the prompt after the corrupted one.
TEST_F(ResponseSamplerTest, RefusesACorruptedPromptThatLeavesNoRoomForTheResponses) {
  std::string text = "a";
  while (held_->tokenizer->Encode(text, true).size() < 489) text += " a";
  v1::SampleRequest request = Request({"The dog"});
  request.mutable_prompts(0)->set_corrupted(text);  // 489 + 24 > 512
  EXPECT_THAT(Sample(request),
              StatusIs(StatusCode::kInvalidArgument,
                       "the corrupted prompt 10 has 489 tokens, which with a response of 24 tokens "
                       "exceed the model's max_position_embeddings, 512"));
  request.mutable_sampling()->set_max_new_tokens(23);
  EXPECT_OK(Sample(request));
  request.mutable_sampling()->set_max_new_tokens(24);
  request.mutable_prompts(0)->set_text(text);  // responses to the prompt are as short then
  EXPECT_OK(Sample(request));
  while (held_->tokenizer->Encode(text, true).size() < 512) text += " a";
  request.mutable_prompts(0)->set_corrupted(text);
  EXPECT_THAT(Sample(request), StatusIs(StatusCode::kInvalidArgument,
                                        "the corrupted prompt 10 has 512 tokens; the model takes"));
}

TEST_F(ResponseSamplerTest, ScoresTheGoldResponseAsLastCandidate) {
  v1::SampleRequest request = Request({"Once upon a time", "The dog"});
  request.mutable_prompts(1)->set_gold(" ran away.");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse without, Sample(request));
  EXPECT_EQ(without.responses_size(), 6);
  request.set_include_gold(true);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  ASSERT_EQ(sampled.responses_size(), 7);  // the first prompt has no gold text
  const v1::Response& gold = sampled.responses(6);
  std::vector<int32_t> ids =
      EncodeCompletion(*held_->tokenizer, "The dog", Ids(gold.prompt_token_ids()), " ran away.");
  ids.push_back(2);  // the first of the model's end-of-sequence ids
  EXPECT_EQ(Ids(gold.token_ids()), ids);
  EXPECT_EQ(gold.text(), " ran away.");
  EXPECT_EQ(gold.prompt_index(), 11u);
  EXPECT_EQ(gold.sample(), 3u);
  EXPECT_EQ(gold.provenance(), v1::PROVENANCE_GOLD);
  EXPECT_EQ(gold.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(Floats(gold.logps()), Score(*held_->policy, gold));
  EXPECT_EQ(gold.sampling_logps_size(), 0);
  EXPECT_EQ(gold.seed(), 0u);
}

TEST_F(ResponseSamplerTest, CutsTheGoldResponseToWhatASampleCouldHave) {
  v1::SampleRequest request = Request({"The dog"});
  request.set_include_gold(true);
  request.mutable_prompts(0)->set_gold(" ran away and was never seen again.");
  request.mutable_sampling()->set_max_new_tokens(4);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  const v1::Response& gold = sampled.responses(3);
  EXPECT_EQ(gold.token_ids_size(), 4);
  EXPECT_EQ(gold.finish_reason(), v1::FINISH_REASON_LENGTH);
}

TEST_F(ResponseSamplerTest, EndsAtTheContextOfTheModel) {
  std::string text = "a";
  while (held_->tokenizer->Encode(text, true).size() < 510) text += " a";
  const auto prompt_tokens = static_cast<int>(held_->tokenizer->Encode(text, true).size());
  v1::SampleRequest request = Request({text});
  request.set_include_gold(true);
  request.mutable_prompts(0)->set_gold(" a a a a a");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  for (const v1::Response& response : sampled.responses()) {
    EXPECT_LE(response.token_ids_size(), 512 - prompt_tokens);
  }
  EXPECT_EQ(sampled.responses(3).token_ids_size(), 512 - prompt_tokens);
}

TEST_F(ResponseSamplerTest, RefusesAPromptThatLeavesNoRoom) {
  std::string text = "a";
  while (held_->tokenizer->Encode(text, true).size() < 512) text += " a";
  EXPECT_THAT(
      Sample(Request({"The dog", text})),
      StatusIs(StatusCode::kInvalidArgument, "prompt 11 has 512 tokens; the model takes 1 to 511"));
}

class ChatSamplerTest : public ResponseSamplerTest {
 protected:
  // Of one prompt, to be answered with `source` as chat template.
  static absl::StatusOr<v1::SampleResponse> SampleChat(const std::string& source,
                                                       const v1::SampleRequest& request) {
    HeldPolicies chatty = *held_;
    chatty.chat_template = ChatTemplate::Parse(source, R"({"bos_token": "<s>"})");
    return SampleResponses(chatty, request, *engine_, 1, Never);
  }

  static v1::SampleRequest ChatRequest() {
    v1::SampleRequest request = Request({"a time"});
    request.mutable_prompts(0)->set_messages(
        R"([{"role": "system", "content": "Once upon"}, {"role": "user", "content": "a time"}])");
    return request;
  }
};

constexpr char kJoinedContents[] =
    "{{ bos_token ~ messages | map(attribute='content') | join(' ') }}"
    "{{ ',' if add_generation_prompt }}";

// <s> is what the tokenizer puts in front of plain text and the template in front of messages.
TEST_F(ChatSamplerTest, AnswersMessagesAsTheTextThatTheirTemplateMakes) {
  v1::SampleRequest plain = Request({"Once upon a time,"});
  v1::SampleRequest chat = ChatRequest();
  for (v1::SampleRequest* request : {&plain, &chat}) {
    request->set_include_gold(true);
    request->mutable_prompts(0)->set_gold(" there was a dog.");
  }
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse expected, Sample(plain));
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, SampleChat(kJoinedContents, chat));
  ASSERT_EQ(sampled.responses_size(), 4);  // the last is gold
  EXPECT_EQ(sampled.SerializeAsString(), expected.SerializeAsString());
}

TEST_F(ChatSamplerTest, CorruptedMessagesGoThroughTheTemplateToo) {
  v1::SampleRequest chat = ChatRequest();
  chat.mutable_prompts(0)->set_corrupted(
      R"([{"role": "system", "content": "Once upon"}, {"role": "user", "content": "a dog"}])");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, SampleChat(kJoinedContents, chat));
  EXPECT_EQ(Ids(sampled.responses(0).corrupted_prompt_token_ids()),
            held_->tokenizer->Encode("Once upon a dog,", true));
  chat.mutable_prompts(0)->set_corrupted("no messages");
  EXPECT_THAT(SampleChat(kJoinedContents, chat),
              StatusIs(StatusCode::kInvalidArgument,
                       "the corrupted prompt 10 has messages that cannot be used"));
}

TEST_F(ChatSamplerTest, NamesThePromptThatTheTemplateRefuses) {
  EXPECT_THAT(
      SampleChat("\n{{ raise_exception('no system role') }}", ChatRequest()),
      StatusIs(StatusCode::kInvalidArgument,
               "prompt 10 has messages that cannot be used: cannot apply the chat template: "
               "line 2: the template raises: no system role; change or remove the prompt"));
  EXPECT_THAT(SampleChat("{% include 'x' %}", ChatRequest()),
              StatusIs(StatusCode::kInvalidArgument, "the tag {% include %} is not supported"));
}

TEST_F(ResponseSamplerTest, NamesEverySamplingFieldThatIsMissingOrOutOfRange) {
  v1::SampleRequest request = Request({"The dog"});
  request.mutable_sampling()->set_num_generations(65);
  request.mutable_sampling()->clear_temperature();
  request.mutable_sampling()->set_top_p(0);
  request.mutable_sampling()->set_max_new_tokens(0);
  request.mutable_sampling()->set_min_p(2);
  request.mutable_sampling()->set_repetition_penalty(0);
  request.mutable_sampling()->set_min_new_tokens(1);
  request.mutable_sampling()->add_stop("");
  std::vector<std::string> fields;
  for (const FieldViolation& violation : FieldViolations(Sample(request).status())) {
    fields.push_back(violation.field);
  }
  EXPECT_THAT(fields, ElementsAre("sampling.num_generations", "sampling.temperature",
                                  "sampling.top_p", "sampling.max_new_tokens", "sampling.min_p",
                                  "sampling.repetition_penalty", "sampling.min_new_tokens",
                                  "sampling.stop"));
}

TEST_F(ResponseSamplerTest, RefusesMorePromptsThanItsLimit) {
  EXPECT_THAT(Sample(Request(std::vector<std::string>(1025, "a"))),
              StatusIs(StatusCode::kInvalidArgument, "1025 prompts, the limit is 1024"));
  EXPECT_THAT(Sample(Request({})), IsOk());
}

TEST_F(ResponseSamplerTest, StopsBetweenPromptsWhenTheCallerHasGone) {
  std::atomic<int> asked = 0;
  const auto after_two = [&] { return ++asked > 2; };
  EXPECT_THAT(
      SampleResponses(*held_, Request(std::vector<std::string>(200, "a")), *engine_, 2, after_two),
      StatusIs(StatusCode::kCancelled, "the caller has gone"));
  EXPECT_LE(asked, 4);
}

// Those of the dataset come after the samples and before gold, and are scored as gold is.
TEST_F(ResponseSamplerTest, ScoresTheResponsesThatPromptsBring) {
  v1::SampleRequest request = Request({"Once upon a time", "The dog"});
  request.set_include_gold(true);
  request.set_with_initial_logps(true);
  request.set_with_hidden_sums(true);
  v1::Prompt& prompt = *request.mutable_prompts(1);
  prompt.set_gold(" ran away.");
  for (const char* text : {" barked.", " ran away."}) prompt.add_given()->set_text(text);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  ASSERT_EQ(sampled.responses_size(), 9);
  const v1::Response& first = sampled.responses(6);
  EXPECT_EQ(first.text(), " barked.");
  EXPECT_EQ(first.sample(), 3u);
  EXPECT_EQ(first.provenance(), v1::PROVENANCE_GIVEN);
  EXPECT_EQ(first.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(Floats(first.logps()), Score(*held_->policy, first));
  EXPECT_EQ(Floats(first.initial_logps()), Score(*held_->initial, first));
  EXPECT_GT(first.hidden_sum_size(), 0);
  v1::Response second = sampled.responses(7);
  v1::Response gold = sampled.responses(8);
  EXPECT_EQ(gold.sample(), 5u);
  gold.set_sample(second.sample());
  gold.set_provenance(second.provenance());
  EXPECT_EQ(gold.SerializeAsString(), second.SerializeAsString());
}

TEST_F(ResponseSamplerTest, WithoutSamplesTheRestOfSamplingDoesNotMatter) {
  v1::SampleRequest request = Request({"The dog", "The cat"});
  request.mutable_sampling()->Clear();
  request.mutable_sampling()->set_num_generations(0);
  for (v1::Prompt& prompt : *request.mutable_prompts()) prompt.add_given()->set_text(" ran.");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  ASSERT_EQ(sampled.responses_size(), 2);
  EXPECT_EQ(sampled.responses(1).sample(), 0u);
  request.mutable_prompts(1)->clear_given();
  EXPECT_THAT(Sample(request), StatusIs(StatusCode::kInvalidArgument, ""));
}

TEST_F(ResponseSamplerTest, GivenResponsesMayFillTheContextAndNoMore) {
  std::string text;
  while (held_->tokenizer->Encode(text, true).size() < 600) text += " a";
  v1::SampleRequest request = Request({"The dog"});
  request.mutable_prompts(0)->add_given()->set_text(text);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  const v1::Response& given = sampled.responses(3);
  EXPECT_EQ(given.prompt_token_ids_size() + given.token_ids_size(), 512);
  EXPECT_EQ(given.finish_reason(), v1::FINISH_REASON_LENGTH);
}

}  // namespace
}  // namespace attune
