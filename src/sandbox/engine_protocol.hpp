#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/async/byte_stream.hpp"
#include "base/bytes.hpp"
#include "core/authorization.hpp"
#include "crypto/hash.hpp"
#include "sandbox/watch_storage.hpp"

/// What goes over the byte stream between a node (the host) and its engine. A frame is a u32 length (big-endian), then
/// one deterministic CBOR array [type, fields...]. In-process, worker process and enclave are transports of the same
/// frames. Everything that the host may not read (module, inputs, evidence, events, diagnostics) is sealed between
/// agent and engine.
namespace nmp::sandbox {

/// Names a session between host and engine; not a secret.
using SessionId = ByteArray<16>;

/// Host to engine.
struct OpenFrame {  ///< [1, session, intent]. Answered by KeysFrame or RefusedFrame (run 0).
  SessionId session{};
  Bytes intent;  ///< COSE, as the agent sent it
};
struct BindFrame {  ///< [2, session, answer, limits, [datasets], runs, watch policy|null]. No answer.
  SessionId session{};
  Bytes answer;  ///< COSE, as the agent gets it
  core::Authorization limits;
  std::vector<std::string> datasets;
  std::uint32_t runs = 1;                    ///< How many runs the session allows.
  std::optional<core::WatchPolicy> watch{};  ///< For intents of operation `watch`.
};
struct JobFrame {  ///< [3, session, run, method, ciphertext, nonce, module|null, inputs]. Answered by OpenedFrame or
                   ///< RefusedFrame.
  SessionId session{};
  std::uint32_t run = 0;        ///< LogicRequest 17
  std::string method;           ///< gRPC path: part of the boxes' associated data
  Bytes pqc_ciphertext;         ///< LogicRequest 4
  Bytes aes_nonce = Bytes(12);  ///< LogicRequest 5
  std::optional<Bytes> module;  ///< LogicRequest 2, sealed; none: run by the intent's hash
  Bytes inputs;                 ///< LogicRequest 16, sealed
};
struct CreditFrame {  ///< [4, session, run, bytes]: that many bytes of boxes have gone on to the agent.
  SessionId session{};
  std::uint32_t run = 0;
  std::uint64_t bytes = 0;
};
struct CancelFrame {  ///< [5, session, run]
  SessionId session{};
  std::uint32_t run = 0;
};
struct DropFrame {  ///< [6, session]: erase its keys, cancel its runs.
  SessionId session{};
};
struct StoredFrame {  ///< [7, number, stored]: how the WriteFrame of that number went.
  std::uint64_t number = 0;
  bool stored = false;
};
struct FetchedFrame {  ///< [8, number, [[sequence, record]...]|null]: to a FetchFrame; null: it failed.
  std::uint64_t number = 0;
  std::optional<std::vector<StoredEvent>> events;
};
struct RestoreFrame {  ///< [9, id, owner, capability, key, definition, progress|null, log|null, next, [bytes...],
                       ///< allowed|null]: before RestoredFrame. No answer.
  explicit RestoreFrame(StoredWatch stored) : watch(std::move(stored)) {}
  StoredWatch watch;
};
struct RestoredFrame {};  ///< [10]: that was all of them; this stream stores what watchdogs keep. No answer.
using HostFrame = std::variant<OpenFrame,
                               BindFrame,
                               JobFrame,
                               CreditFrame,
                               CancelFrame,
                               DropFrame,
                               StoredFrame,
                               FetchedFrame,
                               RestoreFrame,
                               RestoredFrame>;

/// Engine to host.
struct KeysFrame {  ///< [16, session, kem key, x25519 key, module cached]
  SessionId session{};
  Bytes kem_key;               ///< IntentResponse 4: ML-KEM-768 encapsulation key, fresh for this session
  ByteArray<32> x25519_key{};  ///< For Answer 5
  bool module_cached = false;  ///< IntentResponse 18: this agent may run the intent's module by hash
};
struct OpenedFrame {  ///< [17, session, run]: the first box opened; the token has lost this use.
  SessionId session{};
  std::uint32_t run = 0;
};
struct RefusedFrame {  ///< [18, session, run, reason, message]: before an envelope exists, so unsealed. Nothing
                       ///< follows.
  SessionId session{};
  std::uint32_t run = 0;
  std::string reason;   ///< reason_of(...)
  std::string message;  ///< Our words only, never a guest's
};
struct BoxFrame {  ///< [19, session, run, sealed, final]: one LogicResponse.sealed body.
  SessionId session{};
  std::uint32_t run = 0;
  Bytes sealed;
  bool is_final = false;
};
struct EndedFrame {  ///< [20, session, run, reason|"" , usage]: after the final box; for the host's books.
  SessionId session{};
  std::uint32_t run = 0;
  std::string reason;  ///< Empty: the filter ended well.
  core::Usage used;
};
struct WriteFrame {  ///< [21, number, [write...]]: to be stored whole. Answered by StoredFrame.
  std::uint64_t number = 0;
  std::vector<WatchWrite> writes;
};
struct FetchFrame {  ///< [22, number, id, what, from, count, bytes]: what 0 events, 1 the module. Answered by
                     ///< FetchedFrame.
  enum class What : std::uint8_t { events = 0, module = 1 };
  std::uint64_t number = 0;
  WatchId id{};
  What what = What::events;
  std::uint64_t from = 0;
  std::uint32_t count_max = 0;
  std::uint64_t bytes_max = 0;
};
using EngineFrame = std::variant<KeysFrame, OpenedFrame, RefusedFrame, BoxFrame, EndedFrame, WriteFrame, FetchFrame>;

/// Whole frames, length included.
[[nodiscard]] Bytes encode(const HostFrame& frame);
[[nodiscard]] Bytes encode(const EngineFrame& frame);
/// A frame's body, without the length. Errors: Errc::protocol, crypto's codes.
Result<HostFrame> decode_host_frame(ByteView body);
Result<EngineFrame> decode_engine_frame(ByteView body);

/// Reads one frame's body; nothing at a clean end of the stream. The length is checked before anything is allocated,
/// and the buffer grows with what arrives. Errors: protocol, truncated, closed, cancelled.
async::Awaitable<Result<std::optional<Bytes>>> read_frame(async::ByteStream& stream);

}  // namespace nmp::sandbox
