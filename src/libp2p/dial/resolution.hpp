#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "libp2p/peer/multiaddr.hpp"

namespace nmp::libp2p::dial {

/// Turns a peer's addresses with names into addresses with IPs: `dns4`, `dns6`, `dns`, and `dnsaddr`, whose TXT records
/// hold addresses again (libp2p.md section 3, "dnsaddr"). It asks, the owner finds out and tells. Of a dnsaddr's
/// addresses only those count that end in what follows the name and in `/p2p/PEER`: the peer is always known here.
class Resolution {
 public:
  enum class Kind : std::uint8_t { ip4, ip6, text };
  struct Question {
    std::size_t id = 0;
    Kind kind{};
    std::string name;
  };

  /// Those without a name, and relayed ones, are taken as they are.
  Resolution(const std::vector<Multiaddr>& addresses, const PeerId& peer);

  /// What has to be asked now; empties it. All of them may be asked at once.
  [[nodiscard]] std::vector<Question> take_questions();
  /// Answers to a question, in any order and each at most once; none if nobody knew. Addresses of the other family are
  /// passed over. More questions may follow.
  void on_addresses(std::size_t id, std::span<const IpAddress> addresses);
  void on_texts(std::size_t id, std::span<const std::string> texts);

  /// Nothing is asked, and nothing has to be.
  [[nodiscard]] bool done() const { return asked_.empty() && questions_.empty(); }
  /// What was found since the last call, without `/p2p/PEER`; no address twice.
  [[nodiscard]] std::vector<Multiaddr> take_addresses();

 private:
  struct Asked {
    Kind kind;
    Multiaddr address;
    std::size_t depth;
  };
  /// `address` ends in `/p2p/PEER`.
  void take(const Multiaddr& address, std::size_t depth);
  void ask(Kind kind, std::string name, const Multiaddr& address, std::size_t depth);

  PeerId peer_;
  std::set<Multiaddr> seen_;
  std::size_t ids_ = 0;
  std::size_t found_count_ = 0;
  std::map<std::size_t, Asked> asked_;
  std::vector<Question> questions_;
  std::vector<Multiaddr> found_;
};

}  // namespace nmp::libp2p::dial
