#include "cgroup/scope.h"

#include <fcntl.h>

#include <cstdio>
#include <cstring>

#include "cgroup/bus.h"
#include "cgroup/group_file.h"
#include "cgroup/stale.h"
#include "core/try.h"

namespace qi {
namespace {

constexpr Step kStep = Step::kAskForScope;
constexpr uint64_t kTimeoutMs = 25000;  // as D-Bus libraries do: on a busy host systemd needs more than a few

constexpr char kManager[] = "org.freedesktop.systemd1.Manager";

BusCall ToSystemd(const char* member, const char* signature) {
  return {"org.freedesktop.systemd1", "/org/freedesktop/systemd1", kManager, member, signature};
}

// systemd sends its signals only to those who subscribed; the daemon passes on only what matches.
Result Subscribe(Bus* bus) {
  uint32_t serial = bus->NextSerial();
  BusWriter match({"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s"}, serial);
  match.String(
      "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',"
      "interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
  BusMessage reply;
  QI_TRY(bus->Send(&match));
  QI_TRY(bus->Await(serial, &reply));
  serial = bus->NextSerial();
  BusWriter subscribe(ToSystemd("Subscribe", ""), serial);
  QI_TRY(bus->Send(&subscribe));
  return bus->Await(serial, &reply);
}

// One of the properties: a struct of a name and a variant of a type that is one letter.
void BeginProperty(BusWriter* call, const char* name, const char* type) {
  call->Align(8);
  call->String(name);
  call->Signature(type);
}

// ssa(sv)a(sa(sv)): name, mode, properties, auxiliary units.
Result SendStart(Bus* bus, uint32_t serial, const char* unit, pid_t pid) {
  BusWriter call(ToSystemd("StartTransientUnit", "ssa(sv)a(sa(sv))"), serial);
  call.String(unit);
  call.String("fail");
  BusWriter::Array properties = call.BeginArray(8);
  BeginProperty(&call, "PIDs", "au");
  BusWriter::Array pids = call.BeginArray(4);
  call.U32(static_cast<uint32_t>(pid));
  call.EndArray(pids);
  BeginProperty(&call, "Delegate", "b");
  call.U32(1);
  BeginProperty(&call, "CollectMode", "s");
  call.String("inactive-or-failed");
  BeginProperty(&call, "Description", "s");
  call.String("qi-jail");
  call.EndArray(properties);
  BusWriter::Array none = call.BeginArray(8);
  call.EndArray(none);
  return bus->Send(&call);
}

struct Job {
  char path[128] = "";     // from the reply
  char removed[128] = "";  // from the signal about our unit
  char result[32] = "";
};

void Copy(char* to, size_t size, const char* text) { snprintf(to, size, "%s", text); }

// JobRemoved(u id, o job, s unit, s result)
void OnSignal(const BusMessage& message, const char* unit, Job* job) {
  uint32_t id;
  const char *path, *of, *result;
  BusReader body = message.Body();
  if (strcmp(message.interface, kManager) != 0 || strcmp(message.member, "JobRemoved") != 0) return;
  if (strcmp(message.signature, "uoss") != 0 || !body.U32(&id) || !body.String(&path) || !body.String(&of) ||
      !body.String(&result) || strcmp(of, unit) != 0) {
    return;
  }
  Copy(job->removed, sizeof(job->removed), path);
  Copy(job->result, sizeof(job->result), result);
}

Result OnReply(const BusMessage& reply, Job* job) {
  if (reply.type == BusType::kError) return BusFailure(reply);
  BusReader body = reply.Body();
  const char* path;
  if (strcmp(reply.signature, "o") != 0 || !body.String(&path)) return Fail(kStep, EPROTO, "StartTransientUnit");
  Copy(job->path, sizeof(job->path), path);
  return Ok();
}

// "0::/user.slice/…/qi-jail-0123abcd.scope": the line of the v2 hierarchy, cgroups(7).
Result FindScope(const char* mount, const char* unit, char* path, size_t size) {
  char text[8192];
  if (int error = ReadGroupFile(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)))
    return Fail(kStep, error, "/proc/self/cgroup");
  for (char* line = text; *line != 0; line = NextLine(line)) {
    if (strncmp(line, "0::/", 4) != 0) continue;
    line[strcspn(line, "\n")] = 0;
    const char* name = strrchr(line, '/') + 1;
    if (strcmp(name, unit) != 0) return Fail(kStep, ESRCH, "systemd did not move this process into the scope");
    int n = snprintf(path, size, "%s%s", strcmp(mount, "/") == 0 ? "" : mount, line + 3);
    return n < static_cast<int>(size) ? Ok() : Fail(kStep, ENAMETOOLONG, "scope");
  }
  return Fail(kStep, ENOENT, "no cgroup v2 in /proc/self/cgroup");
}

}  // namespace

Result StartScope(const char* socket, const char* unit, pid_t pid, uint64_t timeout_ms) {
  Bus bus(NowNs() + timeout_ms * 1000000u);
  QI_TRY(bus.Connect(socket));
  QI_TRY(Subscribe(&bus));
  uint32_t serial = bus.NextSerial();
  QI_TRY(SendStart(&bus, serial, unit, pid));
  Job job;
  // The signal may overtake the reply.
  while (job.path[0] == 0 || strcmp(job.path, job.removed) != 0) {
    BusMessage message;
    QI_TRY(bus.Next(&message));
    if (message.type == BusType::kSignal) OnSignal(message, unit, &job);
    if (message.reply_serial == serial) QI_TRY(OnReply(message, &job));
  }
  if (strcmp(job.result, "done") == 0) return Ok();
  char detail[96];
  snprintf(detail, sizeof(detail), "the job of the scope ended as '%s'", job.result);
  return Fail(kStep, EREMOTEIO, detail);
}

Result EnterScope(const Jail& jail, char* path, size_t size) {
  QI_BEGIN(jail, kStep);
  char name[kGroupNameSize];
  char unit[kGroupNameSize + sizeof(".scope")];
  RandomGroupName(name);
  snprintf(unit, sizeof(unit), "%s.scope", name);
  QI_TRY(StartScope(jail.Text(jail.plan->bus_socket), unit, getpid(), kTimeoutMs));
  return FindScope(jail.Text(jail.plan->cgroup_mount), unit, path, size);
}

}  // namespace qi
