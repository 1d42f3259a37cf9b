#include "gateway/link.h"

#include <fcntl.h>
#include <poll.h>

#include <cstdio>
#include <cstring>

#include "monitor/channel.h"

namespace qi {
namespace {

constexpr int kPatienceMs = 1000;  // qi-monitor answers calls of the jail one at a time; this is long for it

}  // namespace

bool Link::Init(UniqueFd fd) {
  fd_ = std::move(fd);
  int flags = fcntl(fd_.get(), F_GETFL);
  return flags >= 0 && fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) == 0;
}

bool Link::Tell(const GatewayMessage& message) {
  int error = SendMessage(fd_.get(), &message, sizeof(message));
  if (error == EAGAIN && !stuck_) {
    pollfd wait = {fd_.get(), POLLOUT, 0};
    (void)RetryEintr([&] { return poll(&wait, 1, kPatienceMs); });  // the next try says what came of it
    error = SendMessage(fd_.get(), &message, sizeof(message));
  }
  stuck_ = error == EAGAIN;  // waited for once, not by each of the queries that follow
  return error == 0;
}

int Link::Receive(GatewayMessage* message, UniqueFd* file) {
  int fd = -1;
  size_t count = 1;
  int error = ReceiveMessage(fd_.get(), message, sizeof(*message), &fd, &count);
  file->reset(count == 1 && fd >= 0 ? fd : -1);
  return error;
}

GatewayMessage MessageOf(GatewayMessageType type, const Name& name, const char* reason) {
  GatewayMessage message = {};
  message.type = type;
  message.name = name;
  snprintf(message.reason, sizeof(message.reason), "%s", reason);
  return message;
}

Name Shown(const char* text) {
  Name name;
  size_t size = strnlen(text, sizeof(name.text) - 1);
  memcpy(name.text, text, size);
  name.text[size] = 0;
  name.size = static_cast<uint8_t>(size);
  return name;
}

}  // namespace qi
