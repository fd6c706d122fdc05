#include "model/safetensors.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "common/files.h"
#include "common/rng.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

std::string FileOf(const std::string& header, const std::string& values) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + values;
}

class SafetensorsTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<const SafetensorsFile>> Read(const std::string& bytes) {
    EXPECT_OK(WriteFileAtomically(path_, bytes));  // an earlier one may still be mapped
    return SafetensorsFile::Open(path_);
  }
  void ExpectRefused(const std::string& bytes, const std::string& words) {
    const absl::Status status = Read(bytes).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, words));
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, path_));
  }

  ScratchDirectory directory_;
  const std::string path_ = directory_.File("x.safetensors");
};

TEST_F(SafetensorsTest, ReadsBackWhatItWrites) {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {-0.5f};
  ASSERT_OK_AND_ASSIGN(const auto file,
                       Read(SerializeSafetensors({{"z", {2, 3}, a}, {"a", {1}, b}})));
  const SafetensorsIndex& index = file->index();
  ASSERT_EQ(2u, index.size());
  EXPECT_EQ(std::vector<int64_t>({2, 3}), index.at("z").shape);
  EXPECT_EQ(0u, index.at("z").file_begin % 8);
  std::vector<float> values(6);
  file->Read(index.at("z"), values.data());
  EXPECT_EQ(a, values);
  file->Read(index.at("a"), values.data());
  EXPECT_EQ(-0.5f, values[0]);
}

TEST_F(SafetensorsTest, ConvertsHalfPrecision) {
  const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000};
  const uint16_t brain[] = {0x3f80, 0xc000};
  std::string values(reinterpret_cast<const char*>(half), sizeof(half));
  values.append(reinterpret_cast<const char*>(brain), sizeof(brain));
  ASSERT_OK_AND_ASSIGN(const auto file,
                       Read(FileOf(R"({"h":{"dtype":"F16","shape":[6],"data_offsets":[0,12]},)"
                                   R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]}})",
                                   values)));
  const SafetensorsIndex& index = file->index();
  std::vector<float> out(6);
  file->Read(index.at("h"), out.data());
  EXPECT_EQ(std::vector<float>({1, -2, 0x1p-24f, 65504, INFINITY, 0}), out);
  EXPECT_TRUE(std::signbit(out[5]));
  file->Read(index.at("b"), out.data());
  EXPECT_EQ(1, out[0]);
  EXPECT_EQ(-2, out[1]);
}

TEST_F(SafetensorsTest, RefusesADamagedHeader) {
  ExpectRefused("", "0 bytes long");
  ExpectRefused("1234567", "7 bytes long");
  ExpectRefused(std::string(8, '\xff'), "header would be 18446744073709551615 bytes");
  ExpectRefused(FileOf("{", ""), "not a JSON object");
  ExpectRefused(FileOf("[]", ""), "not a JSON object");
  ExpectRefused(FileOf(std::string(1 << 20, '['), ""), "not a JSON object");
  ExpectRefused(FileOf(R"({"a":{"x":[[[[[1]]]]]}})", ""), "not a JSON object");
  ExpectRefused(FileOf("{}", "abcd"), "end at byte 0 of 4");
}

TEST_F(SafetensorsTest, RefusesImpossibleTensorsByName) {
  const auto one = [](const std::string& entry) {
    return FileOf("{\"w\":" + entry + "}", std::string(8, 'x'));
  };
  ExpectRefused(one("3"), "tensor w is not an object");
  ExpectRefused(one(R"({"shape":[2],"data_offsets":[0,8]})"), "tensor w: dtype is \"\"");
  ExpectRefused(one(R"({"dtype":"I8","shape":[8],"data_offsets":[0,8]})"), "dtype is \"I8\"");
  ExpectRefused(one(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"), "shape is not a list");
  ExpectRefused(one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "impossible");
  ExpectRefused(one(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,8]})"), "impossible");
  ExpectRefused(one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
                "impossible");
  ExpectRefused(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), "span 8 bytes");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2]})"), "data_offsets is not a pair");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), "not a pair");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "lie outside");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"), "lie outside");
  ExpectRefused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"), "gap at byte 0");
  ExpectRefused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})"), "byte 4 of 8");
}

TEST_F(SafetensorsTest, RefusesOverlapsAndRepeatedNames) {
  ExpectRefused(FileOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                       std::string(8, 'x')),
                "overlap at byte 4");
  ExpectRefused(FileOf(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                       std::string(4, 'x')),
                "tensor a is listed twice");
}

TEST_F(SafetensorsTest, SurvivesTruncationsAndFlippedBits) {
  const std::vector<float> values = RandomFloats(12, 1);
  const std::string good =
      SerializeSafetensors({{"a", {2, 3}, absl::MakeConstSpan(values).subspan(0, 6)},
                            {"b", {6}, absl::MakeConstSpan(values).subspan(6)}});
  for (size_t size = 0; size < good.size(); size += 2) {
    EXPECT_FALSE(Read(good.substr(0, size)).ok()) << size;
  }
  const size_t header_end = good.size() - values.size() * sizeof(float);
  for (size_t bit = 0; bit < header_end * 8; bit += 3) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    const auto file = Read(bad);
    if (!file.ok()) continue;  // a letter of a name may change unnoticed; values stay inside
    for (const auto& [name, tensor] : (*file)->index()) {
      ASSERT_LE(tensor.file_begin + tensor.size * 2, good.size()) << name;
    }
  }
}

TEST_F(SafetensorsTest, SurvivesRandomHeaders) {
  const std::string alphabet = R"({}[]":,0123456789-.eEaFdtyps_\u)";
  const CounterRng rng({7});
  for (uint64_t i = 0; i < 300; ++i) {
    std::string header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    for (uint64_t j = 0; j < 1 + i % 5; ++j) {
      header[rng.Below(10 * i + 2 * j, header.size())] =
          alphabet[rng.Below(10 * i + 2 * j + 1, alphabet.size())];
    }
    const absl::Status status = Read(FileOf(header, "abcd")).status();
    if (status.ok()) continue;
    ASSERT_EQ(absl::StatusCode::kInvalidArgument, status.code()) << header;
  }
}

}  // namespace
}  // namespace attune
