#include "worker/attention_op.h"

#include <algorithm>
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/kernels.h"
#include "model/kv_cache.h"
#include "worker/op_math.h"
#include "worker/pieces.h"

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kScoreRows = 256;  // query rows of a block of attention scores

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
    const int64_t group = shape.heads / shape.kv_heads;
    const Segments segments(saved[3]);
    const at::Tensor dout = gradients[0].contiguous();
    at::Tensor dq = at::empty_like(saved[0]);
    at::Tensor dk = at::zeros_like(saved[1]);
    at::Tensor dv = at::zeros_like(saved[2]);
    // A piece is a key head of a segment and those that continue it; the query heads that share it
    // add to its gradient.
    const std::vector<int64_t> roots = segments.Roots();
    ForPieces((roots.size() - 1) * shape.kv_heads, 1, [&](int64_t piece, int64_t) {
      const int64_t family = piece / shape.kv_heads;
      const int64_t kv_head = piece % shape.kv_heads;
      for (int64_t s = roots[family]; s < roots[family + 1]; ++s) {
        const Segment prefix = segments.PrefixOf(s);
        const Segment own = segments[s];
        const auto part = [&](const at::Tensor& all, const Segment& rows, int64_t head) {
          return all.narrow(0, rows.begin, rows.size())
              .narrow(1, head * shape.head_dim, shape.head_dim);
        };
        const auto seen = [&](const at::Tensor& all) {
          return at::cat({part(all, prefix, kv_head), part(all, own, kv_head)});
        };
        const at::Tensor keys = seen(saved[1]), values = seen(saved[2]);
        const at::Tensor dkeys = at::zeros_like(keys), dvalues = at::zeros_like(values);
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          HeadBackward({part(saved[0], own, head), keys, values, part(dout, own, head)}, shape,
                       window, {part(dq, own, head), dkeys, dvalues});
        }
        part(dk, prefix, kv_head).add_(dkeys.narrow(0, 0, prefix.size()));
        part(dv, prefix, kv_head).add_(dvalues.narrow(0, 0, prefix.size()));
        part(dk, own, kv_head).add_(dkeys.narrow(0, prefix.size(), own.size()));
        part(dv, own, kv_head).add_(dvalues.narrow(0, prefix.size(), own.size()));
      }
    });
    return {dq, dk, dv, at::Tensor(), at::Tensor(), at::Tensor()};
  }

  // Of one head: queries of a segment, [L, D]; keys and values of its prefix and itself.
  struct HeadRows {
    at::Tensor q, k, v, dout;
  };
  struct HeadGradients {
    at::Tensor dq, dk, dv;
  };

  // S = scale Q K^T, c tanh(S / c) with a softcap c; P = softmax(S) over what a row sees; O = P V.
  // Then dV = P^T dO and, with dP = dO V^T, dS = P (dP - rowsum(P dP)), times 1 - tanh(S / c)^2;
  // dQ = scale dS K, dK = scale dS^T Q. P is computed again, for a block of rows at a time.
  static void HeadBackward(const HeadRows& in, const AttentionShape& shape, int64_t window,
                           const HeadGradients& out) {
    const int64_t prefix = in.k.size(0) - in.q.size(0);
    const int64_t length = in.q.size(0);
    for (int64_t row = 0; row < length; row += kScoreRows) {
      const int64_t rows = std::min(length - row, kScoreRows);
      const int64_t end = prefix + row + rows;
      const int64_t first = FirstSeen(0, prefix + row, window);
      const auto queries = [&](const at::Tensor& all) { return all.narrow(0, row, rows); };
      const auto keys = [&](const at::Tensor& all) { return all.narrow(0, first, end - first); };
      const at::Tensor q = queries(in.q);
      const at::Tensor dout = queries(in.dout);
      at::Tensor p = at::mm(q, keys(in.k).t()).mul_(shape.scale);
      at::Tensor slope;
      if (shape.softcap > 0) slope = CapWithSlope(shape.softcap, p);
      p = at::softmax(p.add_(Unseen(rows, end - first, prefix + row - first, window)), -1);
      keys(out.dv).addmm_(p.t(), dout);
      at::Tensor ds = at::mm(dout, keys(in.v).t());
      ds = at::_softmax_backward_data(ds, p, -1, at::kFloat).mul_(shape.scale);
      if (slope.defined()) ds.mul_(slope);
      queries(out.dq).addmm_(ds, keys(in.k), /*beta=*/0);
      keys(out.dk).addmm_(ds.t(), q);
    }
  }

  // -infinity where row i, which is key `offset` + i, does not see a key; else 0.
  static at::Tensor Unseen(int64_t rows, int64_t keys, int64_t offset, int64_t window) {
    const at::Tensor all = at::full({rows, keys}, -std::numeric_limits<float>::infinity());
    const at::Tensor future = all.triu(offset + 1);
    return window > 0 ? future + all.tril(offset - window) : future;
  }
};

}  // namespace

at::Tensor AttentionOp(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& segments, const AttentionShape& shape, int64_t window) {
  return Attention::apply(q, k, v, segments, shape, window);
}

}  // namespace attune
