#include "monitor/host_lines.h"

#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <cstring>

namespace qi {

void HostLines::Read(const bool& done) {
  ssize_t n = recv(kControlFd, line_ + size_, sizeof(line_) - 1 - size_, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return commands_->HostGone();
  size_ += static_cast<size_t>(n);
  line_[size_] = 0;
  while (char* end = strchr(line_, '\n')) {
    *end = 0;
    OnLine(line_);
    if (done) return;
    size_ -= static_cast<size_t>(end + 1 - line_);
    memmove(line_, end + 1, size_ + 1);
  }
  if (size_ == sizeof(line_) - 1) commands_->HostGone();  // no command is this long: not a host of ours
}

// kill     signal NUMBER GROUP     stats|pause|resume ID
void HostLines::OnLine(char* line) {
  int signal = 0;
  int group = 0;
  unsigned id = 0;
  if (strcmp(line, "kill") == 0) return commands_->Kill();
  if (sscanf(line, "signal %d %d", &signal, &group) >= 1 && signal > 0 && signal < NSIG)
    return commands_->Signal(signal, group != 0);
  if (sscanf(line, "stats %u", &id) == 1) return commands_->Stats(id);
  if (sscanf(line, "pause %u", &id) == 1) return commands_->Pause(id);
  if (sscanf(line, "resume %u", &id) == 1) return commands_->Resume(id);
  if (jail_.Has(kPlanAllowListNetwork)) OnNetwork(line);
}

// network ID set|add RULE;RULE...     answer ID allow|deny
void HostLines::OnNetwork(char* line) {
  unsigned id = 0;
  char word[8] = "";
  int used = 0;
  if (sscanf(line, "answer %u %7s", &id, word) == 2) return broker_->hosts()->OnAnswer(id, strcmp(word, "allow") == 0);
  if (sscanf(line, "network %u %7s%n", &id, word, &used) != 2) return;
  char* rules = line + used + (line[used] == ' ' ? 1 : 0);
  for (char* p = strchr(rules, ';'); p != nullptr; p = strchr(p, ';')) *p = '\n';
  size_t fault = broker_->hosts()->Update(rules, strlen(rules), strcmp(word, "add") == 0);
  JsonWriter& message = events_->StartMessage("network");
  message.Pair("id", static_cast<int64_t>(id));
  message.Key("ok");
  message.Raw(fault == 0 ? "true" : "false");
  if (fault != 0) message.Pair("line", static_cast<int64_t>(fault));
  events_->FinishMessage();
}

}  // namespace qi
