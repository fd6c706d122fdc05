#include "storage/store_db.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "rocksdb/cache.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/options.h"
#include "rocksdb/table.h"
#include "rocksdb/write_buffer_manager.h"

namespace attune {
namespace {

constexpr uint64_t kMiB = 1 << 20;
// Memory of the store: at most the write buffers, the block cache and one batch.
constexpr uint64_t kWriteBuffersBytesMax = 64 * kMiB;
constexpr uint64_t kBlockCacheBytes = 32 * kMiB;
constexpr uint64_t kBatchBytesMax = 1024 * kMiB;

rocksdb::Slice ToSlice(absl::string_view bytes) { return {bytes.data(), bytes.size()}; }
absl::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status FromRocksDb(const rocksdb::Status& status, absl::string_view attempt,
                         const std::string& directory) {
  if (status.ok()) return absl::OkStatus();
  const std::string text =
      absl::StrCat("cannot ", attempt, " the store in ", directory, ": ", status.ToString());
  if (absl::StrContains(text, "While lock file") || absl::StrContains(text, "lock hold by")) {
    return absl::FailedPreconditionError(
        absl::StrCat("the store in ", directory,
                     " is open in another process; stop that one, or use another data directory"));
  }
  // A file that the manifest names is not there.
  if (status.IsCorruption() || status.IsPathNotFound()) {
    return absl::DataLossError(absl::StrCat(text, "; restore the directory from a backup"));
  }
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (absl::StrContains(text, "Permission denied")) return absl::PermissionDeniedError(text);
  if (status.IsIOError()) return absl::UnavailableError(text);
  return absl::InternalError(text);
}

rocksdb::DBOptions DatabaseOptions(bool create) {
  rocksdb::DBOptions options;
  options.create_if_missing = create;
  options.create_missing_column_families = true;  // the process may have died while creating them
  // What was acknowledged was synced: only the last record may be incomplete. Any other damage of
  // the log is reported instead of dropping what follows it.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(kWriteBuffersBytesMax);
  options.max_total_wal_size = 2 * kWriteBuffersBytesMax;
  options.max_open_files = 256;
  options.max_background_jobs = 2;
  options.keep_log_file_num = 3;
  options.max_log_file_size = 4 * kMiB;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  return options;
}

rocksdb::ColumnFamilyOptions FamilyOptions() {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.cache_index_and_filter_blocks = true;  // they count as cache, so that memory is bounded
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_size = 16 << 10;
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kZSTD;
  options.write_buffer_size = 16 * kMiB;
  options.level_compaction_dynamic_level_bytes = true;
  return options;
}

// RocksDB would take a directory that lost its CURRENT file for a new one and delete what is there.
absl::Status CheckNothingLost(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListDirectory(directory));
  for (const std::string& file : files) {
    if (absl::EndsWith(file, ".sst") || absl::EndsWith(file, ".log")) {
      return absl::DataLossError(absl::StrCat("cannot open the store in ", directory,
                                              ": it has data (", file,
                                              ") but no file CURRENT; restore it from a backup"));
    }
  }
  return absl::OkStatus();
}

// The families on disk are ours, or fewer.
absl::Status CheckFamilies(const std::string& directory) {
  std::vector<std::string> names;
  ATTUNE_RETURN_IF_ERROR(FromRocksDb(
      rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), directory, &names), "open", directory));
  for (const std::string& name : names) {
    const bool known = name == rocksdb::kDefaultColumnFamilyName ||
                       std::find(kColumnFamilyNames.begin(), kColumnFamilyNames.end(), name) !=
                           kColumnFamilyNames.end();
    if (known) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the store in ", directory, " has a column family '", name,
                     "' that this version of Attune (schema version ", kSchemaVersion,
                     ") does not know; open it with the newer version of Attune that wrote it"));
  }
  return absl::OkStatus();
}

// "default" comes first: RocksDB demands it; nothing is stored in it.
std::vector<rocksdb::ColumnFamilyDescriptor> Descriptors() {
  const rocksdb::ColumnFamilyOptions options = FamilyOptions();
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, options);
  for (const char* name : kColumnFamilyNames) descriptors.emplace_back(name, options);
  return descriptors;
}

}  // namespace

KeyRange PrefixRange(const std::string& prefix) { return {prefix, PrefixEnd(prefix)}; }

absl::StatusOr<std::unique_ptr<StoreDb>> StoreDb::Open(const std::string& directory) {
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(directory));
  const bool exists = FileExists(JoinPath(directory, "CURRENT"));
  ATTUNE_RETURN_IF_ERROR(exists ? CheckFamilies(directory) : CheckNothingLost(directory));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ATTUNE_RETURN_IF_ERROR(FromRocksDb(
      rocksdb::DB::Open(DatabaseOptions(!exists), directory, Descriptors(), &handles, &db), "open",
      directory));
  return std::unique_ptr<StoreDb>(
      new StoreDb(directory, std::unique_ptr<rocksdb::DB>(db), std::move(handles)));
}

StoreDb::StoreDb(const std::string& directory, std::unique_ptr<rocksdb::DB> db,
                 std::vector<rocksdb::ColumnFamilyHandle*> handles)
    : directory_(directory),
      db_(std::move(db)),
      handles_(std::move(handles)),
      families_(handles_.begin() + 1, handles_.end()) {
  ATTUNE_CHECK(families_.size() == kColumnFamilies);
}

StoreDb::~StoreDb() {
  for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
}

absl::Status StoreDb::Commit(rocksdb::WriteBatch& batch) {
  if (batch.GetDataSize() > kBatchBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot write ", batch.GetDataSize(), " bytes at once to the store in ",
                     directory_, "; at most ", kBatchBytesMax,
                     ". Fewer prompts_per_round or num_generations make a smaller batch"));
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  return FromRocksDb(db_->Write(options, &batch), "write to", directory_);
}

absl::StatusOr<std::optional<std::string>> StoreDb::Get(ColumnFamily family,
                                                        const std::string& key) const {
  std::string value;
  const rocksdb::Status status =
      db_->Get(rocksdb::ReadOptions(), this->family(family), key, &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  ATTUNE_RETURN_IF_ERROR(FromRocksDb(status, "read", directory_));
  return std::optional<std::string>(std::move(value));
}

absl::Status StoreDb::Visit(
    ColumnFamily family, const KeyRange& range, Direction direction,
    const std::function<bool(absl::string_view, absl::string_view)>& visit) const {
  const rocksdb::Slice begin = ToSlice(range.begin);
  const rocksdb::Slice end = ToSlice(range.end);
  rocksdb::ReadOptions options;
  options.iterate_lower_bound = &begin;
  if (!end.empty()) options.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, this->family(family)));
  const bool up = direction == Direction::kUp;
  for (up ? it->SeekToFirst() : it->SeekToLast(); it->Valid(); up ? it->Next() : it->Prev()) {
    if (!visit(ToView(it->key()), ToView(it->value()))) break;
  }
  return FromRocksDb(it->status(), "read", directory_);
}

absl::Status StoreDb::DamagedError(ColumnFamily family, absl::string_view key,
                                   absl::string_view what) const {
  return absl::DataLossError(
      absl::StrCat("the store in ", directory_, " is damaged: ", what, " (column family ",
                   kColumnFamilyNames[static_cast<size_t>(family)], ", key ",
                   absl::BytesToHexString(key), "); restore the directory from a backup"));
}

}  // namespace attune
