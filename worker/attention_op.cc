#include "worker/attention_op.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/backward_kernels.h"
#include "model/kernels.h"
#include "model/kv_cache.h"
#include "worker/op_math.h"
#include "worker/pieces.h"

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kScoreRows = 64;  // query rows of a block of attention scores

// Rows [begin, end).
struct Segment {
  int64_t begin;
  int64_t end;

  int64_t size() const { return end - begin; }
};

class Segments {
 public:
  explicit Segments(const at::Tensor& rows)
      : rows_(rows.data_ptr<int64_t>()), count_(rows.size(0)) {}

  int64_t count() const { return count_; }
  Segment operator[](int64_t s) const { return {rows_[3 * s], rows_[3 * s + 1]}; }
  // Of the segment that it continues; without rows: it continues none.
  Segment PrefixOf(int64_t s) const {
    const int64_t prefix = rows_[3 * s + 2];
    return prefix < 0 ? Segment{0, 0} : (*this)[prefix];
  }
  // The segments that continue none, and count().
  std::vector<int64_t> Roots() const {
    std::vector<int64_t> roots;
    for (int64_t s = 0; s < count_; ++s) {
      if (rows_[3 * s + 2] < 0) roots.push_back(s);
    }
    roots.push_back(count_);
    return roots;
  }

 private:
  const int64_t* const rows_;
  const int64_t count_;
};

// First row that `row` of a sequence beginning at `begin` attends to.
int64_t FirstSeen(int64_t begin, int64_t row, int64_t window) {
  return window > 0 ? std::max(begin, row + 1 - window) : begin;
}

// The backward pass of attention.
struct AttentionInputs {
  at::Tensor q, k, v, dout;
};
struct AttentionGradients {
  at::Tensor dq, dk, dv;
};

// Columns of one head, D values of every row.
struct HeadColumns {
  float* first;
  int64_t stride;

  HeadColumns(const at::Tensor& all, int64_t head, int64_t head_dim)
      : first(all.data_ptr<float>() + head * head_dim), stride(all.size(1)) {}
  float* Row(int64_t row) const { return first + row * stride; }
  void CopyTo(const Segment& rows, int64_t head_dim, std::vector<float>* out) const {
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      out->insert(out->end(), Row(row), Row(row) + head_dim);
    }
  }
};

// A product with what lies as [k, n] in memory.
PackedMatrix ByColumns(const float* values, int64_t k, int64_t n) {
  return PackedMatrix(ViewOf(values), {n, k, 1, n}, TensorType::kF32);
}

// S = scale Q K^T, c tanh(S / c) with a softcap c; P = softmax(S) over what a row sees; O = P V.
// Then dV = P^T dO and, with dP = dO V^T, dS = P (dP - rowsum(P dP)), times 1 - tanh(S / c)^2;
// dQ = scale dS K, dK = scale dS^T Q. P is computed again, for some queries of one head at a time.
class HeadBackward {
 public:
  // `keys` and `values` [L, D], of which queries see those up to themselves: the last queries are
  // at the last keys.
  HeadBackward(const AttentionShape& shape, int64_t window, const std::vector<float>& keys,
               const std::vector<float>& values, std::vector<double>* dkeys,
               std::vector<double>* dvalues)
      : shape_(shape),
        window_(window),
        dim_(shape.head_dim),
        keys_(keys),
        values_(values),
        dkeys_(*dkeys),
        dvalues_(*dvalues) {}

  // Of the queries [rows, D] at positions from `position` on; dq are their gradients.
  void Run(int64_t position, int64_t rows, const float* q, const float* dout, float* dq) {
    first_ = FirstSeen(0, position, window_);
    const int64_t seen = position + rows - first_;
    const float* const keys = keys_.data() + first_ * dim_;
    p_.resize(rows * seen);
    ds_.resize(rows * seen);
    const PackedMatrix k(ViewOf(keys), {seen, dim_, dim_, 1}, TensorType::kF32);
    const PackedMatrix v(ViewOf(values_.data() + first_ * dim_), {seen, dim_, dim_, 1},
                         TensorType::kF32);
    MatMul(q, rows, k, p_.data());
    MatMul(dout, rows, v, ds_.data());
    for (int64_t row = 0; row < rows; ++row) {
      DifferentiateRow(FirstSeen(0, position + row, window_) - first_, position + row + 1 - first_,
                       seen, p_.data() + row * seen, ds_.data() + row * seen);
    }
    MatMul(ds_.data(), rows, ByColumns(keys, seen, dim_), dq);
    AddTransposed(p_, rows, seen, dout, &dvalues_);
    AddTransposed(ds_, rows, seen, q, &dkeys_);
  }

 private:
  // Of a row that sees keys [begin, end) of `seen`: from scores q k to P, and from dP to dS.
  void DifferentiateRow(int64_t begin, int64_t end, int64_t seen, float* p, float* ds) {
    std::fill(p, p + begin, 0.0f);
    std::fill(ds, ds + begin, 0.0f);
    std::fill(p + end, p + seen, 0.0f);
    std::fill(ds + end, ds + seen, 0.0f);
    p += begin;
    ds += begin;
    const int64_t count = end - begin;
    Scale(shape_.scale, count, p);
    if (shape_.softcap > 0) SoftCap(shape_.softcap, count, p);
    const float normaliser = LogSumExp(p, count);
    slopes_.assign(count, shape_.scale);
    for (int64_t i = 0; shape_.softcap > 0 && i < count; ++i) {
      const float bend = p[i] / shape_.softcap;
      slopes_[i] *= 1 - bend * bend;
    }
    ScaledExp(p, count, normaliser, /*scale=*/1, p);
    double projection = 0;
    for (int64_t i = 0; i < count; ++i) projection += static_cast<double>(p[i]) * ds[i];
    const auto mean = static_cast<float>(projection);
    for (int64_t i = 0; i < count; ++i) ds[i] = p[i] * (ds[i] - mean) * slopes_[i];
  }

  // sums [L, D] += factor^T other, for factor [rows, seen] and other [rows, D].
  void AddTransposed(const std::vector<float>& factor, int64_t rows, int64_t seen,
                     const float* other, std::vector<double>* sums) {
    transposed_.resize(rows * seen);
    Transpose(factor.data(), rows, seen, seen, transposed_.data(), rows);
    const PackedMatrix packed = ByColumns(other, rows, dim_);
    AddMatMulPanels(transposed_.data(), seen, packed, {0, packed.panel_count()},
                    sums->data() + first_ * dim_, dim_);
  }

  const AttentionShape& shape_;
  const int64_t window_;
  const int64_t dim_;
  const std::vector<float>& keys_;
  const std::vector<float>& values_;
  std::vector<double>& dkeys_;
  std::vector<double>& dvalues_;
  int64_t first_ = 0;  // key that the first of the queries sees
  std::vector<float> p_, ds_, slopes_, transposed_;
};

// Adds sums [L, D] of a prefix and a segment after it to their rows.
void AddSums(const Segment& prefix, const Segment& own, int64_t head_dim,
             const std::vector<double>& sums, const HeadColumns& to) {
  const double* sum = sums.data();
  for (const Segment& rows : {prefix, own}) {
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      for (int64_t i = 0; i < head_dim; ++i) to.Row(row)[i] += static_cast<float>(*sum++);
    }
  }
}

// Of the queries of one segment that share a key head.
void KeyHeadBackward(const AttentionShape& shape, int64_t window, int64_t kv_head,
                     const Segment& prefix, const Segment& own, const AttentionInputs& in,
                     const AttentionGradients& out) {
  const int64_t dim = shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  std::vector<float> keys, values;
  for (const Segment& rows : {prefix, own}) {
    HeadColumns(in.k, kv_head, dim).CopyTo(rows, dim, &keys);
    HeadColumns(in.v, kv_head, dim).CopyTo(rows, dim, &values);
  }
  std::vector<double> dkeys(keys.size()), dvalues(values.size());
  HeadBackward backward(shape, window, keys, values, &dkeys, &dvalues);
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const HeadColumns dq(out.dq, head, dim);
    for (int64_t row = own.begin; row < own.end; row += kScoreRows) {
      const Segment rows = {row, std::min(own.end, row + kScoreRows)};
      std::vector<float> q, dout, slopes(rows.size() * dim);
      HeadColumns(in.q, head, dim).CopyTo(rows, dim, &q);
      HeadColumns(in.dout, head, dim).CopyTo(rows, dim, &dout);
      backward.Run(prefix.size() + row - own.begin, rows.size(), q.data(), dout.data(),
                   slopes.data());
      for (int64_t i = 0; i < rows.size(); ++i) {
        std::copy_n(slopes.data() + i * dim, dim, dq.Row(row + i));
      }
    }
  }
  AddSums(prefix, own, dim, dkeys, HeadColumns(out.dk, kv_head, dim));
  AddSums(prefix, own, dim, dvalues, HeadColumns(out.dv, kv_head, dim));
}

struct Attention : Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const at::Tensor& segment_rows,
                            const AttentionShape& shape, int64_t window) {
    context->save_for_backward({q, k, v, segment_rows});
    context->saved_data["heads"] = shape.heads;
    context->saved_data["kv_heads"] = shape.kv_heads;
    context->saved_data["head_dim"] = shape.head_dim;
    context->saved_data["scale"] = static_cast<double>(shape.scale);
    context->saved_data["softcap"] = static_cast<double>(shape.softcap);
    context->saved_data["window"] = window;
    at::Tensor out = at::empty_like(q);
    const Segments segments(segment_rows);
    const KvLayout layout(/*layers=*/1, shape.kv_heads, shape.head_dim, shape.bf16);
    std::vector<KvCache> caches(segments.count());
    ForPieces(segments.count(), 1, [&](int64_t s, int64_t) {
      int64_t position = 0;
      const auto write = [&](const Segment& segment) {
        for (int64_t row = segment.begin; row < segment.end; ++row, ++position) {
          caches[s].Prepare(layout, position);
          caches[s].Write(layout, /*layer=*/0, position, k.data_ptr<float>() + row * k.size(1),
                          v.data_ptr<float>() + row * v.size(1));
        }
      };
      write(segments.PrefixOf(s));
      write(segments[s]);
    });
    ForPieces(q.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch;
      int64_t s = 0;
      for (int64_t row = begin; row < end; ++row) {
        while (segments[s].end <= row) ++s;
        const int64_t position = row - segments[s].begin + segments.PrefixOf(s).size();
        const AttendArguments arguments = Arguments(layout, shape, position, window);
        scratch.resize(AttendScratch(arguments));
        AttendRow(q.data_ptr<float>() + row * q.size(1), caches[s].pages(), arguments,
                  scratch.data(), out.data_ptr<float>() + row * q.size(1));
      }
    });
    return out;
  }

  static AttendArguments Arguments(const KvLayout& layout, const AttentionShape& shape,
                                   int64_t position, int64_t window) {
    return {.first = FirstSeen(0, position, window),
            .length = position + 1,
            .heads = shape.heads,
            .kv_heads = shape.kv_heads,
            .head_dim = shape.head_dim,
            .scale = shape.scale,
            .softcap = shape.softcap,
            .bf16 = layout.bf16,
            .keys_offset = layout.keys_offset(0),
            .values_offset = layout.values_offset(0)};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const AttentionShape shape = {data["heads"].toInt(),
                                  data["kv_heads"].toInt(),
                                  data["head_dim"].toInt(),
                                  static_cast<float>(data["scale"].toDouble()),
                                  static_cast<float>(data["softcap"].toDouble()),
                                  /*bf16=*/false};
    const int64_t window = data["window"].toInt();
    const Segments segments(saved[3]);
    const at::Tensor dout = gradients[0].contiguous();
    at::Tensor dq = at::empty_like(saved[0]);
    at::Tensor dk = at::zeros_like(saved[1]);
    at::Tensor dv = at::zeros_like(saved[2]);
    // A piece is a key head of a segment and those that continue it; the query heads that share it
    // add to its gradient.
    const std::vector<int64_t> roots = segments.Roots();
    ForPieces((static_cast<int64_t>(roots.size()) - 1) * shape.kv_heads, 1,
              [&](int64_t piece, int64_t) {
                const int64_t family = piece / shape.kv_heads;
                for (int64_t s = roots[family]; s < roots[family + 1]; ++s) {
                  KeyHeadBackward(shape, window, piece % shape.kv_heads, segments.PrefixOf(s),
                                  segments[s], {saved[0], saved[1], saved[2], dout}, {dq, dk, dv});
                }
              });
    return {dq, dk, dv, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor AttentionOp(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& segments, const AttentionShape& shape, int64_t window) {
  return Attention::apply(q, k, v, segments, shape, window);
}

}  // namespace attune
