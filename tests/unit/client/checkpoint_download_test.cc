#include "client/checkpoint_download.h"

#include "common/digest.h"
#include "common/files.h"
#include "tests/unit/client/fake_job_service.h"

namespace attune {
namespace {

using testing::ElementsAre;

class CheckpointDownloadTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("checkpoint_download_test"));
    target_ = JoinPath(directory_, "model");
    server_ = StartFake(service_);
    client_ = std::make_unique<JobClient>(server_->address());
  }
  void TearDown() override { RemoveAll(directory_).IgnoreError(); }

  void AddFile(const std::string& name, const std::string& content, size_t chunk_size) {
    size_t offset = 0;
    do {
      v1::FileChunk chunk;
      chunk.set_file(name);
      chunk.set_offset(offset);
      chunk.set_data(content.substr(offset, chunk_size));
      chunk.set_size(content.size());
      offset += chunk.data().size();
      if (offset == content.size()) chunk.set_sha256(Sha256Hex(content));
      service_.chunks.push_back(chunk);
    } while (offset < content.size());
  }
  absl::StatusOr<DownloadedCheckpoint> Download() {
    return DownloadCheckpoint(*client_, "jobs/x", target_);
  }
  std::vector<std::string> Entries() const { return ListDirectory(directory_).value(); }

  FakeJobService service_;
  std::string directory_, target_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<JobClient> client_;
};

TEST_F(CheckpointDownloadTest, WritesAllFilesWhole) {
  AddFile("config.json", "{}", 100);
  AddFile("empty", "", 100);
  AddFile("sub/weights.bin", std::string(1000, 'w'), 300);
  ASSERT_OK_AND_ASSIGN(const DownloadedCheckpoint got, Download());
  EXPECT_EQ(got.directory, target_);
  EXPECT_EQ(got.files, 3u);
  EXPECT_EQ(got.bytes, 1002u);
  EXPECT_EQ(ReadFile(JoinPath(target_, "sub/weights.bin")).value(), std::string(1000, 'w'));
  EXPECT_THAT(ListDirectory(target_).value(), ElementsAre("config.json", "empty", "sub"));
  EXPECT_THAT(Entries(), ElementsAre("model"));
}

TEST_F(CheckpointDownloadTest, FillsAnEmptyDirectoryButNoOther) {
  AddFile("config.json", "{}", 100);
  ASSERT_OK(CreateDirectories(target_));
  EXPECT_OK(Download());
  EXPECT_THAT(Download(), StatusIs(absl::StatusCode::kFailedPrecondition, "is not empty"));
}

TEST_F(CheckpointDownloadTest, AWrongDigestLeavesNothing) {
  AddFile("config.json", "{}", 100);
  AddFile("weights.bin", "right", 100);
  service_.chunks.back().set_data("wrong");
  EXPECT_THAT(Download(),
              StatusIs(absl::StatusCode::kDataLoss, "weights.bin arrived with 5 bytes"));
  EXPECT_THAT(Entries(), ElementsAre());
}

TEST_F(CheckpointDownloadTest, AMissingPartLeavesNothing) {
  AddFile("weights.bin", std::string(1000, 'w'), 300);
  const v1::FileChunk second = service_.chunks[1];
  service_.chunks.erase(service_.chunks.begin() + 1);
  EXPECT_THAT(Download(), StatusIs(absl::StatusCode::kDataLoss, "has a gap: expected byte 300"));
  service_.chunks.insert(service_.chunks.begin() + 1, second);
  service_.chunks.pop_back();
  EXPECT_THAT(Download(), StatusIs(absl::StatusCode::kDataLoss, "ended within weights.bin"));
  service_.chunks.clear();
  EXPECT_THAT(Download(), StatusIs(absl::StatusCode::kDataLoss, "without files"));
  EXPECT_THAT(Entries(), ElementsAre());
}

TEST_F(CheckpointDownloadTest, NamesThatLeadElsewhereAreRefused) {
  for (const std::string name : {"../evil", "/evil", "a/../../evil", "a//b", "", "."}) {
    service_.chunks.clear();
    AddFile(name, "x", 100);
    EXPECT_THAT(Download(), StatusIs(absl::StatusCode::kDataLoss, "not below its directory"));
  }
  EXPECT_THAT(Entries(), ElementsAre());
}

}  // namespace
}  // namespace attune
