#pragma once

#include <string_view>

#include "base/result.hpp"

namespace nmp::core {

/// How strong a receipt is; on the wire as text. An agent that asked for one kind takes no other.
enum class ReceiptKind {
  is_signed,  ///< "signed": the node says so.
  enclave,    ///< "enclave": a measured enclave says so.
  zk,         ///< "zk": anyone can check the computation.
};
[[nodiscard]] std::string_view to_text(ReceiptKind kind);
/// Errors: Errc::bad_statement.
Result<ReceiptKind> parse_receipt_kind(std::string_view text);

}  // namespace nmp::core
