// What the host says over the control socket, one command a line. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "monitor/broker.h"
#include "monitor/events.h"
#include "monitor/line_buffer.h"

namespace qi {

// What a command has done.
class HostCommands {
 public:
  virtual void Kill() = 0;
  virtual void HostGone() = 0;
  virtual void Signal(int signal, bool group) = 0;
  virtual void Stats(uint32_t id) = 0;
  virtual void Pause(uint32_t id) = 0;
  virtual void Resume(uint32_t id) = 0;

 protected:
  ~HostCommands() = default;
};

class HostLines {
 public:
  HostLines(const Jail& jail, Broker* broker, EventWriter* events, HostCommands* commands)
      : jail_(jail), broker_(broker), events_(events), commands_(commands) {}

  // Reads what there is and does it, until a command has ended the jail.
  void Read(const bool& done);

  // RULE;RULE...: instead of those that hold, or in addition. 0, or the number of the rule that is none; then nothing
  // has changed.
  size_t ChangeRules(char* rules, bool add);

 private:
  void OnLine(char* line);
  void OnNetwork(char* line);

  const Jail& jail_;
  Broker* broker_;
  EventWriter* events_;
  HostCommands* commands_;
  // Network rules make a line long. Untouched pages cost nothing.
  char room_[1 << 20];
  LineBuffer lines_{room_, sizeof(room_)};
};

}  // namespace qi
