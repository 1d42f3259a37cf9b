// The jail's DNS over TCP: messages with their length before them, several on one connection. Runs in: gateway.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "gateway/poller.h"
#include "gateway/upstream.h"

namespace qi {

// Who asked, and where the answer goes.
struct DnsClient {
  bool tcp = false;
  Token token;             // of the connection, or of the datagram socket
  sockaddr_in6 from = {};  // of either family; datagrams only
  socklen_t from_size = 0;
};

class QuerySink {
 public:
  virtual void OnQuery(const DnsClient&, const uint8_t*, size_t) {}

 protected:
  ~QuerySink() = default;
};

class DnsTcp final : public Handler {
 public:
  static constexpr size_t kMax = 128;
  static constexpr size_t kMaxQuery = 4096;  // one question, and options nobody needs

  DnsTcp(Poller* poller, const DnsTimes& times, QuerySink* sink);
  ~DnsTcp();
  DnsTcp(const DnsTcp&) = delete;
  DnsTcp& operator=(const DnsTcp&) = delete;

  bool Add(int listener);  // stays the caller's; listening and non-blocking

  // A client that does not read its answers loses its connection: nothing is kept for it.
  void Send(Token token, const uint8_t* bytes, size_t size);

  void OnReady(Token token, uint32_t events) override;
  uint64_t OnTime(uint64_t now_ms) override;

 private:
  static constexpr size_t kMaxListeners = 4;
  struct Connection;

  void Accept(int listener);
  void Read(Connection* c, Token token);
  void Close(size_t index);
  Connection* Find(Token token) const;

  Poller* poller_;
  const DnsTimes& times_;
  QuerySink* sink_;
  Connection* connections_[kMax] = {};
  uint32_t generation_ = 0;
  int listeners_[kMaxListeners] = {};
  size_t listener_count_ = 0;
};

}  // namespace qi
