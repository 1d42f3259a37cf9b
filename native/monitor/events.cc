#include "monitor/events.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"

namespace qi {
namespace {

constexpr size_t kQueueBytes = 4 << 20;
constexpr size_t kEventBytes = kQueueBytes - (256 << 10);  // messages have room behind events: how it ended is one

// RFC 9562, version 4.
void FormatUuid(char (&text)[40]) {
  unsigned char b[16] = {};
  (void)!getrandom(b, sizeof(b), 0);  // up to 256 bytes cannot fail or be short once the pool is ready
  b[6] = static_cast<unsigned char>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<unsigned char>((b[8] & 0x3f) | 0x80);
  char* p = text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
    p += snprintf(p, 3, "%02x", b[i]);
  }
}

}  // namespace

// Not gmtime: libc would read the time zone file for it.
void FormatTime(uint64_t ns, char (&text)[32]) {
  auto seconds = static_cast<int64_t>(ns / 1000000000u);
  int64_t days = seconds / 86400 + 719468;  // days since 0000-03-01, so that the leap day ends the year
  int64_t rest = seconds % 86400;
  int64_t era = days / 146097, day_of_era = days % 146097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", static_cast<int>(year % 10000),
           static_cast<int>(month % 100), static_cast<int>(day % 100), static_cast<int>(rest / 3600 % 24),
           static_cast<int>(rest / 60 % 60), static_cast<int>(rest % 60), static_cast<int>(ns / 1000000u % 1000));
}

void EventWriter::Init(const Jail& jail, int control, int audit) {
  jail_ = &jail;
  control_ = control;
  audit_ = audit;
}

JsonWriter& EventWriter::Start(const char* category, const char* action, const char* outcome, const char* severity) {
  char uuid[40];
  char time[32];
  FormatUuid(uuid);
  FormatTime(NowNs(CLOCK_REALTIME), time);
  json_.Clear();
  json_.Open('{');
  json_.Pair("eventId", uuid);
  json_.Pair("timestamp", time);
  json_.Members(jail_->Text(jail_->plan->audit_head));
  json_.Key("event");
  json_.Open('{');
  json_.Pair("category", category);
  json_.Pair("action", action);
  json_.Pair("outcome", outcome);
  json_.Pair("severity", severity);
  json_.Close('}');
  json_.Key("context");
  json_.Open('{');
  json_.Key("parameters");
  json_.Open('{');
  return json_;
}

void EventWriter::Finish(const char* risk) {
  json_.Close('}');
  if (risk != nullptr) {
    json_.Key("security");
    json_.Open('{');
    json_.Pair("riskLevel", risk);
    json_.Close('}');
  }
  json_.Close('}');
  json_.Close('}');
  if (json_.overflow()) {
    ++lost_;
    return;
  }
  ++written_;
  Queue("{\"type\":\"event\",\"event\":", json_.data(), json_.size(), "}\n", kEventBytes);
  if (audit_ < 0) return;
  json_.EndLine();
  // One write for one line: with O_APPEND lines of several jails do not mix. write(2)
  ssize_t n = RetryEintr([&] { return write(audit_, json_.data(), json_.size()); });
  if (n != static_cast<ssize_t>(json_.size())) ++lost_;
}

JsonWriter& EventWriter::StartMessage(const char* type) {
  json_.Clear();
  json_.Open('{');
  json_.Pair("type", type);
  return json_;
}

void EventWriter::FinishMessage() {
  json_.Close('}');
  if (sink_ != nullptr) return sink_->OnMessage(json_.data(), json_.size());
  Queue("", json_.data(), json_.size(), "\n", kQueueBytes);
}

void EventWriter::Queue(const char* head, const char* body, size_t size, const char* tail, size_t room) {
  if (control_ < 0) return;
  size_t head_size = strlen(head), tail_size = strlen(tail);
  size_t total = head_size + size + tail_size;
  if (queue_ == nullptr) queue_ = static_cast<char*>(malloc(kQueueBytes));
  if (queue_ == nullptr || queue_size_ + total > room) {
    ++lost_;
    return;
  }
  memcpy(queue_ + queue_size_, head, head_size);
  memcpy(queue_ + queue_size_ + head_size, body, size);
  memcpy(queue_ + queue_size_ + head_size + size, tail, tail_size);
  queue_size_ += total;
  if (!gathering_) (void)Flush();  // a host that is gone is noticed by the loop
}

bool EventWriter::Flush() {
  size_t sent = 0;
  bool alive = true;
  while (sent < queue_size_) {
    ssize_t n =
        RetryEintr([&] { return send(control_, queue_ + sent, queue_size_ - sent, MSG_NOSIGNAL | MSG_DONTWAIT); });
    if (n <= 0) {
      alive = errno == EAGAIN;
      break;
    }
    sent += static_cast<size_t>(n);
  }
  if (sent > 0) memmove(queue_, queue_ + sent, queue_size_ - sent);
  queue_size_ -= sent;
  sent_ += sent;
  return alive;
}

}  // namespace qi
