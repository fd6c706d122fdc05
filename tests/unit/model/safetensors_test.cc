#include "model/safetensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
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
    EXPECT_OK(RemoveAll(path_));  // not overwritten: an earlier one may still be mapped
    std::ofstream(path_, std::ios::binary) << bytes;
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
  ASSERT_OK(
      WriteSafetensors(path_, {{"z", {2, 3}, ViewOf(a.data())}, {"a", {1}, ViewOf(b.data())}}));
  ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::Open(path_));
  const SafetensorsIndex& index = file->index();
  ASSERT_EQ(2u, index.size());
  EXPECT_EQ(std::vector<int64_t>({2, 3}), index.at("z").shape);
  EXPECT_EQ(6, index.at("z").size);
  std::vector<float> values(6);
  file->View(index.at("z")).Read(6, values.data());
  EXPECT_EQ(a, values);
  EXPECT_EQ(-0.5f, file->View(index.at("a")).At(0));
}

TEST_F(SafetensorsTest, ReleasedValuesCanStillBeRead) {
  const std::vector<float> a = RandomFloats(10'000, 1);
  ASSERT_OK(WriteSafetensors(path_, {{"a", {10'000}, ViewOf(a.data())}}));
  ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::Open(path_));
  const StoredTensor& tensor = file->index().at("a");
  const TensorView view = file->View(tensor);
  for (int i = 0; i < 2; ++i) {
    std::vector<float> values(10'000);
    view.Read(10'000, values.data());
    EXPECT_EQ(a, values);
    file->Release(tensor);
  }
}

// Worked out by hand from the format of the reference library: the metadata first, types from F32
// to BF16 to F16, names in order, no white space but the padding of the header.
TEST_F(SafetensorsTest, WritesTheBytesOfTheReferenceLibrary) {
  const std::vector<float> f = {1, 2};
  const std::vector<uint16_t> h = {0x3c00, 0x3c01, 0x3c02};
  const auto bits = [&](TensorType type, int from) {
    return TensorView{type, reinterpret_cast<const char*>(&h[from])};
  };
  ASSERT_OK(WriteSafetensors(path_, {{"a", {1}, bits(TensorType::kF16, 0)},
                                     {"b", {1, 1}, bits(TensorType::kBf16, 1)},
                                     {"d", {1}, ViewOf(&f[1])},
                                     {"c", {}, ViewOf(&f[0])},
                                     {"e.e", {0}, bits(TensorType::kF16, 2)}}));
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("c":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("d":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
                             R"("b":{"dtype":"BF16","shape":[1,1],"data_offsets":[8,10]},)"
                             R"("a":{"dtype":"F16","shape":[1],"data_offsets":[10,12]},)"
                             R"("e.e":{"dtype":"F16","shape":[0],"data_offsets":[12,12]}})";
  ASSERT_EQ(2u, header.size() % 8);
  EXPECT_EQ(FileOf(header + "      ", std::string("\0\0\x80\x3f\0\0\0\x40\x01\x3c\0\x3c", 12)),
            *ReadFile(path_));
}

// The file is one that save_pretrained wrote.
TEST_F(SafetensorsTest, RewritesAFileToTheSameBytes) {
  const std::string original = ATTUNE_SOURCE_DIR "/models/stories260k/model.safetensors";
  ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::Open(original));
  std::vector<TensorToStore> tensors;
  for (const auto& [name, tensor] : file->index()) {
    tensors.push_back({name, tensor.shape, file->View(tensor)});
  }
  std::reverse(tensors.begin(), tensors.end());
  ASSERT_OK(WriteSafetensors(path_, tensors));
  EXPECT_TRUE(*ReadFile(original) == *ReadFile(path_));
}

// Every 16 bits there are: NaNs with their payloads, -0, subnormals.
TEST_F(SafetensorsTest, KeepsEveryBitOfTheValues) {
  std::vector<uint16_t> halves(1 << 16);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const std::vector<uint32_t> words = {0x7f800001, 0xffc12345, 0x80000000, 0x00000001, 0xff800000};
  const char* const half_bytes = reinterpret_cast<const char*>(halves.data());
  const char* const word_bytes = reinterpret_cast<const char*>(words.data());
  ASSERT_OK(WriteSafetensors(path_, {{"bf16", {1 << 16}, {TensorType::kBf16, half_bytes}},
                                     {"f16", {256, 256}, {TensorType::kF16, half_bytes}},
                                     {"f32", {5}, {TensorType::kF32, word_bytes}}}));
  ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::Open(path_));
  const auto bytes_of = [&](const char* name) {
    const StoredTensor& tensor = file->index().at(name);
    return absl::string_view(file->View(tensor).bytes, tensor.end - tensor.begin);
  };
  EXPECT_EQ(absl::string_view(half_bytes, 1 << 17), bytes_of("bf16"));
  EXPECT_EQ(absl::string_view(half_bytes, 1 << 17), bytes_of("f16"));
  EXPECT_EQ(absl::string_view(word_bytes, 20), bytes_of("f32"));
  EXPECT_EQ(TensorType::kF16, file->View(file->index().at("f16")).type);
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
  file->View(index.at("h")).Read(6, out.data());
  EXPECT_EQ(std::vector<float>({1, -2, 0x1p-24f, 65504, INFINITY, 0}), out);
  EXPECT_TRUE(std::signbit(out[5]));
  file->View(index.at("b")).Read(2, out.data());
  EXPECT_EQ(1, out[0]);
  EXPECT_EQ(-2, out[1]);
}

TEST_F(SafetensorsTest, KnowsTypesThatWeightsAreNotReadFrom) {
  ASSERT_OK_AND_ASSIGN(const auto file,
                       Read(FileOf(R"({"mask":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},)"
                                   R"("ids":{"dtype":"I64","shape":[1],"data_offsets":[3,11]}})",
                                   std::string(11, 'x'))));
  EXPECT_FALSE(file->index().at("mask").type.has_value());
  EXPECT_EQ("I64", file->index().at("ids").dtype);
}

TEST_F(SafetensorsTest, RefusesADamagedHeader) {
  ExpectRefused("", "0 bytes long");
  ExpectRefused("1234567", "7 bytes long");
  ExpectRefused(std::string(8, '\xff'), "header would be 18446744073709551615 bytes");
  ExpectRefused(FileOf("{", ""), "syntax error at byte 9");
  ExpectRefused(FileOf(R"({"a" 3})", ""), "syntax error at byte 13");
  ExpectRefused(FileOf(R"({"__metadata__":3})", ""), "__metadata__ is not an object of strings");
  ExpectRefused(FileOf(R"({"__metadata__":{"a":3}})", ""), "__metadata__ is not an object");
  ExpectRefused(FileOf("[]", ""), "not a JSON object");
  ExpectRefused(FileOf(std::string(1 << 20, '['), ""), "nested deeper than");
  ExpectRefused(FileOf("{}", "abcd"), "end at byte 0 of 4");
}

TEST_F(SafetensorsTest, RefusesImpossibleTensorsByName) {
  const auto one = [](const std::string& entry) {
    return FileOf("{\"w\":" + entry + "}", std::string(8, 'x'));
  };
  ExpectRefused(one("3"), "tensor w: it is not an object");
  ExpectRefused(one(R"({"shape":[2],"data_offsets":[0,8]})"), "tensor w: it has no dtype");
  ExpectRefused(one(R"({"dtype":"F4","shape":[8],"data_offsets":[0,8]})"),
                "tensor w: dtype \"F4\" is not known");
  ExpectRefused(one(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"), "shape is not a list");
  ExpectRefused(one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "impossible");
  ExpectRefused(one(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,8]})"), "impossible");
  ExpectRefused(one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
                "impossible");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2305843009213693952],"data_offsets":[0,0]})"),
                "span 0 bytes");
  ExpectRefused(one(R"({"dtype":"F32","shape":[0,3],"data_offsets":[0,8]})"), "span 8 bytes");
  ExpectRefused(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
                "tensor w: data_offsets span 8 bytes, which the shape [3] of F32 does not have");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2]})"), "data_offsets is not a pair");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), "not a pair");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "lie outside");
  ExpectRefused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"), "lie outside");
  ExpectRefused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"),
                "tensor w begins at byte 4 of the values, but there is a gap after byte 0");
  ExpectRefused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})"), "byte 4 of 8");
}

TEST_F(SafetensorsTest, RefusesOverlapsAndRepeatedNames) {
  ExpectRefused(FileOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                       std::string(8, 'x')),
                "tensor b begins at byte 4 of the values, but it overlaps the one before, which "
                "ends at 8");
  ExpectRefused(FileOf(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                       std::string(4, 'x')),
                "the name \"a\" stands twice");
  ExpectRefused(FileOf(R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})",
                       std::string(4, 'x')),
                "the name \"shape\" stands twice");
}

TEST_F(SafetensorsTest, AllowsTensorsWithoutElements) {
  ASSERT_OK_AND_ASSIGN(const auto file,
                       Read(FileOf(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                   R"("b":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},)"
                                   R"("c":{"dtype":"F16","shape":[0],"data_offsets":[0,0]}})",
                                   std::string(4, 'x'))));
  EXPECT_EQ(0, file->index().at("b").size);
}

TEST_F(SafetensorsTest, SurvivesTruncationsAndFlippedBits) {
  const std::vector<float> values = RandomFloats(12, 1);
  ASSERT_OK(
      WriteSafetensors(path_, {{"a", {2, 3}, ViewOf(&values[0])}, {"b", {6}, ViewOf(&values[6])}}));
  const std::string good = *ReadFile(path_);
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
      ASSERT_LE(tensor.end, good.size()) << name;
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
