#pragma once

#include <cstddef>

/// What a file named on the command line may make this program hold.
namespace nmp::cli {

/// A filter: the guardian's ceiling is lower still.
inline constexpr std::size_t kFilterBytesMax = 64 * 1024 * 1024;
/// A grant (security rules, "Who calls": 16 KiB).
inline constexpr std::size_t kTokenBytesMax = 16 * 1024;
/// A receipt or proof, as base64.
inline constexpr std::size_t kReceiptTextBytesMax = 64 * 1024;
/// Evidence to compare: the largest output a capability can allow is larger, but verification holds it in memory.
inline constexpr std::size_t kEvidenceBytesMax = 1024 * 1024 * 1024;

}  // namespace nmp::cli
