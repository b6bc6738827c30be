#pragma once

#include <string_view>

#include "libp2p/kad/message.hpp"

namespace nmp::libp2p::kad {

/// What happened, for logs and metrics of whoever owns the machines. Calls come from within a machine's call: they only
/// take note, and do not call back. Anything here can be caused at will by strangers.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_member_added(const PeerId& /*peer*/) {}
  virtual void on_member_removed(const PeerId& /*peer*/) {}
  virtual void on_request(const PeerId& /*from*/, MessageType /*type*/) {}
  /// A request that got no answer, or whose record was not kept; `reason` is a fixed snake_case word.
  virtual void on_refused(const PeerId& /*from*/, MessageType /*type*/, std::string_view /*reason*/) {}
  /// Peers stand `crowding` times denser around a key of ours than in the network: probably sybils that want to own it.
  virtual void on_crowded_place(ByteView /*key*/, double /*crowding*/) {}
  /// A value in an answer to us that its validator refused.
  virtual void on_bad_value(const PeerId& /*from*/) {}
};

/// The observer of those who do not look.
Observer& silent_observer();

}  // namespace nmp::libp2p::kad
