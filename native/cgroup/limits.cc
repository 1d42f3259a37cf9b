#include "cgroup/limits.h"

#include <sys/sysinfo.h>

#include <cinttypes>
#include <climits>
#include <cstdlib>

#include "cgroup/group_file.h"
#include "core/try.h"

namespace qi {
namespace {

constexpr Step kStep = Step::kLimitCgroup;
constexpr unsigned kCpuPeriodUs = 100000;

Result Write(int dir, const char* name, const char* text) {
  int error = WriteGroupFile(dir, name, text);
  return error == 0 ? Ok() : Fail(kStep, error, name);
}

Result Read(int dir, const char* name, char* text, size_t size) {
  int error = ReadGroupFile(dir, name, text, size);
  if (error != 0) return Fail(kStep, error, name);
  text[strcspn(text, "\n")] = 0;
  return Ok();
}

Result WriteText(int dir, const char* name, const char* text) {
  char back[64];
  QI_TRY(Write(dir, name, text));
  QI_TRY(Read(dir, name, back, sizeof(back)));
  return strcmp(back, text) == 0 ? Ok() : Fail(kStep, EINVAL, name);
}

Result WriteNumber(int dir, const char* name, uint64_t value) {
  char text[24];
  snprintf(text, sizeof(text), "%" PRIu64, value);
  return WriteText(dir, name, text);
}

// The kernel counts whole pages, rounds down, and calls what is more than it can count "max".
Result WriteBytes(int dir, const char* name, uint64_t bytes) {
  auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  char text[24];
  snprintf(text, sizeof(text), "%" PRIu64, bytes);
  QI_TRY(Write(dir, name, text));
  QI_TRY(Read(dir, name, text, sizeof(text)));
  bool same = strcmp(text, "max") == 0 ? bytes / page >= uint64_t{LONG_MAX} / page
                                       : strtoull(text, nullptr, 10) == bytes / page * page;
  return same ? Ok() : Fail(kStep, EINVAL, name);
}

// Memory that may be swapped out is no longer held by memory.max. A kernel that does not count swap has no such file.
Result ForbidSwap(int dir) {
  Result r = WriteNumber(dir, "memory.swap.max", 0);
  if (r.error != ENOENT) return r;
  struct sysinfo info;
  return sysinfo(&info) == 0 && info.totalswap == 0 ? Ok() : r;
}

Result LimitMemory(const Plan& plan, int dir) {
  if (plan.memory_max != 0) {
    QI_TRY(WriteBytes(dir, "memory.max", plan.memory_max));
    QI_TRY(ForbidSwap(dir));
    // All or nothing: a jail of which the kernel took one process is in a state that nobody tested.
    QI_TRY(WriteNumber(dir, "memory.oom.group", 1));
  }
  return plan.memory_threshold != 0 ? WriteBytes(dir, "memory.high", plan.memory_threshold) : Ok();
}

Result LimitCpu(const Plan& plan, int dir) {
  if (plan.cpu_quota_us != 0) {
    char text[40];
    snprintf(text, sizeof(text), "%u %u", plan.cpu_quota_us, kCpuPeriodUs);
    QI_TRY(WriteText(dir, "cpu.max", text));
  }
  return plan.cpu_weight != 0 ? WriteNumber(dir, "cpu.weight", plan.cpu_weight) : Ok();
}

// RLIMIT_NPROC holds in any case: a host that delegates no `pids` only counts without this.
Result LimitProcesses(const Plan& plan, int dir) {
  if (plan.processes_max == 0) return Ok();
  Result r = WriteNumber(dir, "pids.max", uint64_t{plan.processes_max} + OwnProcesses(plan));
  return r.error == ENOENT ? Ok() : r;
}

void Amount(uint64_t value, char (&text)[24]) {
  if (value == 0) {
    snprintf(text, sizeof(text), "max");
  } else {
    snprintf(text, sizeof(text), "%" PRIu64, value);
  }
}

Result LimitDevice(const IoLimit& limit, int dir) {
  char read_bytes[24], write_bytes[24], read_ops[24], write_ops[24];
  Amount(limit.read_bytes, read_bytes);
  Amount(limit.write_bytes, write_bytes);
  Amount(limit.read_ops, read_ops);
  Amount(limit.write_ops, write_ops);
  char line[160];
  snprintf(line, sizeof(line), "%u:%u rbps=%s wbps=%s riops=%s wiops=%s", limit.major, limit.minor, read_bytes,
           write_bytes, read_ops, write_ops);
  QI_TRY(Write(dir, "io.max", line));
  char back[8192];
  if (int error = ReadGroupFile(dir, "io.max", back, sizeof(back))) return Fail(kStep, error, "io.max");
  size_t length = strlen(line);
  for (const char* p = back; (p = strstr(p, line)) != nullptr; p += length) {
    if ((p == back || p[-1] == '\n') && (p[length] == '\n' || p[length] == 0)) return Ok();
  }
  return Fail(kStep, EINVAL, "io.max");
}

}  // namespace

Result WriteLimits(const Jail& jail, int dir) {
  QI_BEGIN(jail, kStep);
  const Plan& plan = *jail.plan;
  QI_TRY(LimitMemory(plan, dir));
  QI_TRY(LimitProcesses(plan, dir));
  QI_TRY(LimitCpu(plan, dir));
  for (const IoLimit& limit : List(jail.blob, plan.io_limits)) QI_TRY(LimitDevice(limit, dir));
  return Ok();
}

}  // namespace qi
