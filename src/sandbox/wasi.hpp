#pragma once

#include <cstdint>

/// Numbers of WASI preview 1 that we use.
/// Source: github.com/WebAssembly/WASI, tag snapshot-01, phases/snapshot/docs.md and witx/typenames.witx.
namespace nmp::sandbox::wasi {

enum class Errno : std::uint16_t {
  success = 0,
  badf = 8,
  fault = 21,
  inval = 28,
  io = 29,
  isdir = 31,
  mfile = 33,
  nametoolong = 37,
  noent = 44,
  nosys = 52,
  notdir = 54,
  notsup = 58,
  overflow = 61,
  rofs = 69,
  spipe = 70,
  notcapable = 76,
};

enum class FileType : std::uint8_t { unknown = 0, directory = 3, regular_file = 4 };

using Rights = std::uint64_t;
inline constexpr Rights kRightFdRead = 1U << 1;
inline constexpr Rights kRightFdSeek = 1U << 2;
inline constexpr Rights kRightFdFdstatSetFlags = 1U << 3;
inline constexpr Rights kRightFdTell = 1U << 5;
inline constexpr Rights kRightFdWrite = 1U << 6;
inline constexpr Rights kRightFdAdvise = 1U << 7;
inline constexpr Rights kRightPathOpen = 1U << 13;
inline constexpr Rights kRightFdReaddir = 1U << 14;
inline constexpr Rights kRightPathFilestatGet = 1U << 18;
inline constexpr Rights kRightFdFilestatGet = 1U << 21;
inline constexpr Rights kRightPollFdReadwrite = 1U << 27;

inline constexpr Rights kFileRights = kRightFdRead | kRightFdSeek | kRightFdFdstatSetFlags | kRightFdTell |
                                      kRightFdAdvise | kRightFdFilestatGet | kRightPollFdReadwrite;
inline constexpr Rights kDirectoryRights =
    kRightPathOpen | kRightFdReaddir | kRightPathFilestatGet | kRightFdFilestatGet | kRightFdFdstatSetFlags;

inline constexpr std::uint32_t kClockRealtime = 0;
inline constexpr std::uint32_t kClockMonotonic = 1;
inline constexpr std::uint16_t kOflagsCreat = 1;
inline constexpr std::uint16_t kOflagsDirectory = 2;
inline constexpr std::uint16_t kOflagsExcl = 4;
inline constexpr std::uint16_t kOflagsTrunc = 8;
inline constexpr std::uint16_t kFdflagsNonblock = 4;
inline constexpr std::uint8_t kWhenceSet = 0;
inline constexpr std::uint8_t kWhenceCur = 1;
inline constexpr std::uint8_t kWhenceEnd = 2;
inline constexpr std::uint8_t kEventClock = 0;
inline constexpr std::uint8_t kEventFdRead = 1;
inline constexpr std::uint8_t kEventFdWrite = 2;
inline constexpr std::uint16_t kSubclockAbstime = 1;

// Sizes of structures (witx layouts).
inline constexpr std::size_t kFdstatBytes = 24;
inline constexpr std::size_t kFilestatBytes = 64;
inline constexpr std::size_t kPrestatBytes = 8;
inline constexpr std::size_t kDirentBytes = 24;
inline constexpr std::size_t kIovecBytes = 8;
inline constexpr std::size_t kSubscriptionBytes = 48;
inline constexpr std::size_t kEventBytes = 32;

}  // namespace nmp::sandbox::wasi
