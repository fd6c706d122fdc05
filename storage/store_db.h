// RocksDB as the store uses it: all column families open, synced atomic batches, bounded memory,
// absl::Status with the directory in every error. Private to storage/.
#ifndef ATTUNE_STORAGE_STORE_DB_H_
#define ATTUNE_STORAGE_STORE_DB_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "storage/keys.h"

namespace attune {

// Keys from `begin` on and below `end`; an empty end has no limit.
struct KeyRange {
  std::string begin;
  std::string end;
};

// All keys that begin with `prefix`.
KeyRange PrefixRange(const std::string& prefix);

enum class Direction { kUp, kDown };

// Thread-safe.
class StoreDb {
 public:
  // Opens or creates the directory. Errors as Store::Open, but the schema version is not looked at.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<StoreDb>> Open(const std::string& directory);
  ~StoreDb();

  const std::string& directory() const { return directory_; }
  rocksdb::ColumnFamilyHandle* family(ColumnFamily family) const {
    return families_[static_cast<size_t>(family)];
  }

  // Atomic, and on disk when it returns OK. RESOURCE_EXHAUSTED: the disk is full or the batch is
  // above kBatchBytesMax; nothing was written.
  absl::Status Commit(rocksdb::WriteBatch& batch);

  [[nodiscard]] absl::StatusOr<std::optional<std::string>> Get(ColumnFamily family,
                                                               const std::string& key) const;

  // Calls `visit(key, value)` for each key of the range until it returns false; sees one state of
  // the store, whatever is written meanwhile.
  absl::Status Visit(ColumnFamily family, const KeyRange& range, Direction direction,
                     const std::function<bool(absl::string_view, absl::string_view)>& visit) const;

  // DATA_LOSS that names the directory, the family and, in hex, the key.
  absl::Status DamagedError(ColumnFamily family, absl::string_view key,
                            absl::string_view what) const;

 private:
  StoreDb(const std::string& directory, std::unique_ptr<rocksdb::DB> db,
          std::vector<rocksdb::ColumnFamilyHandle*> handles);

  const std::string directory_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // as opened; closed by us
  std::vector<rocksdb::ColumnFamilyHandle*> families_;       // by ColumnFamily
};

}  // namespace attune

#endif  // ATTUNE_STORAGE_STORE_DB_H_
