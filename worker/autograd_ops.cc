#include "worker/autograd_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/pieces.h"

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kKernelRows = 32;      // rows of a piece for the kernels, which do not mind
constexpr int64_t kProductRows = 256;    // of a BLAS product, which prepares its right side anew
constexpr int64_t kLogitsMax = 1 << 20;  // elements of a chunk of logits

at::Tensor NewRows(int64_t rows, int64_t columns) {
  return at::empty({rows, columns}, at::TensorOptions().dtype(at::kFloat));
}

void MatMulRows(const at::Tensor& x_RK, const PackedMatrix& packed, float* y) {
  const float* x = x_RK.data_ptr<float>();
  ForPieces(x_RK.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
    MatMul(x + begin * packed.k(), end - begin, packed, y + begin * packed.n());
  });
}

// a b, for backward passes.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor c = NewRows(a.size(0), b.size(1));
  ForPieces(a.size(0), kProductRows, [&](int64_t begin, int64_t end) {
    at::Tensor rows = c.narrow(0, begin, end - begin);
    at::mm_out(rows, a.narrow(0, begin, end - begin), b);
  });
  return c;
}

struct Linear : Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_RK,
                            const at::Tensor& weight_NK, const PackedMatrix* packed) {
    context->save_for_backward({x_RK, weight_NK});
    at::Tensor y_RN = NewRows(x_RK.size(0), packed->n());
    MatMulRows(x_RK, *packed, y_RN.data_ptr<float>());
    return y_RN;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& dy_RN = gradients[0];
    return {Product(dy_RN, saved[1]), Product(dy_RN.t(), saved[0]), at::Tensor()};
  }
};

// With n = x / rms(x): dx = (w dy - n mean(w dy n)) / rms(x), dw = sum over rows of dy n.
struct RmsNormalise : Function<RmsNormalise> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_RK,
                            const at::Tensor& weight_K, double eps) {
    context->save_for_backward({x_RK, weight_K});
    context->saved_data["eps"] = eps;
    at::Tensor y_RK = at::empty_like(x_RK);
    RmsNorm(x_RK.data_ptr<float>(), x_RK.size(0), x_RK.size(1), weight_K.data_ptr<float>(),
            static_cast<float>(eps), y_RK.data_ptr<float>());
    return y_RK;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x_RK = saved[0];
    const at::Tensor& dy_RK = gradients[0];
    const double eps = context->saved_data["eps"].toDouble();
    const at::Tensor inverse_R1 = x_RK.square().mean(1, /*keepdim=*/true).add_(eps).rsqrt_();
    const at::Tensor n_RK = x_RK * inverse_R1;
    const at::Tensor dn_RK = dy_RK * saved[1];
    const at::Tensor projection_R1 = (dn_RK * n_RK).mean(1, /*keepdim=*/true);
    return {(dn_RK - n_RK * projection_R1).mul_(inverse_R1), (dy_RK * n_RK).sum(0), at::Tensor()};
  }
};

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  at::Tensor y = x.clone(at::MemoryFormat::Contiguous);
  const int64_t half = cos.size(1);
  const int64_t width = y.size(1);
  for (int64_t row = 0; row < y.size(0); ++row) {
    ApplyRope(y.data_ptr<float>() + row * width, width / (2 * half), 2 * half,
              cos.data_ptr<float>() + row * half, sin.data_ptr<float>() + row * half);
  }
  return y;
}

// A rotation; its transpose turns by the opposite angle.
struct Rope : Function<Rope> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return Rotate(x, cos, sin);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {Rotate(gradients[0], saved[0], -saved[1]), at::Tensor(), at::Tensor()};
  }
};

// [L, heads * D] rows of one sequence -> [kv_heads, group * L, D]: the query heads that share a
// key head become rows of one matrix.
at::Tensor ByKeyHead(const at::Tensor& rows, int64_t heads, const AttentionShape& shape) {
  const int64_t length = rows.size(0);
  const int64_t group = heads / shape.kv_heads;
  return rows.view({length, shape.kv_heads, group, shape.head_dim})
      .permute({1, 2, 0, 3})
      .reshape({shape.kv_heads, group * length, shape.head_dim});
}

at::Tensor FromKeyHead(const at::Tensor& matrices, int64_t heads, const AttentionShape& shape) {
  const int64_t group = heads / shape.kv_heads;
  const int64_t length = matrices.size(1) / group;
  return matrices.view({shape.kv_heads, group, length, shape.head_dim})
      .permute({2, 0, 1, 3})
      .reshape({length, heads * shape.head_dim});
}

struct Attention : Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const at::Tensor& offsets, int64_t heads,
                            int64_t kv_heads, int64_t head_dim) {
    context->save_for_backward({q, k, v, offsets});
    context->saved_data["heads"] = heads;
    context->saved_data["kv_heads"] = kv_heads;
    context->saved_data["head_dim"] = head_dim;
    at::Tensor out = at::empty_like(q);
    const int64_t* begins = offsets.data_ptr<int64_t>();
    const int64_t stride = kv_heads * head_dim;
    ForPieces(offsets.size(0) - 1, 1, [&](int64_t s, int64_t) {
      const int64_t first = begins[s];
      std::vector<float> scores(begins[s + 1] - first);
      for (int64_t row = first; row < begins[s + 1]; ++row) {
        AttendRow(q.data_ptr<float>() + row * heads * head_dim,
                  k.data_ptr<float>() + first * stride, v.data_ptr<float>() + first * stride,
                  row - first + 1, stride, heads, kv_heads, head_dim, scores.data(),
                  out.data_ptr<float>() + row * heads * head_dim);
      }
    });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const AttentionShape shape = {context->saved_data["heads"].toInt(),
                                  context->saved_data["kv_heads"].toInt(),
                                  context->saved_data["head_dim"].toInt()};
    const at::Tensor dout = gradients[0].contiguous();
    const int64_t* begins = saved[3].data_ptr<int64_t>();
    at::Tensor dq = at::empty_like(saved[0]);
    at::Tensor dk = at::empty_like(saved[1]);
    at::Tensor dv = at::empty_like(saved[2]);
    ForPieces(saved[3].size(0) - 1, 1, [&](int64_t s, int64_t) {
      const auto rows = [&](const at::Tensor& all) {
        return all.narrow(0, begins[s], begins[s + 1] - begins[s]);
      };
      SequenceBackward({rows(saved[0]), rows(saved[1]), rows(saved[2]), rows(dout)}, shape,
                       rows(dq), rows(dk), rows(dv));
    });
    return {dq, dk, dv, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }

  struct SequenceRows {
    at::Tensor q, k, v, dout;
  };

  // P = softmax(scale Q K^T) below the diagonal, O = P V. Then dV = P^T dO and, with dP = dO V^T,
  // dS = P (dP - rowsum(P dP)), dQ = scale dS K, dK = scale dS^T Q. P is computed again.
  static void SequenceBackward(const SequenceRows& rows, const AttentionShape& shape,
                               at::Tensor dq, at::Tensor dk, at::Tensor dv) {
    const int64_t length = rows.q.size(0);
    const int64_t group = shape.heads / shape.kv_heads;
    const double scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
    const at::Tensor q = ByKeyHead(rows.q, shape.heads, shape);
    const at::Tensor k = ByKeyHead(rows.k, shape.kv_heads, shape);
    const at::Tensor v = ByKeyHead(rows.v, shape.kv_heads, shape);
    const at::Tensor dout = ByKeyHead(rows.dout, shape.heads, shape);
    const at::Tensor future =
        at::full({length, length}, -std::numeric_limits<float>::infinity(), q.options()).triu_(1);
    at::Tensor p = at::bmm(q, k.transpose(1, 2)).mul_(scale);
    p.view({shape.kv_heads, group, length, length}).add_(future);
    p = at::softmax(p, -1);
    dv.copy_(FromKeyHead(at::bmm(p.transpose(1, 2), dout), shape.kv_heads, shape));
    at::Tensor ds = at::bmm(dout, v.transpose(1, 2));
    ds = at::_softmax_backward_data(ds, p, -1, at::kFloat).mul_(scale);
    dq.copy_(FromKeyHead(at::bmm(ds, k), shape.heads, shape));
    dk.copy_(FromKeyHead(at::bmm(ds.transpose(1, 2), q), shape.kv_heads, shape));
  }
};

struct SiluMultiply : Function<SiluMultiply> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    context->save_for_backward({gate, up});
    at::Tensor out = at::empty_like(gate);
    SiluMul(gate.data_ptr<float>(), up.data_ptr<float>(), gate.numel(), out.data_ptr<float>());
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {at::silu_backward(gradients[0] * saved[1], saved[0]),
            at::silu(saved[0]).mul_(gradients[0])};
  }
};

// With p = softmax(logits): d logp[target] / d logits = onehot(target) - p.
struct LogProb : Function<LogProb> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden_TK,
                            const at::Tensor& weight_VK, const PackedMatrix* packed,
                            const at::Tensor& targets) {
    const int64_t count = hidden_TK.size(0);
    const int64_t vocab = packed->n();
    at::Tensor logps = at::empty({count}, hidden_TK.options());
    at::Tensor normalisers = at::empty({count}, hidden_TK.options());
    for (int64_t first = 0; first < count; first += ChunkRows(vocab)) {
      const int64_t rows = std::min(ChunkRows(vocab), count - first);
      const at::Tensor logits = NewRows(rows, vocab);
      MatMulRows(hidden_TK.narrow(0, first, rows), *packed, logits.data_ptr<float>());
      ForPieces(rows, 1, [&](int64_t row, int64_t) {
        const float* values = logits.data_ptr<float>() + row * vocab;
        const float normaliser = LogSumExp(values, vocab);
        const int64_t target = targets.data_ptr<int64_t>()[first + row];
        normalisers.data_ptr<float>()[first + row] = normaliser;
        logps.data_ptr<float>()[first + row] = values[target] - normaliser;
      });
    }
    context->save_for_backward({hidden_TK, weight_VK, targets, normalisers});
    return logps;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& hidden_TK = saved[0];
    const at::Tensor& weight_VK = saved[1];
    const at::Tensor targets_T1 = saved[2].unsqueeze(1);
    const at::Tensor normalisers_T1 = saved[3].unsqueeze(1);
    const at::Tensor dlogps_T1 = gradients[0].unsqueeze(1);
    at::Tensor dhidden_TK = at::empty_like(hidden_TK);
    at::Tensor dweight_VK = at::zeros_like(weight_VK);
    const int64_t step = ChunkRows(weight_VK.size(0));
    for (int64_t first = 0; first < hidden_TK.size(0); first += step) {
      const auto chunk = [&](const at::Tensor& all) {
        return all.narrow(0, first, std::min(step, all.size(0) - first));
      };
      const at::Tensor hidden = chunk(hidden_TK);
      const at::Tensor gradient = chunk(dlogps_T1);
      at::Tensor dlogits = Product(hidden, weight_VK.t());
      dlogits.sub_(chunk(normalisers_T1)).exp_().mul_(-gradient);
      dlogits.scatter_add_(1, chunk(targets_T1), gradient);
      chunk(dhidden_TK).copy_(Product(dlogits, weight_VK));
      dweight_VK.add_(Product(dlogits.t(), hidden));
    }
    return {dhidden_TK, dweight_VK, at::Tensor(), at::Tensor()};
  }

  static int64_t ChunkRows(int64_t vocab) { return std::max<int64_t>(1, kLogitsMax / vocab); }
};

}  // namespace

at::Tensor LinearOp(const at::Tensor& x_RK, const at::Tensor& weight_NK,
                    const PackedMatrix& packed) {
  return Linear::apply(x_RK, weight_NK, &packed);
}

at::Tensor RmsNormOp(const at::Tensor& x_RK, const at::Tensor& weight_K, double eps) {
  return RmsNormalise::apply(x_RK, weight_K, eps);
}

at::Tensor RopeOp(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return Rope::apply(x, cos, sin);
}

at::Tensor AttentionOp(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& offsets, const AttentionShape& shape) {
  return Attention::apply(q, k, v, offsets, shape.heads, shape.kv_heads, shape.head_dim);
}

at::Tensor SiluMulOp(const at::Tensor& gate, const at::Tensor& up) {
  return SiluMultiply::apply(gate, up);
}

at::Tensor LogProbOp(const at::Tensor& hidden_TK, const at::Tensor& weight_VK,
                     const PackedMatrix& packed, const at::Tensor& targets) {
  return LogProb::apply(hidden_TK, weight_VK, &packed, targets);
}

}  // namespace attune
