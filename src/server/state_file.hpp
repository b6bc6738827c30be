#pragma once

#include <filesystem>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace nmp::server {

/// A whole small file of the state folder. Errors: not_found; too_large above `bytes_max`; io.
Result<Bytes> load_state_file(const std::filesystem::path& path, std::size_t bytes_max);

/// Writes a 0600 file beside `path` and renames it into place: a reader sees the old content or the new one. Not synced
/// to the disk: for what may be lost when the power goes. Blocks for the write. Errors: io.
Result<void> replace_state_file(const std::filesystem::path& path, ByteView content);

}  // namespace nmp::server
