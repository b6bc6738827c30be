#pragma once

#include <filesystem>

#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace nmp::store {

/// The node's storage key: 32 random bytes in a 0600 file, made on first use (security.md, "Encoding and keys"). What
/// rests sealed opens with it only: a copy of the databases without it is of no use, and neither are they once it is
/// gone. Errors: nmp::Errc::io, malformed (another length), libp2p's for a file that others may use.
Result<SecretBytes<32>> load_or_create_storage_key(const std::filesystem::path& path, Random& random);

}  // namespace nmp::store
