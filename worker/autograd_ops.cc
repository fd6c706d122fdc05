#include "worker/autograd_ops.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "absl/functional/function_ref.h"
#include "common/check.h"
#include "model/backward_kernels.h"
#include "worker/op_math.h"
#include "worker/pieces.h"
#include "worker/products.h"

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kPartRows = 64;  // of parts that are added up one after the other

// A context holds tensors and numbers only.
template <class Parameters>
void Keep(AutogradContext* context, const Parameters* parameters) {
  context->saved_data["parameters"] = reinterpret_cast<int64_t>(parameters);
}
template <class Parameters>
const Parameters& Kept(AutogradContext* context) {
  return *reinterpret_cast<const Parameters*>(context->saved_data["parameters"].toInt());
}

struct Linear : Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_RK,
                            const LinearParameters* linear, const at::Tensor& examples) {
    context->save_for_backward({x_RK, examples});
    Keep(context, linear);
    at::Tensor y_RN = MatMulRows(x_RK, PackedFactor(linear->weight_NK, linear->precision));
    if (linear->bias_N.defined()) {
      AddBias(linear->bias_N.data_ptr<float>(), y_RN.size(0), y_RN.size(1), y_RN.data_ptr<float>());
    }
    return y_RN;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto& linear = Kept<LinearParameters>(context);
    const at::Tensor dy_RN = gradients[0].contiguous();
    const variable_list saved = context->get_saved_variables();
    AddOuterProducts(dy_RN, saved[0], saved[1], linear.precision, linear.weight_gradient_NK);
    if (linear.bias_N.defined()) AddRows(dy_RN, linear.bias_gradient_N);
    return {MatMulRows(dy_RN, PackedFactor(linear.weight_NK.t(), linear.precision)), at::Tensor(),
            at::Tensor()};
  }
};

struct Embedding : Function<Embedding> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& root,
                            const EmbeddingTable* table, const at::Tensor& ids) {
    context->save_for_backward({ids});
    Keep(context, table);
    (void)root;
    return Rounded(at::index_select(table->rows_VK, 0, ids), table->precision);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor ids = context->get_saved_variables()[0];
    const at::Tensor dy_RK = gradients[0].contiguous();
    const int64_t width = dy_RK.size(1);
    const int64_t* const rows = ids.data_ptr<int64_t>();
    double* const sums = Kept<EmbeddingTable>(context).gradient_VK.data_ptr<double>();
    ForPieces(width, kPartRows, [&](int64_t begin, int64_t end) {
      const float* dy = dy_RK.data_ptr<float>();
      for (int64_t row = 0; row < dy_RK.size(0); ++row, dy += width) {
        double* const sum = sums + rows[row] * width;
        for (int64_t i = begin; i < end; ++i) sum[i] += dy[i];
      }
    });
    return {at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// work(begin, end, sums) on parts of `rows` rows, each with `width` sums of its own, which are then
// added to `total` in the order of the parts.
void AddParts(int64_t rows, int64_t width, absl::FunctionRef<void(int64_t, int64_t, double*)> work,
              double* total) {
  const int64_t parts = (rows + kPartRows - 1) / kPartRows;
  std::vector<double> sums(parts * width);
  ForPieces(rows, kPartRows, [&](int64_t begin, int64_t end) {
    work(begin, end, sums.data() + begin / kPartRows * width);
  });
  for (int64_t part = 0; part < parts; ++part) {
    for (int64_t i = 0; i < width; ++i) total[i] += sums[part * width + i];
  }
}

struct Normalise : Function<Normalise> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_RK,
                            const NormParameters* norm) {
    context->save_for_backward({x_RK});
    Keep(context, norm);
    at::Tensor y_RK = at::empty_like(x_RK);
    const int64_t width = x_RK.size(1);
    const auto eps = static_cast<float>(norm->eps);
    const at::Tensor weight_K = norm->Multiplier();
    const float* const weight = weight_K.data_ptr<float>();
    ForPieces(x_RK.size(0), kPartRows, [&](int64_t begin, int64_t end) {
      const float* const x = x_RK.data_ptr<float>() + begin * width;
      float* const y = y_RK.data_ptr<float>() + begin * width;
      if (norm->bias_K.defined()) {
        const float* const bias = norm->bias_K.data_ptr<float>();
        LayerNorm(x, end - begin, width, weight, bias, eps, y);
      } else {
        RmsNorm(x, end - begin, width, weight, eps, y);
      }
    });
    return y_RK;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto& norm = Kept<NormParameters>(context);
    const at::Tensor x_RK = context->get_saved_variables()[0];
    const at::Tensor dy_RK = gradients[0].contiguous();
    const at::Tensor dx_RK = at::empty_like(x_RK);
    const int64_t width = x_RK.size(1);
    const auto eps = static_cast<float>(norm.eps);
    const bool layer = norm.bias_K.defined();
    const at::Tensor weight_K = norm.Multiplier();
    const float* const weight = weight_K.data_ptr<float>();
    std::vector<double> sums(2 * width);
    const auto work = [&](int64_t begin, int64_t end, double* part) {
      const int64_t rows = end - begin;
      const float* const x = x_RK.data_ptr<float>() + begin * width;
      const float* const dy = dy_RK.data_ptr<float>() + begin * width;
      float* const dx = dx_RK.data_ptr<float>() + begin * width;
      if (layer) {
        LayerNormBackward(x, dy, rows, width, weight, eps, dx, part, part + width);
      } else {
        RmsNormBackward(x, dy, rows, width, weight, eps, dx, part);
      }
    };
    AddParts(x_RK.size(0), 2 * width, work, sums.data());
    double* const dweight = norm.weight_gradient_K.data_ptr<double>();
    for (int64_t i = 0; i < width; ++i) dweight[i] += sums[i];
    if (layer) {
      double* const dbias = norm.bias_gradient_K.data_ptr<double>();
      for (int64_t i = 0; i < width; ++i) dbias[i] += sums[width + i];
    }
    return {dx_RK, at::Tensor()};
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

struct Sum : Function<Sum> {
  static at::Tensor forward(AutogradContext*, const at::Tensor& x, const at::Tensor& y) {
    at::Tensor sum = at::empty_like(x);
    const int64_t width = x.numel() / std::max<int64_t>(1, x.size(0));
    ForPieces(x.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
      float* const out = sum.data_ptr<float>() + begin * width;
      std::copy_n(x.data_ptr<float>() + begin * width, (end - begin) * width, out);
      AddInto(y.data_ptr<float>() + begin * width, (end - begin) * width, out);
    });
    return sum;
  }

  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {gradients[0], gradients[0]};
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
    const at::Tensor dout = gradients[0].contiguous();
    const Activation activation =
        context->saved_data["gelu"].toBool() ? Activation::kGeluTanh : Activation::kSilu;
    const at::Tensor dgate = at::empty_like(gate);
    const at::Tensor dup = up.defined() ? at::empty_like(up) : at::Tensor();
    const int64_t width = gate.size(1);
    ForPieces(gate.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
      const auto rows = [&](const at::Tensor& all) {
        return all.defined() ? all.data_ptr<float>() + begin * width : nullptr;
      };
      ActivateBackward(activation, rows(gate), rows(up), rows(dout), (end - begin) * width,
                       rows(dgate), rows(dup));
    });
    return {at::Tensor(), dgate, dup};
  }
};

}  // namespace

at::Tensor LinearOp(const at::Tensor& x_RK, const LinearParameters& linear,
                    const at::Tensor& examples) {
  // Else autograd would not come by, and the weight would learn nothing.
  ATTUNE_CHECK(x_RK.requires_grad() || !at::GradMode::is_enabled());
  return Linear::apply(x_RK, &linear, examples);
}

at::Tensor EmbeddingOp(const at::Tensor& root, const EmbeddingTable& table, const at::Tensor& ids) {
  return Embedding::apply(root, &table, ids);
}

at::Tensor NormParameters::Multiplier() const { return adds_one ? weight_K + 1 : weight_K; }

at::Tensor NormOp(const at::Tensor& x_RK, const NormParameters& norm) {
  return Normalise::apply(x_RK, &norm);
}

at::Tensor RopeOp(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  int64_t head_dim) {
  return Rotary::apply(x, cos, sin, head_dim);
}

at::Tensor AddOp(const at::Tensor& x, const at::Tensor& y) { return Sum::apply(x, y); }

at::Tensor ActivateOp(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  return Activated::apply(activation, gate,
                          up.defined() ? c10::optional<at::Tensor>(up) : c10::nullopt);
}

}  // namespace attune
