#pragma once

#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/hash.hpp"
#include "sandbox/at_rest.hpp"
#include "sandbox/snapshot.hpp"

namespace nmp::sandbox {

/// What machine code is kept as: it is never used as anything else's.
struct CodeKey {
  crypto::Digest module{};  ///< SHA-256 of the Wasm.
  crypto::Digest engine{};  ///< WasmtimeEngine::fingerprint(): version, settings and the processor's features.
  Bytes account;            ///< Whose it is; empty: everyone's.
};

struct CodeCacheOptions {
  std::filesystem::path folder;  ///< Made if it is not there; its own, for nothing else.
  std::uint64_t bytes_max = 0;   ///< Of all entries; while one is written, that one more.
  SecretBytes<32> storage_key;   ///< Of the node.
  Random* random = nullptr;      ///< Required; outlives it. Used under a lock of its own.
};

/// Machine code on the disk, so that a node that starts again does not compile again.
///
/// To deserialise machine code is to run it, so nothing of a file is looked at before all of it is authentic. A file is
/// one record of AtRestKey and has no format beside it; its associated data is the CodeKey and the engine's name, so
/// that it opens as the code of that module, that engine and that account only. It is read once, into private memory,
/// opened there and used from there: what happens to the file meanwhile changes nothing. What does not open, for
/// whatever reason, is removed and counted, and the module is compiled anew.
///
/// security.md, "Sandbox", asks for an HMAC over the same fields and the code. AES-256-GCM authenticates them as well,
/// and hides the code: an agent's module is sealed to the engine, and a copy in the clear on the disk would undo that.
/// Names are HMACs of the key, so that they tell nobody which module ran.
///
/// Entries are not synced to the disk: one that a crash tears does not open. Any thread; calls block for the disk.
class CodeCache {
 public:
  struct Stats {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;   ///< Not there.
    std::uint64_t refused = 0;  ///< There, but not authentic, or not to the engine's liking: somebody's doing.
    std::uint64_t stored = 0;
    std::uint64_t evicted = 0;         ///< The least recently used, for room.
    std::uint64_t write_failures = 0;  ///< Code that could not be kept: a full disk.
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
  };

  /// Errors: nmp::Errc::io (the folder cannot be made or read).
  static Result<std::shared_ptr<CodeCache>> open(CodeCacheOptions options);
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;

  /// The code that was stored as `key`, by whoever has the storage key; nothing if there is none that is authentic.
  [[nodiscard]] std::optional<Bytes> load(const CodeKey& key);
  /// Keeps it, if it can: what fails is counted, and costs the next start a compile.
  void store(const CodeKey& key, ByteView code);
  /// Removes it; what stays of it on the disk cannot be opened, since the record's salt is overwritten.
  void erase(const CodeKey& key);
  /// Removes what load() gave and the engine then refused.
  void refuse(const CodeKey& key);
  [[nodiscard]] Stats stats() const;

 private:
  struct Entry {
    std::uint64_t bytes = 0;
    std::list<std::string>::iterator place;  ///< In order_.
  };

  explicit CodeCache(CodeCacheOptions options);
  Result<void> scan();
  [[nodiscard]] std::string name_of(ByteView identity) const;
  [[nodiscard]] std::optional<Bytes> read(const std::string& name, bool& there) const;
  [[nodiscard]] bool write(const std::string& name, ByteView record) const;
  void drop(const std::string& name);
  void note_locked(const std::string& name, std::uint64_t bytes);
  void forget_locked(const std::string& name);
  void evict_locked();

  CodeCacheOptions options_;
  SecretBytes<32> name_key_;
  AtRestKey key_;
  FileDescriptor folder_;

  mutable std::mutex mutex_;  // all below
  std::map<std::string, Entry> entries_;
  std::list<std::string> order_;  // newest first
  Stats stats_;
};

}  // namespace nmp::sandbox
