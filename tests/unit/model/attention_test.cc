// Attention over pages (model/kernels.h, model/kv_cache.h).
#include <cstdio>
#include <vector>

#include "gtest/gtest.h"
#include "model/kernels.h"
#include "model/kernels_table.h"
#include "model/kv_cache.h"
#include "tests/unit/model/kernel_reference.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

constexpr int64_t kHeads = 6;
constexpr int64_t kKvHeads = 2;

// A sequence of random keys and values, in a cache and in rows.
struct Sequence {
  Sequence(int64_t length, int64_t head_dim, bool bf16)
      : layout(/*layers=*/2, kKvHeads, head_dim, bf16),
        keys(RandomFloats(length * kKvHeads * head_dim, 33, 3)),
        values(RandomFloats(length * kKvHeads * head_dim, 34)) {
    const int64_t width = kKvHeads * head_dim;
    for (int64_t t = 0; t < length; ++t) {
      cache.Prepare(layout, t);
      cache.Write(layout, /*layer=*/1, t, &keys[t * width], &values[t * width]);
    }
    arguments = {.first = 0,
                 .length = length,
                 .heads = kHeads,
                 .kv_heads = kKvHeads,
                 .head_dim = head_dim,
                 .scale = 0.31f,
                 .softcap = 0,
                 .bf16 = bf16,
                 .keys_offset = layout.keys_offset(1),
                 .values_offset = layout.values_offset(1)};
  }

  KvLayout layout;
  std::vector<float> keys;
  std::vector<float> values;
  KvCache cache;
  AttendArguments arguments;
};

std::vector<float> Attend(const Sequence& sequence, const std::vector<float>& q,
                          const KernelTable* kernels = nullptr) {
  std::vector<float> out(q.size());
  std::vector<float> scratch(AttendScratch(sequence.arguments));
  if (kernels == nullptr) {
    AttendRow(q.data(), sequence.cache.pages(), sequence.arguments, scratch.data(), out.data());
  } else {
    kernels->attend_row(q.data(), sequence.cache.pages(), sequence.arguments, scratch.data(),
                        out.data());
  }
  return out;
}

TEST(AttentionTest, IsCloseToDoublePrecision) {
  for (bool bf16 : {false, true}) {
    for (int64_t head_dim : {2, 7, 16, 20, 48, 64, 80, 128}) {
      for (int64_t length : {1, 2, 31, 32, 33, 97}) {
        for (float softcap : {0.0f, 5.0f}) {
          for (int64_t first : {int64_t{0}, length / 2, length - 1}) {
            Sequence sequence(length, head_dim, bf16);
            sequence.arguments.softcap = softcap;
            sequence.arguments.first = first;
            const std::vector<float> q = RandomFloats(kHeads * head_dim, 32, 1);
            const int64_t width = kKvHeads * head_dim;
            const absl::Span<const float> keys = absl::MakeConstSpan(sequence.keys);
            const absl::Span<const float> values = absl::MakeConstSpan(sequence.values);
            const reference::Vector wanted =
                reference::Attend(q, keys.subspan(first * width), values.subspan(first * width),
                                  length - first, width, sequence.arguments);
            const std::vector<float> out = Attend(sequence, q);
            for (size_t i = 0; i < out.size(); ++i) {
              ASSERT_NEAR(wanted[i], out[i], bf16 ? 0.1 : 2e-5) << head_dim << " " << length;
            }
          }
        }
      }
    }
  }
}

TEST(AttentionTest, EveryInstructionSetGivesTheSameBits) {
  for (const KernelTable* kernels : {&kAvx2Kernels, &kAvx512Kernels, &kAvx512Bf16Kernels}) {
    if (!CanRun(*kernels)) {
      std::printf("this machine cannot run the %s kernels\n", kernels->name);
      continue;
    }
    for (bool bf16 : {false, true}) {
      for (int64_t head_dim : {2, 7, 16, 20, 48, 64, 80}) {
        for (int64_t length : {1, 2, 31, 32, 33, 97}) {
          Sequence sequence(length, head_dim, bf16);
          sequence.arguments.first = length / 3;
          const std::vector<float> q = RandomFloats(kHeads * head_dim, 35);
          EXPECT_EQ(Attend(sequence, q, &kPortableKernels), Attend(sequence, q, kernels))
              << kernels->name << " " << bf16 << " " << head_dim << " " << length;
        }
      }
    }
  }
}

TEST(KvCacheTest, CopiesGoOnByThemselves) {
  const KvPages pages;
  const KvLayout layout(1, 1, 4, false);
  const std::vector<float> row = RandomFloats(4, 36);
  KvCache original(pages);
  for (int64_t t = 0; t < 40; ++t) {
    original.Prepare(layout, t);
    original.Write(layout, 0, t, row.data(), row.data());
  }
  EXPECT_EQ(2 * layout.page_bytes, pages.bytes());
  KvCache copy = original;
  EXPECT_EQ(2 * layout.page_bytes, pages.bytes()) << "pages are shared";
  EXPECT_TRUE(copy.NeedsPage(40));
  copy.Prepare(layout, 40);
  EXPECT_FALSE(copy.NeedsPage(41));
  EXPECT_EQ(copy.pages()[0], original.pages()[0]);
  EXPECT_NE(copy.pages()[1], original.pages()[1]) << "written to by both";
  EXPECT_EQ(3 * layout.page_bytes, pages.bytes());
  copy = KvCache(pages);
  original = KvCache(pages);
  EXPECT_EQ(0, pages.bytes());
}

}  // namespace
}  // namespace attune
