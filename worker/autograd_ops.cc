#include "worker/autograd_ops.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "common/check.h"
#include "model/kv_cache.h"
#include "worker/op_math.h"
#include "worker/pieces.h"

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kScoreRows = 256;  // query rows of a block of attention scores

// A context holds tensors and numbers only.
void Keep(AutogradContext* context, const LinearParameters* linear) {
  context->saved_data["linear"] = reinterpret_cast<int64_t>(linear);
}
const LinearParameters& Kept(AutogradContext* context) {
  return *reinterpret_cast<const LinearParameters*>(context->saved_data["linear"].toInt());
}

struct Linear : Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_RK,
                            const LinearParameters* linear) {
    context->save_for_backward({x_RK});
    Keep(context, linear);
    const int64_t outputs = linear->packed.n();
    at::Tensor y_RN = NewRows(x_RK.size(0), outputs);
    MatMulRows(x_RK, linear->packed, y_RN.data_ptr<float>());
    if (linear->bias_N.defined()) {
      AddBias(linear->bias_N.data_ptr<float>(), x_RK.size(0), outputs, y_RN.data_ptr<float>());
    }
    return y_RN;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const LinearParameters& linear = Kept(context);
    const at::Tensor& dy_RN = gradients[0];
    const at::Tensor x_RK = context->get_saved_variables()[0];
    Multiply(dy_RN.t(), linear.Multiplied(x_RK), /*beta=*/1, linear.weight_gradient_NK);
    if (linear.bias_N.defined()) linear.bias_gradient_N.add_(dy_RN.sum(0));
    return {Product(dy_RN, linear.Multiplied(linear.weight_NK)), at::Tensor()};
  }
};

struct Embedding : Function<Embedding> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& table_VK,
                            const at::Tensor& ids, TensorType precision) {
    context->save_for_backward({ids});
    context->saved_data["gradient"] = table_VK.grad();
    return Rounded(at::index_select(table_VK, 0, ids), precision);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor ids = context->get_saved_variables()[0];
    context->saved_data["gradient"].toTensor().index_add_(0, ids, gradients[0]);
    return {at::Tensor(), at::Tensor(), at::Tensor()};
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

// With n = (x - mean(x)) / deviation(x): dx = (w dy - mean(w dy) - n mean(w dy n)) / deviation(x),
// dw = sum over rows of dy n, db = sum over rows of dy.
struct LayerNormalise : Function<LayerNormalise> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_RK,
                            const at::Tensor& weight_K, const at::Tensor& bias_K, double eps) {
    context->save_for_backward({x_RK, weight_K});
    context->saved_data["eps"] = eps;
    at::Tensor y_RK = at::empty_like(x_RK);
    LayerNorm(x_RK.data_ptr<float>(), x_RK.size(0), x_RK.size(1), weight_K.data_ptr<float>(),
              bias_K.data_ptr<float>(), static_cast<float>(eps), y_RK.data_ptr<float>());
    return y_RK;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& dy_RK = gradients[0];
    const double eps = context->saved_data["eps"].toDouble();
    const at::Tensor centred_RK = saved[0] - saved[0].mean(1, /*keepdim=*/true);
    const at::Tensor inverse_R1 = centred_RK.square().mean(1, /*keepdim=*/true).add_(eps).rsqrt_();
    const at::Tensor n_RK = centred_RK * inverse_R1;
    at::Tensor dn_RK = dy_RK * saved[1];
    dn_RK.sub_(dn_RK.mean(1, /*keepdim=*/true));
    const at::Tensor projection_R1 = (dn_RK * n_RK).mean(1, /*keepdim=*/true);
    return {(dn_RK - n_RK * projection_R1).mul_(inverse_R1), (dy_RK * n_RK).sum(0), dy_RK.sum(0),
            at::Tensor()};
  }
};

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  int64_t head_dim) {
  at::Tensor y = x.clone(at::MemoryFormat::Contiguous);
  const int64_t half = cos.size(1);
  const int64_t width = y.size(1);
  ForPieces(y.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      ApplyRope(y.data_ptr<float>() + row * width, width / head_dim, head_dim, half,
                cos.data_ptr<float>() + row * half, sin.data_ptr<float>() + row * half);
    }
  });
  return y;
}

// A rotation, scaled perhaps; its transpose turns by the opposite angle.
struct Rotary : Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin, int64_t head_dim) {
    context->save_for_backward({cos, sin});
    context->saved_data["head_dim"] = head_dim;
    return Rotate(x, cos, sin, head_dim);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {Rotate(gradients[0], saved[0], -saved[1], context->saved_data["head_dim"].toInt()),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// First row that `row` of a sequence beginning at `begin` attends to.
int64_t FirstSeen(int64_t begin, int64_t row, int64_t window) {
  return window > 0 ? std::max(begin, row + 1 - window) : begin;
}

struct Attention : Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const at::Tensor& offsets,
                            const AttentionShape& shape, int64_t window) {
    context->save_for_backward({q, k, v, offsets});
    context->saved_data["heads"] = shape.heads;
    context->saved_data["kv_heads"] = shape.kv_heads;
    context->saved_data["head_dim"] = shape.head_dim;
    context->saved_data["scale"] = static_cast<double>(shape.scale);
    context->saved_data["softcap"] = static_cast<double>(shape.softcap);
    context->saved_data["window"] = window;
    at::Tensor out = at::empty_like(q);
    const int64_t* begins = offsets.data_ptr<int64_t>();
    const KvLayout layout(/*layers=*/1, shape.kv_heads, shape.head_dim, shape.bf16);
    std::vector<KvCache> caches(offsets.size(0) - 1);
    ForPieces(caches.size(), 1, [&](int64_t s, int64_t) {
      for (int64_t row = begins[s]; row < begins[s + 1]; ++row) {
        const int64_t position = row - begins[s];
        caches[s].Prepare(layout, position);
        caches[s].Write(layout, /*layer=*/0, position, k.data_ptr<float>() + row * k.size(1),
                        v.data_ptr<float>() + row * v.size(1));
      }
    });
    ForPieces(q.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch;
      int64_t next = 0;  // sequence after the row's
      for (int64_t row = begin; row < end; ++row) {
        while (begins[next] <= row) ++next;
        const AttendArguments arguments = Arguments(layout, shape, row - begins[next - 1], window);
        scratch.resize(AttendScratch(arguments));
        AttendRow(q.data_ptr<float>() + row * q.size(1), caches[next - 1].pages(), arguments,
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
    const int64_t* begins = saved[3].data_ptr<int64_t>();
    at::Tensor dq = at::empty_like(saved[0]);
    at::Tensor dk = at::zeros_like(saved[1]);
    at::Tensor dv = at::zeros_like(saved[2]);
    // A piece is a key head of a sequence; the query heads that share it add to its gradient.
    ForPieces((saved[3].size(0) - 1) * shape.kv_heads, 1, [&](int64_t piece, int64_t) {
      const int64_t s = piece / shape.kv_heads;
      const int64_t kv_head = piece % shape.kv_heads;
      const auto part = [&](const at::Tensor& all, int64_t head) {
        return all.narrow(0, begins[s], begins[s + 1] - begins[s])
            .narrow(1, head * shape.head_dim, shape.head_dim);
      };
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        HeadBackward({part(saved[0], head), part(saved[1], kv_head), part(saved[2], kv_head),
                      part(gradients[0], head)},
                     shape, window, {part(dq, head), part(dk, kv_head), part(dv, kv_head)});
      }
    });
    return {dq, dk, dv, at::Tensor(), at::Tensor(), at::Tensor()};
  }

  // Of one head of one sequence, [L, D].
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
    const int64_t length = in.q.size(0);
    for (int64_t row = 0; row < length; row += kScoreRows) {
      const int64_t end = std::min(length, row + kScoreRows);
      const int64_t first = FirstSeen(0, row, window);
      const auto queries = [&](const at::Tensor& all) { return all.narrow(0, row, end - row); };
      const auto keys = [&](const at::Tensor& all) { return all.narrow(0, first, end - first); };
      const at::Tensor q = queries(in.q);
      const at::Tensor dout = queries(in.dout);
      at::Tensor p = at::mm(q, keys(in.k).t()).mul_(shape.scale);
      at::Tensor slope;
      if (shape.softcap > 0) slope = CapWithSlope(shape.softcap, p);
      p = at::softmax(p.add_(Unseen(end - row, end - first, row - first, window)), -1);
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

struct Activated : Function<Activated> {
  static at::Tensor forward(AutogradContext* context, Activation activation, const at::Tensor& gate,
                            const c10::optional<at::Tensor>& up) {
    context->save_for_backward({gate, up.value_or(at::Tensor())});
    context->saved_data["gelu"] = activation == Activation::kGeluTanh;
    at::Tensor out = at::empty_like(gate);
    const int64_t width = gate.size(1);
    ForPieces(gate.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
      Activate(activation, gate.data_ptr<float>() + begin * width,
               up.has_value() ? up->data_ptr<float>() + begin * width : nullptr,
               (end - begin) * width, out.data_ptr<float>() + begin * width);
    });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& gate = saved[0];
    const at::Tensor& up = saved[1];
    const at::Tensor& dout = gradients[0];
    const bool gelu = context->saved_data["gelu"].toBool();
    const at::Tensor dactivated = up.defined() ? dout * up : dout;
    const at::Tensor dgate =
        gelu ? at::gelu_backward(dactivated, gate, "tanh") : at::silu_backward(dactivated, gate);
    if (!up.defined()) return {at::Tensor(), dgate, at::Tensor()};
    return {at::Tensor(), dgate, (gelu ? at::gelu(gate, "tanh") : at::silu(gate)).mul_(dout)};
  }
};

}  // namespace

void LinearParameters::Pack(TensorType precision) {
  packed =
      PackedMatrix(ViewOf(weight_NK.data_ptr<float>()),
                   {weight_NK.size(0), weight_NK.size(1), weight_NK.stride(0), weight_NK.stride(1)},
                   precision, precision == TensorType::kBf16 ? Products::kBf16 : Products::kFp32);
}

at::Tensor LinearParameters::Multiplied(const at::Tensor& factor) const {
  return Rounded(factor, packed.type());
}

at::Tensor LinearOp(const at::Tensor& x_RK, const LinearParameters& linear) {
  // Else autograd would not come by, and the weight would learn nothing.
  ATTUNE_CHECK(x_RK.requires_grad() || !at::GradMode::is_enabled());
  return Linear::apply(x_RK, &linear);
}

at::Tensor EmbeddingOp(const at::Tensor& table_VK, const at::Tensor& ids, TensorType precision) {
  return Embedding::apply(table_VK, ids, precision);
}

at::Tensor RmsNormOp(const at::Tensor& x_RK, const at::Tensor& weight_K, double eps) {
  return RmsNormalise::apply(x_RK, weight_K, eps);
}

at::Tensor LayerNormOp(const at::Tensor& x_RK, const at::Tensor& weight_K, const at::Tensor& bias_K,
                       double eps) {
  return LayerNormalise::apply(x_RK, weight_K, bias_K, eps);
}

at::Tensor RopeOp(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  int64_t head_dim) {
  return Rotary::apply(x, cos, sin, head_dim);
}

at::Tensor AttentionOp(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& offsets, const AttentionShape& shape, int64_t window) {
  return Attention::apply(q, k, v, offsets, shape, window);
}

at::Tensor ActivateOp(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  return Activated::apply(activation, gate,
                          up.defined() ? c10::optional<at::Tensor>(up) : c10::nullopt);
}

}  // namespace attune
