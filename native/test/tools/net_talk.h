// Bytes to the gateway: DNS, datagrams, the first bytes of connections that are inspected; and looks at the
// supervisors.
#pragma once
#include <dirent.h>
#include <netdb.h>

#include <csignal>

#include "net_attack.h"

namespace net_attack {

inline std::string Unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[++i] == 'x') {
      out += static_cast<char>(strtol(text.substr(i + 1, 2).c_str(), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == 'n' ? '\n' : text[i] == 'r' ? '\r' : text[i];
    }
  }
  return out;
}

// A question for `name` (labels of raw bytes, \xHH), type A.
inline std::string Question(const std::string& name, uint16_t id) {
  std::string out = {static_cast<char>(id >> 8), static_cast<char>(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  size_t at = 0;
  while (at < name.size()) {
    size_t dot = name.find('.', at);
    if (dot == std::string::npos) dot = name.size();
    std::string label = Unescape(name.substr(at, dot - at));
    out += static_cast<char>(label.size());
    out += label;
    at = dot + 1;
  }
  return out + std::string("\0\0\1\0\1", 5);
}

// `patience_ms`: long, but where silence is what should come.
inline std::string Ask(const std::string& query, int patience_ms = 10000) {
  const Where server("127.0.0.1", 53);
  Socket s(AF_INET, SOCK_DGRAM);
  if (sendto(s.get(), query.data(), query.size(), 0, server.get(), server.size) < 0) return "unsent";
  pollfd wait = {s.get(), POLLIN, 0};
  char answer[4096];
  if (poll(&wait, 1, patience_ms) != 1) return "silence";
  ssize_t n = recv(s.get(), answer, sizeof(answer), 0);
  if (n < 12) return "short";
  constexpr const char* kCodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
  int code = answer[3] & 15, answers = answer[6] << 8 | answer[7];
  return (code < 6 ? kCodes[code] : "code") + std::string(answers > 0 ? " data" : "");
}

// NAME…: labels with raw bytes in them.
inline void Names(const Words& w) {
  for (const std::string& name : w) printf("%s: %s\n", name.substr(0, 40).c_str(), Ask(Question(name, 7)).c_str());
}

// Queries that lie about their structure.
inline void Queries(const Words&) {
  const std::string head("\0\7\1\0\0\1\0\0\0\0\0\0", 12), type("\0\1\0\1", 4), end("\0", 1);
  const std::string good = Question("api.example.test", 7);
  std::string longest;
  for (int i = 0; i < 4; ++i) longest += "\x3f" + std::string(63, 'a');
  auto with = [&](size_t at, char byte) {
    std::string copy = good;
    copy[at] = byte;
    return copy;
  };
  const struct {
    const char* name;
    std::string bytes;
    bool ignored = false;
  } kQueries[] = {{"good", good},
                  {"a pointer to itself", head + std::string("\xc0\x0c", 2) + type},
                  {"a pointer forward", head + std::string("\xc0\x20", 2) + type},
                  {"a pointer into the header", head + std::string("\xc0\x00", 2) + type},
                  {"a label that leaves", head + "\x3f" + "ab" + end + type},
                  {"a reserved label", head + "\x40" + "ab" + end + type},
                  {"256 octets", head + longest + end + type},
                  {"no end", head + "\3abc"},
                  {"no type", head + "\3abc" + end},
                  {"two questions", with(5, 2)},
                  {"no question", with(5, 0)},
                  {"a response", with(2, '\x81'), true},
                  {"an update", with(2, '\x29')},
                  {"class ANY", good.substr(0, good.size() - 1) + "\xff"},
                  {"bytes behind", good + "xyz"},
                  {"four bytes", good.substr(0, 4), true},
                  {"nothing", "", true},
                  {"good again", good}};
  for (const auto& q : kQueries) printf("%s: %s\n", q.name, Ask(q.bytes, q.ignored ? 300 : 10000).c_str());
}

// ALLOWED-NAME: clients of DNS over TCP that hold connections, and one that asks for ten thousand names at once.
inline void DnsStreams(const Words& w) {
  const Where server("127.0.0.1", 53);
  std::vector<int> slow;
  for (int i = 0; i < 60; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, server.get(), server.size) == 0) (void)send(fd, "\0", 1, MSG_NOSIGNAL);
    slow.push_back(fd);
  }
  printf("held: %s\n", Ask(Question(w[0], 1)).c_str());
  Socket s(AF_INET, SOCK_STREAM);
  Say("connect", s.Connect(server));
  std::string all;
  for (int i = 0; i < 10000; ++i) {
    std::string query = Question("n" + std::to_string(i) + ".unlisted.test", static_cast<uint16_t>(i));
    all += static_cast<char>(query.size() >> 8);
    all += static_cast<char>(query.size());
    all += query;
  }
  size_t sent = 0;
  while (sent < all.size()) {
    pollfd wait = {s.get(), POLLOUT, 0};
    if (poll(&wait, 1, 5000) != 1) break;
    ssize_t n = send(s.get(), all.data() + sent, all.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) break;
    sent += static_cast<size_t>(n);
  }
  printf("pipelined: %s\n", Ask(Question(w[0], 2)).c_str());
  Mark("streamed");
}

// SECONDS NAME: refused names as fast as they are answered, from several threads.
inline void DnsFlood(const Words& w) {
  static std::atomic<unsigned> asked{0};
  for (int t = 0; t < 4; ++t) {
    std::thread([t] {
      const Where server("127.0.0.1", 53);
      Socket s(AF_INET, SOCK_DGRAM);
      for (unsigned i = 0;; ++i) {
        std::string query = Question("f" + std::to_string(t) + "-" + std::to_string(i) + ".unlisted.test", 9);
        (void)sendto(s.get(), query.data(), query.size(), 0, server.get(), server.size);
        char answer[512];
        while (recv(s.get(), answer, sizeof(answer), MSG_DONTWAIT) > 0) ++asked;
      }
    }).detach();
  }
  uint64_t until = Ms() + 1000u * static_cast<unsigned>(Number(w, 0, 1));
  while (Ms() < until) (void)usleep(10000);
  printf("answered: %s\n", asked > 100 ? "many" : "few");
  const Where allowed(w[1], Number(w, 2, 7));
  Honest(allowed);
  printf("flooding\n");
  (void)fflush(stdout);
  for (;;) pause();
}

// HOST PORT SOURCE: datagrams that say they come from elsewhere, and binds to what is not ours.
inline void Spoof(const Words& w) {
  const Where to(w[0], Number(w, 1, 123)), as(w[2], Number(w, 1, 123));
  Socket s(AF_INET, SOCK_DGRAM), bound(AF_INET, SOCK_DGRAM), tcp(AF_INET, SOCK_STREAM);
  Say("bind udp", bind(bound.get(), as.get(), as.size));
  Say("bind tcp", bind(tcp.get(), as.get(), as.size));
  char byte = 'x';
  iovec part = {&byte, 1};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(in_pktinfo))] = {};
  msghdr message = {};
  message.msg_name = const_cast<sockaddr_storage*>(&to.storage);
  message.msg_namelen = to.size;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof(room);
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info = {};
  info.ipi_spec_dst = reinterpret_cast<const sockaddr_in*>(&as.storage)->sin_addr;
  memcpy(CMSG_DATA(c), &info, sizeof(info));
  // More senders than the relay keeps apart.
  for (int i = 0; i < 300; ++i) {
    Socket other(AF_INET, SOCK_DGRAM);
    (void)!sendmsg(other.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  Say("send to", sendto(s.get(), "x", 1, 0, to.get(), to.size));
  Socket fresh(AF_INET, SOCK_DGRAM);
  pollfd wait = {fresh.get(), POLLIN, 0};
  bool heard = false;
  for (int i = 0; i < 50 && !heard; ++i) {  // a datagram may be lost in the flood
    (void)!sendto(fresh.get(), "x", 1, 0, to.get(), to.size);
    heard = poll(&wait, 1, 200) == 1;
  }
  printf("honest: %s\n", heard ? "ok" : "silence");
}

// HOST PORT TEXT PIECE: says it, PIECE bytes a segment; what comes back.
inline void Talk(const std::string& text, const Where& to, size_t piece) {
  Socket s(to.family(), SOCK_STREAM);
  int on = 1;
  (void)setsockopt(s.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (s.Connect(to) != 0) return Say("connect", -1);
  for (size_t at = 0; at < text.size(); at += piece) {
    if (send(s.get(), text.data() + at, text.size() - at < piece ? text.size() - at : piece, MSG_NOSIGNAL) < 0) break;
    if (piece < text.size()) (void)usleep(500);
  }
  pollfd wait = {s.get(), POLLIN, 0};
  char answer[64];
  ssize_t n = poll(&wait, 1, 12000) == 1 ? recv(s.get(), answer, sizeof(answer), 0) : -2;
  printf("said: %s\n", n > 0 ? "answered" : n == 0 ? "end" : n == -2 ? "silence" : qi::ErrnoName(errno));
  (void)fflush(stdout);
}
inline void SayTo(const Words& w) {
  Talk(Unescape(w[2]), Where(w[0], Number(w, 1, 80)), static_cast<size_t>(Number(w, 3, 1 << 20)));
}

inline std::string Sized(const std::string& text, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(text.size() >> 8 * i);
  return out + text;
}

// HOST PORT PIECE RECORD NAME…: a TLS 1.2 hello with these server names (each in an extension of its own unless it
// begins with `+`: then a second entry of the one before), in records of RECORD bytes, PIECE bytes a segment.
inline void Hello(const Words& w) {
  std::vector<std::string> lists;
  for (size_t i = 4; i < w.size(); ++i) {
    bool more = w[i][0] == '+';
    std::string entry = std::string(1, 0) + Sized(Unescape(more ? w[i].substr(1) : w[i]), 2);
    if (more && !lists.empty())
      lists.back() += entry;
    else
      lists.push_back(entry);
  }
  std::string extensions;
  for (const std::string& list : lists) extensions += std::string("\0\0", 2) + Sized(Sized(list, 2), 2);
  extensions += std::string("\0\x0a", 2) + Sized(Sized(std::string("\0\x1d\0\x17", 4), 2), 2);
  extensions += std::string("\0\x0d", 2) + Sized(Sized("\x04\x03\x08\x04\x04\x01", 2), 2);
  std::string body = "\3\3" + std::string(32, 'r') + std::string(1, 0) +
                     Sized(std::string("\xc0\x2b\xc0\x2f\xc0\x2c", 6), 2) + Sized(std::string(1, 0), 1) +
                     Sized(extensions, 2);
  std::string handshake = "\1" + Sized(body, 3), records;
  size_t most = static_cast<size_t>(Number(w, 3, 16384));
  for (size_t at = 0; at < handshake.size(); at += most) records += "\x16\3\1" + Sized(handshake.substr(at, most), 2);
  Talk(records, Where(w[0], Number(w, 1, 443)), static_cast<size_t>(Number(w, 2, 1 << 20)));
}

// NAME…: as getaddrinfo reads them.
inline void Literals(const Words& w) {
  for (size_t i = 1; i < w.size(); ++i) {
    addrinfo hints = {}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_family = AF_INET;
    if (getaddrinfo(w[i].c_str(), w[0].c_str(), &hints, &found) != 0) {
      printf("%s: no address\n", w[i].c_str());
      continue;
    }
    Socket s(found->ai_family, SOCK_STREAM);
    Say(w[i], connect(s.get(), found->ai_addr, found->ai_addrlen));
    freeaddrinfo(found);
  }
}

// What of the supervisors, and of the host's network, can be seen or hurt.
inline void LookAround(const Words&) {
  pid_t self = getpid();
  int others = 0, signalled = 0;
  DIR* proc = opendir("/proc");
  for (dirent* entry; proc != nullptr && (entry = readdir(proc)) != nullptr;) {
    int pid = atoi(entry->d_name);
    if (pid > 0 && pid != self) ++others;
  }
  for (pid_t pid = 1; pid < 4000; ++pid) {
    if (pid != self && kill(pid, 0) == 0) ++signalled;
  }
  printf("processes %d signals %d\n", others, signalled);
  for (const char* path : {"/proc/1/maps", "/proc/1/fd", "/proc/1/net/tcp", "/proc/1/root/etc"})
    Say(path, open(path, O_RDONLY));
  Say("trace 1", syscall(SYS_ptrace, 16, 1, 0, 0));
  Say("signal all", kill(-1, 0));
  FILE* devices = fopen("/proc/self/net/dev", "r");
  char line[256];
  int interfaces = 0, foreign = 0;
  while (devices != nullptr && fgets(line, sizeof(line), devices) != nullptr) {
    if (strchr(line, ':') == nullptr) continue;
    ++interfaces;
    if (strstr(line, "lo:") == nullptr) ++foreign;
  }
  printf("interfaces %d foreign %d\n", interfaces, foreign);
  DIR* sys = opendir("/sys/class/net");
  int seen = 0;
  for (dirent* entry; sys != nullptr && (entry = readdir(sys)) != nullptr;) seen += entry->d_name[0] != '.';
  printf("sys %d\n", seen);
}

}  // namespace net_attack
