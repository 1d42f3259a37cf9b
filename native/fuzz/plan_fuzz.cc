// Any bytes as a plan: the check answers, and what it accepts can be read to the end.
#include <cstdlib>
#include <vector>

#include "core/plan.h"

namespace {

size_t seen;  // keeps the reads from being optimised away

void Read(const qi::PlanBlob& blob, const qi::PlanString& s) { seen += strlen(qi::Str(blob, s)) - s.length; }

void Read(const qi::PlanBlob& blob, const qi::PlanBytes& b) {
  for (uint8_t byte : qi::Bytes(blob, b)) seen += byte;
}

void ReadLists(const qi::PlanBlob& blob, const qi::Plan& plan) {
  for (const auto& list : {plan.argv, plan.envp, plan.guarded_grants, plan.writable_paths}) {
    for (const qi::PlanString& s : qi::List(blob, list)) Read(blob, s);
  }
  for (const qi::MountOp& op : qi::List(blob, plan.mounts)) {
    Read(blob, op.source);
    Read(blob, op.target);
    Read(blob, op.data);
    if (qi::Str(blob, op.target)[0] != '/') abort();
  }
  for (const qi::LandlockRule& rule : qi::List(blob, plan.landlock_rules)) Read(blob, rule.path);
  for (const qi::Rlimit& limit : qi::List(blob, plan.rlimits)) seen += limit.value;
  uint64_t next = 0;
  for (const qi::SyscallRule& rule : qi::List(blob, plan.syscalls)) {
    Read(blob, rule.name);
    Read(blob, rule.rule);
    if (rule.number < next) abort();  // the search for a rule relies on the order
    next = uint64_t{rule.number} + 1;
  }
  for (const qi::GuardedName& name : qi::List(blob, plan.guarded_names)) {
    for (const auto& s : {name.parent, name.name, name.rule}) Read(blob, s);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of its own: at a page's start as in qi-monitor, and with nothing readable behind it.
  std::vector<uint64_t> aligned((size + 7) / 8);
  auto* bytes = reinterpret_cast<uint8_t*>(aligned.data());
  if (size > 0) memcpy(bytes, data, size);
  // The size field would stop nearly every mutation; what matters comes after it.
  if (size >= sizeof(qi::Plan)) reinterpret_cast<qi::Plan*>(bytes)->size = static_cast<uint32_t>(size);
  qi::PlanBlob blob;
  if (!qi::CheckPlan(bytes, size, &blob).ok()) return 0;
  const qi::Plan& plan = qi::PlanOf(blob);
  for (const auto& s : {plan.exec_path, plan.cwd, plan.hostname, plan.audit_head, plan.launch_params, plan.profile_name,
                        plan.command_line}) {
    Read(blob, s);
  }
  for (const auto& b :
       {plan.payload_filter, plan.table_filter, plan.imported_filter, plan.init_filter, plan.monitor_filter})
    Read(blob, b);
  ReadLists(blob, plan);
  return 0;
}
