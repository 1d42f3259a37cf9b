#include "cgroup/bus.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdio>
#include <cstring>

#include "core/try.h"
#include "monitor/jail.h"

namespace qi {
namespace {

constexpr Step kStep = Step::kAskForScope;
constexpr size_t kMaxLine = 512;  // of the server, while authenticating

}  // namespace

Result BusFailure(const BusMessage& error) {
  const char* text = "";
  BusReader body = error.Body();
  if (error.signature[0] == 's' && !body.String(&text)) text = "";
  char detail[sizeof(Result::detail)];
  snprintf(detail, sizeof(detail), "%s: %s", error.error_name, text);
  return Fail(kStep, EREMOTEIO, detail);
}

Result Bus::Connect(const char* socket) {
  QI_TRY(Open(socket));
  QI_TRY(Authenticate());
  return Hello();
}

Result Bus::Open(const char* socket) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  size_t length = strlen(socket);
  if (length >= sizeof(address.sun_path)) return Fail(kStep, ENAMETOOLONG, "bus socket");
  memcpy(address.sun_path, socket, length);
  fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_) return Fail(kStep, errno, "bus socket");
  // EAGAIN: the daemon has too many that wait; poll(2) does not tell when that has changed.
  while (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno != EAGAIN && errno != EINTR) return Fail(kStep, errno, socket);
    if (NowNs() >= deadline_ns_) return Fail(kStep, ETIMEDOUT, socket);
    (void)poll(nullptr, 0, 10);
  }
  return Ok();
}

// A NUL, then lines. EXTERNAL: the daemon takes the identity from the socket's credentials; ours only has to match it.
Result Bus::Authenticate() {
  char uid[16], line[64];
  size_t digits = static_cast<size_t>(snprintf(uid, sizeof(uid), "%u", geteuid()));
  size_t used = 1 + static_cast<size_t>(snprintf(line + 1, sizeof(line) - 1, "AUTH EXTERNAL "));
  line[0] = 0;
  for (size_t i = 0; i < digits; ++i)
    used += static_cast<size_t>(snprintf(line + used, sizeof(line) - used, "%02x", static_cast<unsigned>(uid[i])));
  used += static_cast<size_t>(snprintf(line + used, sizeof(line) - used, "\r\n"));
  QI_TRY(Write(line, used));
  const void* end;
  while ((end = memmem(buffer_, used_, "\r\n", 2)) == nullptr) {
    if (used_ >= kMaxLine) return Fail(kStep, EPROTO, "the bus does not speak D-Bus");
    QI_TRY(Fill(used_ + 1));
  }
  // Nothing may follow before BEGIN.
  size_t length = static_cast<size_t>(static_cast<const uint8_t*>(end) - buffer_) + 2;
  if (used_ != length) return Fail(kStep, EPROTO, "the bus does not speak D-Bus");
  used_ = 0;
  if (length < 4 || memcmp(buffer_, "OK ", 3) != 0) return Fail(kStep, EACCES, "the bus refuses this user");
  return Write("BEGIN\r\n", 7);
}

Result Bus::Hello() {
  uint32_t serial = NextSerial();
  BusWriter call({"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", ""}, serial);
  QI_TRY(Send(&call));
  BusMessage reply;
  return Await(serial, &reply);
}

Result Bus::Send(BusWriter* call) {
  if (!call->Finish()) return Fail(kStep, EMSGSIZE, "call");
  return Write(call->data(), call->size());
}

Result Bus::Next(BusMessage* message) {
  used_ -= message_;
  memmove(buffer_, buffer_ + message_, used_);
  message_ = 0;
  QI_TRY(Fill(kBusHeadSize));
  size_t size = BusMessageSize(buffer_);
  if (size == 0) return Fail(kStep, EMSGSIZE, "a message of the bus is too long, or none");
  QI_TRY(Fill(size));
  message_ = size;
  return ParseBusMessage(buffer_, size, message) ? Ok() : Fail(kStep, EPROTO, "a message of the bus is malformed");
}

Result Bus::Await(uint32_t serial, BusMessage* reply) {
  for (;;) {
    QI_TRY(Next(reply));
    if (reply->reply_serial != serial) continue;
    if (reply->type == BusType::kError) return BusFailure(*reply);
    if (reply->type == BusType::kReturn) return Ok();
  }
}

Result Bus::Wait(short events) {
  for (;;) {
    uint64_t now = NowNs();
    if (now >= deadline_ns_) return Fail(kStep, ETIMEDOUT, "no answer on the bus");
    pollfd wait = {fd_.get(), events, 0};
    int n = poll(&wait, 1, static_cast<int>((deadline_ns_ - now) / 1000000u) + 1);
    if (n > 0) return Ok();
    if (n < 0 && errno != EINTR) return Fail(kStep, errno, "poll");
  }
}

Result Bus::Write(const void* data, size_t size) {
  const char* p = static_cast<const char*>(data);
  while (size > 0) {
    ssize_t n = send(fd_.get(), p, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return Fail(kStep, errno, "the bus");
    if (n < 0) QI_TRY(Wait(POLLOUT));
    if (n < 0) continue;
    p += n;
    size -= static_cast<size_t>(n);
  }
  return Ok();
}

// Reads until the buffer has that many bytes; never more than it has room for.
Result Bus::Fill(size_t size) {
  while (used_ < size) {
    QI_TRY(Wait(POLLIN));  // also when bytes are there: one that never stops talking meets the deadline, too
    ssize_t n = recv(fd_.get(), buffer_ + used_, sizeof(buffer_) - used_, 0);
    if (n == 0) return Fail(kStep, ECONNRESET, "the bus closed the connection");
    if (n < 0 && errno != EAGAIN && errno != EINTR) return Fail(kStep, errno, "the bus");
    if (n > 0) used_ += static_cast<size_t>(n);
  }
  return Ok();
}

}  // namespace qi
