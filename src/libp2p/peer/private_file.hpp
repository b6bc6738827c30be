#pragma once

#include <filesystem>
#include <span>

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/result.hpp"

namespace nmp::libp2p {

/// Reads a small file with a secret, which its owner alone may use, into `out`: how many bytes there are, up to its
/// size. Errors: base not_found, io; PeerErrc::key_file_permissions, key_file_malformed (not a regular file); the
/// context names the file.
Result<std::size_t> read_private_file(const std::filesystem::path& path, std::span<std::byte> out);

/// Writes a whole 0600 file beside `path` and links it into place, which does nothing if another was quicker: a reader
/// never sees half a secret, and none that somebody may have read is replaced. Durable when it returns. Errors: io.
Result<void> create_private_file(const std::filesystem::path& path, ByteView content, Random& random);

}  // namespace nmp::libp2p
