// The wire contract is for ever: every line of descriptor.txt must still be true of nmp.proto. Additions get new lines.
#include <fstream>
#include <set>
#include <string>

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "nmp/v1/nmp.pb.h"

namespace {

std::set<std::string> describe() {
  std::set<std::string> lines;
  const auto* file = nmp::v1::IntentRequest::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) {
    const auto* message = file->message_type(i);
    for (int j = 0; j < message->field_count(); ++j) {
      const auto* field = message->field(j);
      lines.insert(message->name() + "." + field->name() + " = " + std::to_string(field->number()) + " " +
                   (field->is_map() ? "map" : field->type_name()) +
                   (field->is_repeated() && !field->is_map() ? " repeated" : ""));
    }
    for (int j = 0; j < message->reserved_range_count(); ++j)
      lines.insert(message->name() + " reserved " + std::to_string(message->reserved_range(j)->start));
  }
  for (int i = 0; i < file->service_count(); ++i) {
    const auto* service = file->service(i);
    for (int j = 0; j < service->method_count(); ++j) {
      const auto* method = service->method(j);
      lines.insert(service->full_name() + "/" + method->name() + " (" + method->input_type()->name() + ") returns (" +
                   (method->server_streaming() ? "stream " : "") + method->output_type()->name() + ")");
    }
  }
  return lines;
}

TEST(WireContract, KeepsEveryFieldAndMethod) {
  std::ifstream golden(NMP_SOURCE_DIR "/tests/golden/descriptor.txt");
  ASSERT_TRUE(golden);
  auto now = describe();
  std::set<std::string> kept;
  for (std::string line; std::getline(golden, line);) {
    EXPECT_TRUE(now.contains(line)) << "removed or renumbered: " << line;
    kept.insert(line);
  }
  EXPECT_GT(kept.size(), 40U);
  for (const auto& line : now) EXPECT_TRUE(kept.contains(line)) << "new, add it to descriptor.txt: " << line;
}

}  // namespace
