#pragma once

#include <filesystem>

#include "base/random.hpp"
#include "base/result.hpp"
#include "libp2p/peer/keys.hpp"

namespace nmp::libp2p {

/// Reads a host key: a libp2p PrivateKey protobuf, in a regular file that its owner alone may use.
/// Errors: base not_found; base io; PeerErrc::key_file_permissions, key_file_malformed; the context names the file.
Result<KeyPair> load_key_file(const std::filesystem::path& path);

/// The same; if there is no file, a key is made and stored with mode 0600. Of several that start at once one creates
/// the file, complete when it appears, and all return its key.
Result<KeyPair> load_or_create_key_file(const std::filesystem::path& path, Random& random);

}  // namespace nmp::libp2p
