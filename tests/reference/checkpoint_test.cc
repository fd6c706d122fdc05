#include "tests/reference/checkpoint.h"

#include <cstdint>
#include <cstring>

#include "common/files.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(CheckpointTest, RoundsToTheNearestWithTiesToEven) {
  EXPECT_EQ(static_cast<double>(0.1f), RoundTo("F32", 0.1));
  EXPECT_EQ(1.0, RoundTo("BF16", 1 + 0x1.0p-8));
  EXPECT_EQ(1 + 0x1.0p-6, RoundTo("BF16", 1 + 0x1.8p-7));
  EXPECT_EQ(1 + 0x1.0p-10, RoundTo("F16", 1 + 0x1.2p-11));
  EXPECT_EQ(0x1.0p-24, RoundTo("F16", 0x1.2p-24));  // the smallest subnormal
}

// Bits of known numbers, one after the other in the file's data.
TEST(CheckpointTest, StoresTheBitsOfTheFormat) {
  const std::string directory = MakeTemporaryDirectory("attune-checkpoint").value();
  const ReferenceTensors tensors = {{"x", {{2, 2}, {1, -2, 0.5, 0x1.0p-24}}}};
  WriteCheckpoint(directory, {{"model_type", "none"}}, tensors, "F16");
  const std::string file = ReadFile(JoinPath(directory, "model.safetensors")).value();
  const uint8_t expected[] = {0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, 0x01, 0x00};
  EXPECT_EQ(0, std::memcmp(expected, file.data() + file.size() - 8, 8));
  EXPECT_EQ(tensors.at("x").values, ReadTensors(directory).at("x").values);

  WriteCheckpoint(directory, {{"model_type", "none"}}, {{"x", {{1}, {0.1}}}}, "F32");
  const std::string single = ReadFile(JoinPath(directory, "model.safetensors")).value();
  const float value = 0.1f;
  EXPECT_EQ(0, std::memcmp(&value, single.data() + single.size() - 4, 4));
  RemoveAll(directory).IgnoreError();
}

}  // namespace
}  // namespace attune
