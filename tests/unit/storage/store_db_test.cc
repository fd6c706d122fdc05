// Locks, versions and damage: what opening a directory says about it.
#include "storage/store_db.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "storage/keys.h"
#include "storage/store.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/storage/temporary_store.h"

namespace attune {
namespace {

using absl::StatusCode;

class StoreDbTest : public StoreFixture {
 protected:
  // One value past the typed interface.
  void PutRaw(ColumnFamily family, const std::string& key, const std::string& value) {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<StoreDb> db, StoreDb::Open(directory_));
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch.Put(db->family(family), key, value).ok());
    ASSERT_OK(db->Commit(batch));
  }

  // A store with one job and three rounds, all of it in the log only.
  void Fill(Store& store) {
    ASSERT_OK(store.CreateJob(MakeJob("a"), "request"));
    for (uint32_t round : {1u, 2u, 3u}) {
      const v1::RoundRecord record = MakeRound(round);
      Commit commit{.round = &record, .events = {MakeEvent(round + 1)}};
      for (uint32_t i = 0; i < 20; ++i) {
        commit.pairs.push_back(MakePair(round, i, std::string(1000, 'x')));
      }
      ASSERT_OK(store.Write(1, commit));
    }
  }
};

void FlipByte(const std::string& path, uint64_t offset) {
  ASSERT_OK_AND_ASSIGN(std::string bytes, ReadFile(path));
  ASSERT_LT(offset, bytes.size());
  bytes[offset] = static_cast<char>(~bytes[offset]);
  ASSERT_OK(WriteFile(path, bytes));
}

TEST_F(StoreDbTest, MissingDirectoriesAreCreated) {
  directory_ = JoinPath(root_, "a/b/c");
  EXPECT_NE(OpenStore(), nullptr);
}

TEST_F(StoreDbTest, ASecondOpenIsRefusedWithTheDirectory) {
  const std::unique_ptr<Store> store = OpenStore();
  EXPECT_THAT(Store::Open(directory_), StatusIs(StatusCode::kFailedPrecondition, directory_));
}

TEST_F(StoreDbTest, ADirectoryThatCannotBeCreatedIsNamed) {
  const std::string file = JoinPath(root_, "file");
  ASSERT_OK(WriteFile(file, "x"));
  const absl::Status status = Store::Open(JoinPath(file, "store")).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(file));
}

TEST_F(StoreDbTest, ANewerSchemaIsRefused) {
  OpenStore();
  PutRaw(ColumnFamily::kMeta, std::string(kSchemaVersionKey), EncodeU64(kSchemaVersion + 1));
  EXPECT_THAT(Store::Open(directory_),
              StatusIs(StatusCode::kFailedPrecondition, "newer version of Attune"));
}

// As version 1 wrote it: without the held-out responses.
TEST_F(StoreDbTest, AnOlderStoreIsBroughtUpToDate) {
  { ASSERT_OK(OpenStore()->CreateJob(MakeJob("a"), "")); }
  {
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, directory_, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (const std::string& name : names) descriptors.push_back({name, {}});
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, directory_, descriptors, &handles, &db).ok());
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      if (handle->GetName() == "holdout_responses") {
        ASSERT_TRUE(db->DropColumnFamily(handle).ok());
      }
      db->DestroyColumnFamilyHandle(handle);
    }
    delete db;
  }
  PutRaw(ColumnFamily::kMeta, std::string(kSchemaVersionKey), EncodeU64(1));
  const std::unique_ptr<Store> store = OpenStore();
  ASSERT_NE(store, nullptr);
  EXPECT_OK(store->GetJob("jobs/a"));
  EXPECT_THAT(*store->ListHoldoutResponses(1, 0), testing::IsEmpty());
}

TEST_F(StoreDbTest, AnUnknownColumnFamilyIsRefused) {
  OpenStore();
  {
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, directory_, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (const std::string& name : names) descriptors.push_back({name, {}});
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, directory_, descriptors, &handles, &db).ok());
    rocksdb::ColumnFamilyHandle* added = nullptr;
    ASSERT_TRUE(db->CreateColumnFamily({}, "lineage", &added).ok());
    handles.push_back(added);
    for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
    delete db;
  }
  EXPECT_THAT(Store::Open(directory_), StatusIs(StatusCode::kFailedPrecondition, "'lineage'"));
}

TEST_F(StoreDbTest, JobsWithoutASchemaVersionAreDamage) {
  PutRaw(ColumnFamily::kJobs, OrdinalKey(1), MakeJob("a").SerializeAsString());
  EXPECT_THAT(Store::Open(directory_), StatusIs(StatusCode::kDataLoss, "schema version"));
}

TEST_F(StoreDbTest, AValueThatIsNoMessageIsDamageOfThatKey) {
  { ASSERT_OK(OpenStore()->CreateJob(MakeJob("a"), "")); }
  PutRaw(ColumnFamily::kPairs, RoundItemKey(1, 2, 3), "\xff\xff\xff");
  const std::unique_ptr<Store> store = OpenStore();
  EXPECT_THAT(store->GetPair(1, 2, 3),
              StatusIs(StatusCode::kDataLoss, "pairs, key 00000000000000010000000200000003"));
  EXPECT_THAT(store->VisitPairs(1, 2, [](const v1::Pair&) { return true; }),
              StatusIs(StatusCode::kDataLoss, "attune.v1.Pair"));
}

TEST_F(StoreDbTest, ANameThatRefersToNothingIsDamage) {
  { OpenStore(); }
  PutRaw(ColumnFamily::kJobNames, "jobs/a", EncodeU64(5));
  EXPECT_THAT(OpenStore()->GetJob("jobs/a"), StatusIs(StatusCode::kDataLoss, "missing"));
}

TEST_F(StoreDbTest, TheStateOfACrashOpensWithAllThatWasAcknowledged) {
  const std::unique_ptr<Store> store = OpenStore();
  Fill(*store);
  ASSERT_OK_AND_ASSIGN(const auto crashed, Store::Open(CopyOfStore("crashed")));
  EXPECT_EQ(crashed->ListRounds(1)->size(), 3);
  EXPECT_EQ(*crashed->LastEventSequence(1), 4);
  EXPECT_EQ(crashed->CreateJob(MakeJob("b"), "request")->name(), "jobs/a");
}

// Wherever the log is cut off, what is left is a whole number of commits.
TEST_F(StoreDbTest, ATornLogLosesWholeCommitsFromTheEnd) {
  const std::unique_ptr<Store> store = OpenStore();
  Fill(*store);
  const std::string log = OnlyFile(directory_, ".log");
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(log));
  std::vector<size_t> rounds_seen;
  for (size_t cut = 1; cut < bytes.size(); cut += bytes.size() / 23) {
    const std::string copy = CopyOfStore(absl::StrCat("cut-", cut));
    ASSERT_OK(WriteFile(JoinPath(copy, BaseName(log)), bytes.substr(0, bytes.size() - cut)));
    ASSERT_OK_AND_ASSIGN(const auto torn, Store::Open(copy));
    ASSERT_OK_AND_ASSIGN(const auto rounds, torn->ListRounds(1));
    for (const v1::RoundRecord& round : rounds) {
      EXPECT_TRUE(torn->GetPair(1, round.round(), 19)->has_value());
    }
    const bool has_job = torn->GetJob("jobs/a").ok();
    EXPECT_EQ(*torn->LastEventSequence(1), has_job ? rounds.size() + 1 : 0);
    EXPECT_FALSE(torn->GetPair(1, rounds.size() + 1, 0)->has_value());
    rounds_seen.push_back(rounds.size());
  }
  EXPECT_EQ(rounds_seen.front(), 2);
  EXPECT_EQ(rounds_seen.back(), 0);
}

TEST_F(StoreDbTest, DamageInTheLogIsDataLoss) {
  {
    const std::unique_ptr<Store> store = OpenStore();
    Fill(*store);
    directory_ = CopyOfStore("damaged");
  }
  const std::string log = OnlyFile(directory_, ".log");
  FlipByte(log, *FileSize(log) / 3);
  EXPECT_THAT(Store::Open(directory_), StatusIs(StatusCode::kDataLoss, directory_));
}

TEST_F(StoreDbTest, DamageInATableIsDataLoss) {
  {
    const std::unique_ptr<Store> store = OpenStore();
    Fill(*store);
  }
  OpenStore();  // moves the log into tables
  ASSERT_OK_AND_ASSIGN(const auto files, ListDirectory(directory_));
  for (const std::string& file : files) {
    if (file.find(".sst") != std::string::npos) FlipByte(JoinPath(directory_, file), 30);
  }
  const auto store = Store::Open(directory_);
  const absl::Status status = store.ok() ? (*store)->GetJob("jobs/a").status() : store.status();
  EXPECT_THAT(status, StatusIs(StatusCode::kDataLoss, directory_));
}

TEST_F(StoreDbTest, AMissingFileIsDataLoss) {
  {
    const std::unique_ptr<Store> store = OpenStore();
    Fill(*store);
  }
  OpenStore();
  ASSERT_OK_AND_ASSIGN(const auto files, ListDirectory(directory_));
  for (const std::string& file : files) {
    const bool needed =
        file == "CURRENT" || file.find("MANIFEST") == 0 || file.find(".sst") != std::string::npos;
    if (!needed) continue;
    const std::string copy = CopyOfStore(absl::StrCat("without-", file));
    ASSERT_OK(RemoveAll(JoinPath(copy, file)));
    EXPECT_THAT(Store::Open(copy), StatusIs(StatusCode::kDataLoss, copy)) << file;
  }
}

}  // namespace
}  // namespace attune
