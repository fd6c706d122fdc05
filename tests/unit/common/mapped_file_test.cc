#include "common/mapped_file.h"

#include <string>

#include "common/files.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

class MappedFileTest : public testing::Test {
 protected:
  MappedFileTest() : directory_(MakeTemporaryDirectory("mapped-file-test").value()) {}
  ~MappedFileTest() override { EXPECT_OK(RemoveAll(directory_)); }

  const std::string directory_;
};

TEST_F(MappedFileTest, ShowsTheBytesOfTheFile) {
  const std::string path = JoinPath(directory_, "f");
  const std::string bytes = std::string(10'000, 'x') + "end";
  ASSERT_OK(WriteFile(path, bytes));
  ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(path));
  EXPECT_EQ(file->bytes(), bytes);
}

TEST_F(MappedFileTest, KeepsTheOldBytesWhenTheFileIsReplaced) {
  const std::string path = JoinPath(directory_, "f");
  ASSERT_OK(WriteFile(path, "old"));
  ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(path));
  ASSERT_OK(WriteFileAtomically(path, "n"));
  EXPECT_EQ(file->bytes(), "old");
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  const std::string path = JoinPath(directory_, "f");
  ASSERT_OK(WriteFile(path, ""));
  ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(path));
  EXPECT_EQ(file->bytes(), "");
}

TEST_F(MappedFileTest, ReleasedBytesAreReadAgain) {
  const std::string path = JoinPath(directory_, "f");
  const std::string bytes = std::string(20'000, 'x') + "end";
  ASSERT_OK(WriteFile(path, bytes));
  ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(path));
  EXPECT_EQ(file->bytes(), bytes);
  file->Release(5, 5);
  file->Release(10, 15'000);
  file->Release(0, bytes.size());
  EXPECT_EQ(file->bytes(), bytes);
}

TEST_F(MappedFileTest, NamesAMissingFile) {
  EXPECT_THAT(MappedFile::Open(JoinPath(directory_, "none")),
              StatusIs(absl::StatusCode::kNotFound, "none"));
}

}  // namespace
}  // namespace attune
