#include "monitor/channel.h"

#include <sys/socket.h>

#include <cstring>

namespace qi {

bool MakeChannel(UniqueFd* mine, UniqueFd* theirs) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  mine->reset(pair[0]);
  theirs->reset(pair[1]);
  int on = 1;
  return setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0;
}

int SendMessage(int fd, const void* data, size_t size, const int* fds, size_t count) {
  iovec iov = {const_cast<void*>(data), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kGrantsPerMessage)];
  msghdr msg = {};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  if (count > 0) {
    msg.msg_control = control;
    msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    memset(control, 0, msg.msg_controllen);
    cmsghdr* c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
  }
  ssize_t n = RetryEintr([&] { return sendmsg(fd, &msg, MSG_NOSIGNAL); });
  return n < 0 ? errno : 0;
}

int ReceiveMessage(int fd, void* data, size_t size, int* fds, size_t* count, int* sender) {
  iovec iov = {data, size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kGrantsPerMessage) + CMSG_SPACE(sizeof(ucred))];
  msghdr msg = {};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  msg.msg_control = control;
  msg.msg_controllen = sizeof(control);
  ssize_t n = RetryEintr([&] { return recvmsg(fd, &msg, MSG_CMSG_CLOEXEC); });
  if (n < 0) return errno;
  size_t room = count != nullptr ? *count : 0;
  size_t got = 0;
  if (sender != nullptr) *sender = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_CREDENTIALS && sender != nullptr) {
      ucred cred;
      memcpy(&cred, CMSG_DATA(c), sizeof(cred));
      *sender = cred.pid;
    }
    if (c->cmsg_type != SCM_RIGHTS) continue;
    size_t have = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < have; ++i) {
      int received;
      memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      if (got < room) {
        fds[got++] = received;
      } else {
        (void)close(received);  // more than asked for: nothing may be left open by surprise
      }
    }
  }
  if (count != nullptr) *count = got;
  if (n == 0) return EPIPE;
  return static_cast<size_t>(n) == size && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? 0 : EPROTO;
}

}  // namespace qi
