#include "core/receipt_kind.hpp"

#include "core/errc.hpp"

namespace nmp::core {

std::string_view to_text(ReceiptKind kind) {
  switch (kind) {
    case ReceiptKind::is_signed: return "signed";
    case ReceiptKind::enclave: return "enclave";
    case ReceiptKind::zk: return "zk";
  }
  return "signed";
}

Result<ReceiptKind> parse_receipt_kind(std::string_view text) {
  for (auto kind : {ReceiptKind::is_signed, ReceiptKind::enclave, ReceiptKind::zk}) {
    if (to_text(kind) == text) return kind;
  }
  return fail(Errc::bad_statement, "receipt kind");
}

}  // namespace nmp::core
