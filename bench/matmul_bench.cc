// What it costs that no row of a product depends on the others: our packed products against
// oneDNN's, whose weights are packed in advance too, one thread, in turns. JSON lines.
#include <dnnl.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <unordered_map>
#include <vector>

#include "bench/measure.h"
#include "common/rng.h"
#include "model/kernels.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

constexpr int kRepetitions = 15;
constexpr int64_t kFlopsPerRun = int64_t{1} << 29;  // some milliseconds

using dnnl::memory;

// y[m, n] = x[m, k] W^T with W [n, k].
struct Shape {
  int64_t m, n, k;
};

// The same product by oneDNN, ready to run.
class PackedByOneDnn {
 public:
  PackedByOneDnn(const Shape& s, bool bf16, std::vector<float>* x, std::vector<float>* w,
                 std::vector<float>* y)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    const auto type = bf16 ? memory::data_type::bf16 : memory::data_type::f32;
    const auto f32 = memory::data_type::f32;
    const memory::desc x_plain({s.m, s.k}, f32, memory::format_tag::ab);
    const memory::desc w_plain({s.k, s.n}, f32, memory::format_tag::ba);
    const memory::desc y_plain({s.m, s.n}, f32, memory::format_tag::ab);
    const dnnl::matmul::desc desc({{s.m, s.k}, type, memory::format_tag::ab},
                                  {{s.k, s.n}, type, memory::format_tag::any}, y_plain);
    const dnnl::matmul::primitive_desc primitive(desc, engine_);
    product_ = dnnl::matmul(primitive);
    arguments_ = {
        {DNNL_ARG_SRC, Converted({x_plain, engine_, x->data()}, primitive.src_desc())},
        {DNNL_ARG_WEIGHTS, Converted({w_plain, engine_, w->data()}, primitive.weights_desc())},
        {DNNL_ARG_DST, memory(y_plain, engine_, y->data())}};
  }

  void Run() {
    product_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  memory Converted(memory from, const memory::desc& wanted) {
    memory to(wanted, engine_);
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    return to;
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul product_;
  std::unordered_map<int, memory> arguments_;
};

double GigaflopsPerSecond(const Shape& s, const std::function<void()>& run) {
  const int64_t flops = 2 * s.m * s.n * s.k;
  const int64_t runs = std::max<int64_t>(1, kFlopsPerRun / flops);
  const double start = ProcessorSeconds();
  for (int64_t i = 0; i < runs; ++i) run();
  return 1e-9 * static_cast<double>(flops * runs) / (ProcessorSeconds() - start);
}

bool Measure(const Shape& s, bool bf16) {
  std::vector<float> x(s.m * s.k), w(s.n * s.k), ours(s.m * s.n), theirs(ours.size());
  const CounterRng rng({1});
  uint64_t drawn = 0;
  for (std::vector<float>* values : {&x, &w}) {
    for (float& value : *values) value = static_cast<float>(rng.Uniform(drawn++) - 0.5);
  }
  const PackedMatrix packed(ViewOf(w.data()), {s.n, s.k, s.k, 1},
                            bf16 ? TensorType::kBf16 : TensorType::kF32,
                            bf16 ? Products::kBf16 : Products::kFp32);
  std::vector<uint32_t> pairs(s.m * packed.pairs());
  RoundPairs(x.data(), s.m, s.k, pairs.data());
  const void* const input = bf16 ? static_cast<const void*>(pairs.data()) : x.data();
  const auto run_ours = [&] {
    MatMulPanels(input, s.m, packed, {0, packed.panel_count()}, ours.data());
  };
  PackedByOneDnn one_dnn(s, bf16, &x, &w, &theirs);
  run_ours();
  one_dnn.Run();
  for (size_t i = 0; i < ours.size(); ++i) {
    if (std::abs(ours[i] - theirs[i]) > 1e-3 * std::sqrt(static_cast<double>(s.k))) {
      std::fprintf(stderr, "matmul_bench: %g here, %g by oneDNN\n", ours[i], theirs[i]);
      return false;
    }
  }
  std::vector<double> rates, peers, ratios;
  for (int i = 0; i < kRepetitions; ++i) {
    rates.push_back(GigaflopsPerSecond(s, run_ours));
    peers.push_back(GigaflopsPerSecond(s, [&] { one_dnn.Run(); }));
    ratios.push_back(rates.back() / peers.back());
  }
  const nlohmann::json line = {{"name", "matmul"},
                               {"precision", bf16 ? "bf16" : "fp32"},
                               {"rows", s.m},
                               {"outputs", s.n},
                               {"inputs", s.k},
                               {"value", Median(rates)},
                               {"unit", "GFLOP/s"},
                               {"repetitions", kRepetitions},
                               {"min", *std::min_element(rates.begin(), rates.end())},
                               {"max", *std::max_element(rates.begin(), rates.end())},
                               {"peer", "oneDNN, packed"},
                               {"peer_value", Median(peers)},
                               {"ratio", Median(ratios)}};
  std::printf("%s\n", line.dump().c_str());
  return true;
}

}  // namespace
}  // namespace attune

int main() {
#ifndef __OPTIMIZE__
  std::fprintf(stderr, "matmul_bench: built without optimisation; build the preset release\n");
  return 2;
#endif
  for (const bool bf16 : {false, true}) {
    for (const int64_t rows : {1, 8, 32, 64, 256}) {
      if (!attune::Measure({rows, 2048, 768}, bf16)) return 1;
    }
  }
  return 0;
}
