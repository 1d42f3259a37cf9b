#include "monitor/host_lines.h"

#include <csignal>
#include <cstdio>
#include <cstring>

namespace qi {

void HostLines::Read(const bool& done) {
  if (!lines_.Receive(kControlFd)) return commands_->HostGone();  // no command is longer than the room: no host of ours
  while (char* line = lines_.Next()) {
    OnLine(line);
    if (done) return;
  }
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

size_t HostLines::ChangeRules(char* rules, bool add) {
  for (char* p = strchr(rules, ';'); p != nullptr; p = strchr(p, ';')) *p = '\n';
  return broker_->hosts()->Update(rules, strlen(rules), add);
}

// network ID set|add RULE;RULE...     answer ID allow|deny
void HostLines::OnNetwork(char* line) {
  unsigned id = 0;
  char word[8] = "";
  int used = 0;
  if (sscanf(line, "answer %u %7s", &id, word) == 2) return broker_->hosts()->OnAnswer(id, strcmp(word, "allow") == 0);
  if (sscanf(line, "network %u %7s%n", &id, word, &used) != 2) return;
  char* rules = line + used + (line[used] == ' ' ? 1 : 0);
  size_t fault = ChangeRules(rules, strcmp(word, "add") == 0);
  JsonWriter& message = events_->StartMessage("network");
  message.Pair("id", static_cast<int64_t>(id));
  message.Key("ok");
  message.Raw(fault == 0 ? "true" : "false");
  if (fault != 0) message.Pair("line", static_cast<int64_t>(fault));
  events_->FinishMessage();
}

}  // namespace qi
