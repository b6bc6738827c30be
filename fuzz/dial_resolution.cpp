// fuzz: USES libp2p_dial
#include <cstddef>
#include <cstdint>

#include "libp2p/dial/limits.hpp"
#include "libp2p/dial/resolution.hpp"

namespace {

using namespace nmp;
using namespace nmp::libp2p;
using namespace nmp::libp2p::dial;

const PeerId& peer() {
  static const auto kPeer = PeerId::parse("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq").value();
  return kPeer;
}

}  // namespace

/// Name servers that answer every question with the same lines: the first is the address that is asked for, the others
/// are TXT records. Every name has two IPs.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = text_of(view_of(data, size));
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < 100) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (lines.empty()) return 0;
  const auto address = Multiaddr::parse(lines.front());
  if (!address) return 0;
  lines.erase(lines.begin());
  const std::array ips = {IpAddress::parse("1.2.3.4").value(), IpAddress::parse("2001:db9::1").value()};

  Resolution resolution({*address}, peer());
  std::size_t questions = 0;
  std::vector<Multiaddr> found;
  auto collect = [&] {
    for (auto& one : resolution.take_addresses()) found.push_back(std::move(one));
  };
  while (!resolution.done()) {
    for (const auto& question : resolution.take_questions()) {
      NMP_ASSERT(++questions <= kQuestionsMax && !question.name.empty());
      if (question.kind == Resolution::Kind::text) {
        resolution.on_texts(question.id, lines);
      } else {
        resolution.on_addresses(question.id, ips);
      }
    }
    collect();
  }
  collect();
  NMP_ASSERT(found.size() <= kResolvedMax);
  for (std::size_t i = 0; i < found.size(); ++i) {
    NMP_ASSERT(!found[i].dns_name() || found[i].is_circuit());
    NMP_ASSERT(std::find(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(i), found[i]) ==
               found.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return 0;
}
