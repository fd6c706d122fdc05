#include "worker/checkpointed_op.h"

#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/custom_function.h>

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Part = std::function<at::Tensor(const at::Tensor&)>;

// As a context holds it.
struct KeptPart : torch::CustomClassHolder {
  explicit KeptPart(Part part) : run(std::move(part)) {}
  const Part run;
};

struct Checkpointed : Function<Checkpointed> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<KeptPart>& part) {
    context->save_for_backward({x});
    context->saved_data["part"] = c10::IValue::make_capsule(part);
    return part->run(x);  // autograd is off in here
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto part =
        c10::static_intrusive_pointer_cast<KeptPart>(context->saved_data["part"].toCapsule());
    at::Tensor x = context->get_saved_variables()[0].detach();
    x.set_requires_grad(true);
    const at::AutoGradMode on(true);
    part->run(x).backward(gradients[0]);
    return {x.grad(), at::Tensor()};
  }
};

}  // namespace

at::Tensor CheckpointedOp(std::function<at::Tensor(const at::Tensor&)> part, const at::Tensor& x) {
  return Checkpointed::apply(x, c10::make_intrusive<KeptPart>(std::move(part)));
}

}  // namespace attune
