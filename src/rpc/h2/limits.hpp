#pragma once

#include <cstddef>
#include <cstdint>

/// What a peer can make an HTTP/2 session do. Going over a rate or CONTINUATION ceiling ends the connection with
/// ENHANCE_YOUR_CALM (RFC 9113 section 10.5).
namespace nmp::h2 {

/// A token bucket: `burst` at once, `per_second` in the long run.
struct Rate {
  std::uint32_t burst;
  std::uint32_t per_second;
};

/// Streams that the peer resets or makes us reset by bad frames: "rapid reset" (CVE-2023-44487) and "made you reset"
/// (CVE-2025-8671). An agent that cancels all of a full connection's calls at once passes.
inline constexpr Rate kResetRate{.burst = 2'048, .per_second = 128};
/// PING: keep-alive and bandwidth probes of grpc-go are below ten a second (CVE-2019-9512).
inline constexpr Rate kPingRate{.burst = 256, .per_second = 64};
/// SETTINGS: one at the start, a handful later (CVE-2019-9515).
inline constexpr Rate kSettingsRate{.burst = 32, .per_second = 4};
/// DATA without bytes and without END_STREAM has no use (CVE-2019-9518).
inline constexpr Rate kEmptyDataRate{.burst = 256, .per_second = 32};
/// PRIORITY and frames of unknown type: ignored, but each costs a parse (CVE-2019-9513).
inline constexpr Rate kIdleFrameRate{.burst = 1'024, .per_second = 128};
/// WINDOW_UPDATE: a reader of 64 MiB in 1 KiB credits passes.
inline constexpr Rate kWindowUpdateRate{.burst = 65'536, .per_second = 65'536};
/// CONTINUATION frames of one header block (CVE-2024-28182): 8 frames of 16 KiB are above kHeaderListBytesMax.
inline constexpr std::size_t kContinuationsMax = 8;
/// Entries of one SETTINGS frame.
inline constexpr std::size_t kSettingsEntriesMax = 32;
/// Acknowledgements that wait because the peer does not read.
inline constexpr std::size_t kOutboundAcksMax = 256;

/// SETTINGS_MAX_HEADER_LIST_SIZE: names, values and 32 for each field (RFC 9113 section 6.5.2). Beyond it the stream
/// ends.
inline constexpr std::size_t kHeaderListBytesMax = 16UZ << 10;
/// Beyond this, which nobody sends who has read our SETTINGS, the connection ends.
inline constexpr std::size_t kHeaderListBytesFatal = 48UZ << 10;
inline constexpr std::size_t kHeaderFieldsMax = 128;
/// The decoder's dynamic table: RFC 7541's default.
inline constexpr std::uint32_t kHpackTableBytes = 4'096;

/// `grpc-timeout` has at most eight digits (PROTOCOL-HTTP2.md).
inline constexpr std::size_t kTimeoutDigitsMax = 8;
/// `grpc-message` that we send, before encoding: the rest is cut.
inline constexpr std::size_t kStatusMessageBytesMax = 2'048;

}  // namespace nmp::h2
