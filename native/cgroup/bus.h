// A connection to a D-Bus daemon for a handful of calls, all of it before a deadline. Runs in: monitor.
#pragma once
#include "cgroup/bus_message.h"
#include "core/fd.h"
#include "core/result.h"

namespace qi {

class Bus {
 public:
  explicit Bus(uint64_t deadline_ns) : deadline_ns_(deadline_ns) {}

  // Connects to the Unix socket, authenticates as the calling user, and says hello.
  Result Connect(const char* socket);

  uint32_t NextSerial() { return ++serial_; }
  Result Send(BusWriter* call);

  // The next message, whatever it is; valid until the next call of Next.
  Result Next(BusMessage* message);

  // Waits for the reply to that call, and drops what comes before it. An error reply is a failure that names it.
  Result Await(uint32_t serial, BusMessage* reply);

 private:
  Result Open(const char* socket);
  Result Authenticate();
  Result Hello();
  Result Wait(short events);
  Result Write(const void* data, size_t size);
  Result Fill(size_t size);

  uint64_t deadline_ns_;
  UniqueFd fd_;
  uint32_t serial_ = 0;
  uint8_t buffer_[kBusMaxMessage];
  size_t used_ = 0;     // bytes in the buffer
  size_t message_ = 0;  // of them, those of the message that Next gave
};

// "org.freedesktop.systemd1.UnitExists: Unit … already exists."
Result BusFailure(const BusMessage& error);

}  // namespace qi
