// Audit events: one JSON line each in the shape of the AuditLogSchema, to the audit file (whole lines, O_APPEND) and to
// the host over the control socket. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "monitor/jail.h"
#include "monitor/json.h"
#include "monitor/refusal_tally.h"

namespace qi {

// ISO 8601, UTC, milliseconds. `ns` since the epoch.
void FormatTime(uint64_t ns, char (&text)[32]);

// Where messages go in place of the host.
class MessageSink {
 public:
  virtual void OnMessage(const char* json, size_t size) = 0;

 protected:
  ~MessageSink() = default;
};

class EventWriter {
 public:
  // `control`, `audit`: descriptors or -1. The control socket must be non-blocking.
  void Init(const Jail& jail, int control, int audit);

  // Starts an event; the caller adds members of context.parameters to the returned writer, then calls Finish.
  JsonWriter& Start(const char* category, const char* action, const char* outcome, const char* severity);
  // `risk`: low, medium, high, critical or null.
  void Finish(const char* risk = nullptr);

  // A line for the host only: {"type":...}. Returns the writer after the type member; FinishMessage closes and sends
  // it.
  JsonWriter& StartMessage(const char* type);
  void FinishMessage();
  void Divert(MessageSink* sink) { sink_ = sink; }

  // What follows waits for Flush: one line is one wake-up of the host.
  void Gather() { gathering_ = true; }
  // Sends what is queued. False when the host is gone.
  bool Flush();
  bool HasQueue() const { return queue_size_ > 0; }
  uint64_t sent() const { return sent_; }  // bytes that the host took
  uint64_t lost() const { return lost_; }
  uint64_t written() const { return written_; }
  // Of the refusals among them.
  RefusalTally* tally() { return &tally_; }

 private:
  void Queue(const char* head, const char* body, size_t size, const char* tail, size_t room);

  const Jail* jail_ = nullptr;
  int control_ = -1;
  int audit_ = -1;
  JsonWriter json_;
  char* queue_ = nullptr;  // what the host has not taken yet
  size_t queue_size_ = 0;
  uint64_t lost_ = 0;  // events the host did not take in time; reported in the exit message
  uint64_t written_ = 0;
  uint64_t sent_ = 0;
  RefusalTally tally_;
  MessageSink* sink_ = nullptr;
  bool gathering_ = false;
};

}  // namespace qi
