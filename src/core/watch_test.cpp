#include "core/watch.hpp"

#include <gtest/gtest.h>

#include "core/envelope.hpp"
#include "core/errc.hpp"
#include "core/intent.hpp"
#include "core/limits.hpp"
#include "core/sealed_body.hpp"

namespace nmp::core {
namespace {

WatchStatus status() {
  WatchStatus out;
  out.id[0] = std::byte{0xab};
  out.capability = "log-scan";
  out.phase = WatchPhase::backing_off;
  out.reason = "trap";
  out.created = 1'700'000'000;
  out.expires = 1'700'003'600;
  out.next_event = 12;
  out.first_event = 4;
  out.limits.fuel = 1000;
  out.policy = {.fuel_per_day = 5, .life_seconds = 6, .when_full = WhenFull::drop_oldest};
  return out;
}

TEST(Watch, IdsHaveOneSpelling) {
  const auto text = watch_id_text(status().id);
  EXPECT_EQ(text, "ab000000000000000000000000000000");
  EXPECT_EQ(*parse_watch_id(text), status().id);
  for (const auto* wrong : {"", "ab", "AB000000000000000000000000000000", "ab00000000000000000000000000000",
                            "ab0000000000000000000000000000000", "ab00000000000000000000000000000g"})
    EXPECT_EQ(parse_watch_id(wrong).error().code, Errc::bad_name) << wrong;
}

TEST(Watch, ListsComeBack) {
  auto other = status();
  other.reason.clear();
  const std::vector list{status(), other};
  EXPECT_EQ(*decode_watch_list(encode_watch_list(list)), list);
  EXPECT_TRUE(decode_watch_list(encode_watch_list({}))->empty());
}

TEST(Watch, ListsOfAHostileNodeAreRefused) {
  auto bad = status();
  bad.capability = "../etc";
  EXPECT_FALSE(decode_watch_list(encode_watch_list({bad})));
  bad = status();
  bad.reason = "\x1b[2J";
  EXPECT_FALSE(decode_watch_list(encode_watch_list({bad})));
  bad = status();
  bad.phase = static_cast<WatchPhase>(7);
  EXPECT_FALSE(decode_watch_list(encode_watch_list({bad})));
  bad = status();
  bad.policy.when_full = static_cast<WhenFull>(2);
  EXPECT_FALSE(decode_watch_list(encode_watch_list({bad})));
  EXPECT_EQ(decode_watch_list(encode_watch_list(std::vector(kWatchListMax + 1, status()))).error().code,
            nmp::Errc::too_large);
}

TEST(Watch, EachOperationHasItsMethod) {
  EXPECT_EQ(method_of(kRunOperation), kExecuteLogicMethod);
  EXPECT_EQ(method_of(kWatchOperation), kExecuteLogicMethod);
  EXPECT_EQ(method_of(kEventsOperation), kWatchEventsMethod);
  for (const auto op : {kListOperation, kAckOperation, kLogsOperation, kStopOperation})
    EXPECT_EQ(method_of(op), kManageWatchMethod);
  EXPECT_FALSE(is_watch_request(kRunOperation));
  EXPECT_FALSE(is_watch_request(kWatchOperation));
}

TEST(Watch, EventsCarryTheirNumber) {
  EventBody event;
  event.data = to_bytes(std::string_view("data"));
  const auto plain = encode_response(event);
  EXPECT_FALSE(std::get<EventBody>(*decode_response(plain)).sequence);
  event.sequence = 7;
  const auto numbered = encode_response(event);
  const auto back = std::get<EventBody>(*decode_response(numbered));
  EXPECT_EQ(back.sequence, 7U);
  EXPECT_EQ(back.data, event.data);
  // [0, [7]] and [0, [7, "text"]] are nothing.
  EXPECT_EQ(decode_response(to_bytes(std::string_view("\x82\x00\x81\x07", 4))).error().code, Errc::bad_box);
  EXPECT_EQ(decode_response(to_bytes(std::string_view("\x82\x00\x82\x07\x61\x61", 6))).error().code, Errc::bad_box);
}

}  // namespace
}  // namespace nmp::core
