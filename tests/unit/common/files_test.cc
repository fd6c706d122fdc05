#include "common/files.h"

#include <sys/stat.h>

#include <string>
#include <vector>

#include "common/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using ::testing::ElementsAre;

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("files-test"));
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }
  std::string Path(const std::string& name) const { return JoinPath(directory_, name); }

  std::string directory_;
};

TEST_F(FilesTest, ReadsWhatWasWritten) {
  const std::string bytes("a\0b\n\xff", 5);
  ASSERT_OK(WriteFile(Path("f"), bytes));
  ASSERT_OK_AND_ASSIGN(const std::string read, ReadFile(Path("f")));
  EXPECT_EQ(read, bytes);
  ASSERT_OK_AND_ASSIGN(const uint64_t size, FileSize(Path("f")));
  EXPECT_EQ(size, 5u);
  ASSERT_OK(WriteFile(Path("f"), "z"));
  ASSERT_OK_AND_ASSIGN(const std::string shorter, ReadFile(Path("f")));
  EXPECT_EQ(shorter, "z");
}

TEST_F(FilesTest, WritesPartsOneAfterTheOther) {
  ASSERT_OK(WriteFileParts(Path("f"), {"ab", "", "c"}));
  ASSERT_OK_AND_ASSIGN(const std::string read, ReadFile(Path("f")));
  EXPECT_EQ(read, "abc");
  ASSERT_OK(WriteFileParts(Path("f"), {}));
  ASSERT_OK_AND_ASSIGN(const uint64_t size, FileSize(Path("f")));
  EXPECT_EQ(size, 0u);
}

TEST_F(FilesTest, RangesEndWithTheFile) {
  ASSERT_OK(WriteFile(Path("f"), "0123456789"));
  ASSERT_OK_AND_ASSIGN(const std::string middle, ReadFileRange(Path("f"), 3, 4));
  EXPECT_EQ(middle, "3456");
  ASSERT_OK_AND_ASSIGN(const std::string tail, ReadFileRange(Path("f"), 8, 100));
  EXPECT_EQ(tail, "89");
  ASSERT_OK_AND_ASSIGN(const std::string beyond, ReadFileRange(Path("f"), 11, 1));
  EXPECT_EQ(beyond, "");
}

TEST_F(FilesTest, StampTellsAReplacedFileFromTheOldOne) {
  ASSERT_OK(WriteFile(Path("f"), "old"));
  ASSERT_OK_AND_ASSIGN(const std::string old_stamp, FileStamp(Path("f")));
  ASSERT_OK_AND_ASSIGN(const std::string same, FileStamp(Path("f")));
  EXPECT_EQ(same, old_stamp);
  ASSERT_OK(WriteFileAtomically(Path("f"), "new"));
  ASSERT_OK_AND_ASSIGN(const std::string replaced, FileStamp(Path("f")));
  EXPECT_NE(replaced, old_stamp);
  EXPECT_THAT(FileStamp(Path("absent")), StatusIs(absl::StatusCode::kNotFound, "absent"));
}

TEST_F(FilesTest, ErrorsNameThePathAndTheReason) {
  EXPECT_THAT(ReadFile(Path("absent")),
              StatusIs(absl::StatusCode::kNotFound, Path("absent") + ": No such file"));
  EXPECT_THAT(ListDirectory(Path("absent")), StatusIs(absl::StatusCode::kNotFound, "absent"));
  EXPECT_THAT(WriteFile(Path("no/such/f"), ""), StatusIs(absl::StatusCode::kNotFound, "no/such/f"));
  EXPECT_THAT(Rename(Path("absent"), Path("x")), StatusIs(absl::StatusCode::kNotFound, "absent"));
}

TEST_F(FilesTest, KnowsFilesFromDirectories) {
  ASSERT_OK(WriteFile(Path("f"), ""));
  ASSERT_OK(CreateDirectories(Path("d/e")));
  EXPECT_TRUE(FileExists(Path("f")));
  EXPECT_FALSE(FileExists(Path("d")));
  EXPECT_FALSE(FileExists(Path("absent")));
  EXPECT_TRUE(DirectoryExists(Path("d/e")));
  EXPECT_FALSE(DirectoryExists(Path("f")));
}

TEST_F(FilesTest, AtomicWriteLeavesNoTemporaryFile) {
  ASSERT_OK(WriteFileAtomically(Path("f"), "old"));
  ASSERT_OK(WriteFileAtomically(Path("f"), "new"));
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(Path("f")));
  EXPECT_EQ(bytes, "new");
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, ListDirectory(directory_));
  EXPECT_THAT(names, ElementsAre("f"));
}

TEST_F(FilesTest, FailedAtomicWriteKeepsTheOldContent) {
  ASSERT_OK(CreateDirectories(Path("d/inside")));  // a file cannot take a directory's name
  EXPECT_FALSE(WriteFileAtomically(Path("d"), "new").ok());
  EXPECT_TRUE(DirectoryExists(Path("d/inside")));
}

TEST_F(FilesTest, ListsSorted) {
  for (const char* name : {"b", "a", ".hidden", "c"}) ASSERT_OK(WriteFile(Path(name), ""));
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, ListDirectory(directory_));
  EXPECT_THAT(names, ElementsAre(".hidden", "a", "b", "c"));
}

TEST_F(FilesTest, CopiesAndRemoves) {
  ASSERT_OK(CreateDirectories(Path("d")));
  ASSERT_OK(WriteFile(Path("d/f"), "content"));
  ASSERT_OK(CopyFile(Path("d/f"), Path("d/g")));
  ASSERT_OK_AND_ASSIGN(const std::string copy, ReadFile(Path("d/g")));
  EXPECT_EQ(copy, "content");
  ASSERT_OK(RemoveAll(Path("d")));
  EXPECT_FALSE(DirectoryExists(Path("d")));
  EXPECT_OK(RemoveAll(Path("d")));  // nothing there is fine
}

TEST_F(FilesTest, PathsAreTextOnly) {
  EXPECT_EQ(JoinPath("a/b", "c"), "a/b/c");
  EXPECT_EQ(JoinPath("a/b/", "c"), "a/b/c");
  EXPECT_EQ(JoinPath("a", "/c"), "/c");
  EXPECT_EQ(ParentPath("/a/b/c"), "/a/b");
  EXPECT_EQ(BaseName("/a/b/c"), "c");
  EXPECT_EQ(AbsolutePath("../x/./y", "/base/dir"), "/base/x/y");
  EXPECT_EQ(AbsolutePath("/x/../y", "/base"), "/y");
  EXPECT_EQ(AbsolutePath("x").front(), '/');
}

TEST_F(FilesTest, TemporaryDirectoriesAreDistinct) {
  ASSERT_OK_AND_ASSIGN(const std::string other, MakeTemporaryDirectory("files-test"));
  EXPECT_NE(other, directory_);
  EXPECT_TRUE(DirectoryExists(other));
  ASSERT_OK(RemoveAll(other));
}

}  // namespace
}  // namespace attune
