#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.hpp"
#include "base/result.hpp"

/// What stands inside the boxes; sealed.cddl.
namespace nmp::core {

using Salt = ByteArray<32>;
/// Input names and values. Names pass is_name; at most kInputsMax, kInputsBytesMax in all.
using Inputs = std::map<std::string, Bytes>;

/// Box of LogicRequest 16: {1: inputs, 2: salt}.
struct SealedInputs {
  Inputs inputs;
  Salt salt{};  ///< Of the input commitment; 32 random bytes made by the agent.
};
/// Errors: bad_name, nmp::Errc::too_large.
Result<void> check_inputs(const Inputs& inputs);
[[nodiscard]] Bytes encode_inputs(const SealedInputs& inputs);
/// Errors: bad_box, bad_name, nmp::Errc::too_large.
Result<SealedInputs> decode_inputs(ByteView plaintext);

/// What opens the receipt's commitments; travels sealed, apart from the receipt.
struct Openings {
  Salt evidence_salt{};  ///< Made by the node; of the evidence commitment and the event chain.
  friend bool operator==(const Openings&, const Openings&) = default;
};

/// [0, bytes]: an event of a run. [0, [sequence, bytes]]: an event of a watchdog, which keeps its number for ever.
struct EventBody {
  Bytes data;
  std::optional<std::uint64_t> sequence{};
};
/// [1, bytes]: a piece of stdout. The evidence is all pieces joined.
struct EvidenceBody {
  Bytes data;
};
/// [2, bytes]: a piece of stderr.
struct DiagnosticsBody {
  Bytes data;
};
/// [4, {1: cryptographic_proof, 2: {1: evidence salt}}]: final; the run is over and this is its receipt. Whether the
/// filter succeeded stands in the receipt's `exit`.
struct ReceiptBody {
  Bytes proof;  ///< encode_proof (receipt.hpp)
  Openings openings;
};
/// [3, {1: reason, 2: message, 3: receipt body | null}]: final; the host could not finish the run. Guest bytes never
/// stand here.
struct HostErrorBody {
  std::string reason;   ///< Of the table in errors.hpp; a reader takes an unknown one as `internal`.
  std::string message;  ///< For people.
  std::optional<ReceiptBody> receipt;
};
using ResponseBody = std::variant<EventBody, EvidenceBody, DiagnosticsBody, HostErrorBody, ReceiptBody>;

/// Kinds 3 and 4, of which a stream has exactly one, at its end.
[[nodiscard]] bool is_final(const ResponseBody& body);
/// [kind, body].
[[nodiscard]] Bytes encode_response(const ResponseBody& body);
/// Errors: bad_box.
Result<ResponseBody> decode_response(ByteView plaintext);

}  // namespace nmp::core
