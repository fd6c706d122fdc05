// The columns against VocabularyColumnsOf, which has all logits at once, in float64.
#include "worker/score_targets_op.h"

#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/worker/op_testing.h"
#include "worker/objectives/sequence_columns.h"
#include "worker/pieces.h"

namespace attune {
namespace {

struct Case {
  int64_t rows;
  int64_t vocab;
  double softcap = 0;
  double reference_softcap = 0;
  TensorType precision = TensorType::kF32;  // of both models
};

at::Tensor Targets(const Case& c) { return at::arange(c.rows, at::kLong) * (c.vocab / c.rows); }

// What the head computes with: in[0] the hidden states, in[1] the weight.
at::Tensor Logits(const std::vector<at::Tensor>& in, double softcap, TensorType precision) {
  const auto factor = [&](const at::Tensor& value) {
    return precision == TensorType::kBf16 ? StraightThroughBf16(value) : value;
  };
  const at::Tensor logits = at::mm(factor(in[0]), factor(in[1]).t());
  return softcap > 0 ? at::tanh(logits / softcap) * softcap : logits;
}

// The hidden states of the two models have different widths.
std::vector<at::Tensor> PolicyInputs(const Case& c) {
  return {Random({c.rows, 2}, 13) * 2, Random({c.vocab, 2}, 12)};
}
std::vector<at::Tensor> ReferenceInputs(const Case& c) {
  return {Random({c.rows, 3}, 15) * 2, Random({c.vocab, 3}, 14)};
}

void ExpectLogProbsAgree(const Case& c) {
  LinearParameters head;
  ExpectSame(
      [&](const auto& in) {
        head = Parameters(in[1], at::Tensor(), c.precision);
        return ScoreTargetsOp({in[0], &head, c.softcap}, Targets(c), Together(c.rows)).logps;
      },
      [&](const auto& in) {
        return VocabularyColumnsOf(Logits(in, c.softcap, c.precision), Targets(c)).logps;
      },
      PolicyInputs(c), c.precision == TensorType::kBf16 ? kBf16Tolerance : 1e-5);
}

void ExpectAllColumnsAgree(const Case& c) {
  const std::vector<at::Tensor> reference = ReferenceInputs(c);
  const LinearParameters reference_head = Parameters(reference[1], at::Tensor(), c.precision);
  LinearParameters head;
  at::Tensor log_sum_squares;
  ExpectSame(
      [&](const auto& in) {
        head = Parameters(in[1], at::Tensor(), c.precision);
        const TargetColumns columns =
            ScoreTargetsOp({in[0], &head, c.softcap}, Targets(c), Together(c.rows),
                           {reference[0], &reference_head, c.reference_softcap},
                           /*log_sum_squares=*/true);
        log_sum_squares = columns.log_sum_squares;
        return at::stack({columns.logps, columns.reference_kl});
      },
      [&](const auto& in) {
        const at::Tensor reference_logits =
            Logits({reference[0].to(at::kDouble), reference[1].to(at::kDouble)},
                   c.reference_softcap, c.precision);
        const VocabularyColumns columns =
            VocabularyColumnsOf(Logits(in, c.softcap, c.precision), Targets(c), reference_logits);
        EXPECT_LT((log_sum_squares - columns.log_sum_squares).abs().max().template item<double>(),
                  1e-5);
        return at::stack({columns.logps, columns.reference_kl});
      },
      PolicyInputs(c), c.precision == TensorType::kBf16 ? kBf16Tolerance : 1e-5);
}

TEST(ScoreTargetsOpTest, LogProbsAgreeWithTheirFormula) {
  ExpectLogProbsAgree({.rows = 3, .vocab = 11});
  ExpectLogProbsAgree({.rows = 3, .vocab = 11, .softcap = 0.7});
  ExpectLogProbsAgree({.rows = 3, .vocab = 11, .precision = TensorType::kBf16});
}

TEST(ScoreTargetsOpTest, AllColumnsAgreeWithTheirFormulas) {
  for (const TensorType precision : {TensorType::kF32, TensorType::kBf16}) {
    for (const double softcap : {0.0, 0.7}) {
      for (const double reference_softcap : {0.0, 1.3}) {
        SCOPED_TRACE(testing::Message() << softcap << " " << reference_softcap);
        ExpectAllColumnsAgree({5, 11, softcap, reference_softcap, precision});
        ExpectAllColumnsAgree({7, 1301, softcap, reference_softcap, precision});
      }
    }
  }
}

TEST(ScoreTargetsOpTest, AgreesWithItsFormulasOverManyChunks) {
  const Case c = {.rows = 130, .vocab = 1 << 16, .softcap = 0.7};
  ASSERT_EQ(kChunkLogits / c.vocab, 128);  // rows of a chunk
  ExpectLogProbsAgree(c);
  ExpectAllColumnsAgree(c);
}

// All columns of rows [begin, end) with random gradients into logps and reference_kl.
struct Scored {
  TargetColumns columns;
  at::Tensor dhidden;
  at::Tensor dweight;  // of the head
};
Scored Score(const Case& c, int64_t begin, int64_t end) {
  const std::vector<at::Tensor> inputs = PolicyInputs(c);
  const std::vector<at::Tensor> reference = ReferenceInputs(c);
  const LinearParameters reference_head = Parameters(reference[1]);
  const LinearParameters head = Parameters(inputs[1]);
  const auto part = [&](const at::Tensor& all) {
    return all.narrow(0, begin, end - begin).clone();
  };
  const at::Tensor hidden = part(inputs[0]).set_requires_grad(true);
  const TargetColumns columns =
      ScoreTargetsOp({hidden, &head, c.softcap}, part(Targets(c)), Together(end - begin),
                     {part(reference[0]), &reference_head, c.reference_softcap}, true);
  (columns.logps * part(Random({c.rows}, 1)) + columns.reference_kl * part(Random({c.rows}, 2)))
      .sum()
      .backward();
  return {{columns.logps.detach(), columns.reference_kl.detach(), columns.log_sum_squares},
          hidden.grad(),
          head.weight_gradient_NK};
}

TEST(ScoreTargetsOpTest, RowsDoNotDependOnTheirChunk) {
  const Case c = {.rows = 150, .vocab = 1 << 16, .softcap = 0.7, .reference_softcap = 0.9};
  ASSERT_EQ(kChunkLogits / c.vocab, 128);
  const Scored all = Score(c, 0, c.rows);
  at::Tensor dweight = at::zeros_like(all.dweight);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 100}, {100, 149}, {149, 150}}) {
    const auto part = [&, first = begin, count = end - begin](const at::Tensor& column) {
      return column.narrow(0, first, count);
    };
    const Scored some = Score(c, begin, end);
    EXPECT_TRUE(at::equal(some.columns.logps, part(all.columns.logps)));
    EXPECT_TRUE(at::equal(some.columns.reference_kl, part(all.columns.reference_kl)));
    EXPECT_TRUE(at::equal(some.columns.log_sum_squares, part(all.columns.log_sum_squares)));
    EXPECT_TRUE(at::allclose(some.dhidden, part(all.dhidden), 1e-5, 1e-6));
    dweight += some.dweight;
  }
  EXPECT_TRUE(at::allclose(dweight, all.dweight, 1e-5, 1e-6));
}

TEST(ScoreTargetsOpTest, NumbersDoNotDependOnTheNumberOfThreads) {
  const Case c = {.rows = 300, .vocab = 3000};
  const auto run = [&](int threads) {
    SetPieceThreads(threads);
    const Scored scored = Score(c, 0, c.rows);
    SetPieceThreads(1);
    return std::vector<at::Tensor>{scored.columns.logps, scored.columns.reference_kl,
                                   scored.columns.log_sum_squares, scored.dhidden, scored.dweight};
  };
  const std::vector<at::Tensor> one = run(1);
  const std::vector<at::Tensor> three = run(3);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

TEST(ScoreTargetsOpTest, QuestionsChangeNoBitOfLogProbs) {
  const Case c = {.rows = 40, .vocab = 1301};
  const LinearParameters head = Parameters(PolicyInputs(c)[1]);
  const TargetColumns bare =
      ScoreTargetsOp({PolicyInputs(c)[0], &head}, Targets(c), Together(c.rows));
  EXPECT_TRUE(at::equal(bare.logps, Score(c, 0, c.rows).columns.logps));
  EXPECT_FALSE(bare.reference_kl.defined());
  EXPECT_FALSE(bare.log_sum_squares.defined());
}

TEST(ScoreTargetsOpTest, APolicyThatIsItsReferenceHasNoKlAndNoGradientOfIt) {
  const Case c = {.rows = 40, .vocab = 1301};
  for (const double softcap : {0.0, 0.7}) {
    const at::Tensor hidden = PolicyInputs(c)[0].set_requires_grad(true);
    const LinearParameters head = Parameters(PolicyInputs(c)[1]);
    const LinearParameters same = Parameters(PolicyInputs(c)[1]);
    const at::Tensor kl = ScoreTargetsOp({hidden, &head, softcap}, Targets(c), Together(c.rows),
                                         {hidden.detach(), &same, softcap})
                              .reference_kl;
    EXPECT_TRUE(at::equal(kl, at::zeros_like(kl)));
    kl.sum().backward();
    EXPECT_FALSE(hidden.grad().any().item<bool>());
    EXPECT_FALSE(head.weight_gradient_NK.any().item<bool>());
    EXPECT_FALSE(same.weight_gradient_NK.any().item<bool>());
  }
}

// Probabilities that fp32 does not hold.
TEST(ScoreTargetsOpTest, StaysFiniteWhereAModelIsCertain) {
  const LinearParameters head = Parameters(at::tensor({1.0f, 0.0f}).view({2, 1}));
  const at::Tensor hidden = at::full({1, 1}, 200.0f).set_requires_grad(true);
  const TargetColumns columns = ScoreTargetsOp({hidden, &head}, Longs({1}), Together(1),
                                               {at::full({1, 1}, -200.0f), &head}, true);
  EXPECT_EQ(columns.logps.item<float>(), -200);
  EXPECT_EQ(columns.reference_kl.item<float>(), 200);
  EXPECT_EQ(columns.log_sum_squares.item<float>(), 0);
  columns.reference_kl.sum().backward();
  EXPECT_EQ(hidden.grad().item<float>(), 1);  // p - r = (1, -1)
}

TEST(ScoreTargetsOpTest, LogSumSquaresOfAUniformPolicyIsThatOfOneProbability) {
  const LinearParameters head = Parameters(at::zeros({5000, 3}));
  const TargetColumns columns =
      ScoreTargetsOp({Random({2, 3}, 1), &head}, Longs({0, 7}), Together(2), {}, true);
  for (int64_t t = 0; t < 2; ++t) {
    EXPECT_NEAR(columns.log_sum_squares[t].item<float>(), -std::log(5000), 2e-6);
  }
}

TEST(ScoreTargetsOpTest, WithoutAutogradNothingRequiresGradients) {
  const Case c = {.rows = 3, .vocab = 11};
  const LinearParameters head = Parameters(PolicyInputs(c)[1]);
  const at::Tensor hidden = PolicyInputs(c)[0].set_requires_grad(true);
  const auto requires_gradients = [&] {
    const TargetColumns columns = ScoreTargetsOp({hidden, &head}, Targets(c), Together(c.rows),
                                                 {hidden.detach(), &head}, true);
    return std::vector<bool>{columns.logps.requires_grad(), columns.reference_kl.requires_grad(),
                             columns.log_sum_squares.requires_grad()};
  };
  EXPECT_EQ(requires_gradients(), (std::vector<bool>{true, true, false}));
  const at::NoGradGuard no_gradients;
  EXPECT_EQ(requires_gradients(), (std::vector<bool>{false, false, false}));
}

}  // namespace
}  // namespace attune
