// Test-only. A small valid plan as bytes, for tests to spoil.
#ifndef QI_TEST_PLAN_BUILDER_H_
#define QI_TEST_PLAN_BUILDER_H_

#include <cstring>
#include <string>
#include <vector>

#include "core/plan.h"

namespace qi_check {

class PlanBuilder {
 public:
  PlanBuilder() : bytes_(sizeof(qi::Plan)) {
    plan().magic = qi::kPlanMagic;
    plan().version = qi::kPlanVersion;
    Set(&qi::Plan::exec_path, "/usr/bin/true");
    Set(&qi::Plan::cwd, "/tmp");
    for (auto text :
         {&qi::Plan::hostname, &qi::Plan::audit_head, &qi::Plan::launch_params, &qi::Plan::profile_name,
          &qi::Plan::command_line, &qi::Plan::network_rules, &qi::Plan::resolver, &qi::Plan::cgroup_mount,
          &qi::Plan::cgroup_parent, &qi::Plan::bus_socket, &qi::Plan::imported_rule, &qi::Plan::temp_directory}) {
      Set(text, "");
    }
    for (auto filter : {&qi::Plan::payload_filter, &qi::Plan::init_filter, &qi::Plan::monitor_filter}) {
      uint32_t at = Reserve(8);
      plan().*filter = {at, 8};
    }
    plan().gateway_filter = plan().keeper_filter = {Reserve(8), 0};
    plan().table_filter = plan().imported_filter = {Reserve(8), 0};
    SetList(&qi::Plan::argv, std::vector<qi::PlanString>{Text("true")});
    for (auto list :
         {&qi::Plan::envp, &qi::Plan::guarded_grants, &qi::Plan::writable_paths, &qi::Plan::mediated_grants})
      SetList(list, std::vector<qi::PlanString>{});
  }

  // Valid until the next call that adds something.
  qi::Plan& plan() { return *reinterpret_cast<qi::Plan*>(bytes_.data()); }

  qi::PlanString Text(const std::string& text) {
    uint32_t at = Reserve(text.size() + 1);
    memcpy(bytes_.data() + at, text.data(), text.size());
    return {at, static_cast<uint32_t>(text.size())};
  }

  void Set(qi::PlanString qi::Plan::*field, const std::string& text) {
    qi::PlanString s = Text(text);
    plan().*field = s;
  }

  template <typename T>
  qi::PlanList<T> List(const std::vector<T>& items) {
    uint32_t at = Reserve(items.size() * sizeof(T));
    if (!items.empty()) memcpy(bytes_.data() + at, items.data(), items.size() * sizeof(T));
    return {at, static_cast<uint32_t>(items.size())};
  }

  template <typename T>
  void SetList(qi::PlanList<T> qi::Plan::*field, const std::vector<T>& items) {
    qi::PlanList<T> list = List(items);
    plan().*field = list;
  }

  qi::MountOp Mount(qi::MountKind kind, const std::string& source, const std::string& target) {
    qi::MountOp op = {};
    op.kind = kind;
    op.source = Text(source);
    op.target = Text(target);
    return op;
  }

  // A run without a host.
  void SetForeground(const std::string& id, const std::string& folder) {
    qi::ForegroundPlan one = {};
    one.telling = qi::Telling::kNothing;
    one.started = one.explained = Text("");
    one.ends = List(std::vector<qi::EndText>{});
    one.late_failures = List(std::vector<qi::LateFailure>{});
    one.retry = List(std::vector<qi::PlanString>{});
    one.control_folders = List(std::vector<qi::PlanString>{Text(folder)});
    one.id = Text(id);
    one.network_state = Text(R"({"mode":"none"})");
    SetList(&qi::Plan::foreground, std::vector<qi::ForegroundPlan>{one});
  }

  const std::vector<uint8_t>& Finish() {
    plan().size = static_cast<uint32_t>(bytes_.size());
    return bytes_;
  }

 private:
  uint32_t Reserve(size_t size) {
    size_t at = (bytes_.size() + 7) / 8 * 8;
    bytes_.resize(at + size);
    return static_cast<uint32_t>(at);
  }

  std::vector<uint8_t> bytes_;
};

}  // namespace qi_check

#endif  // QI_TEST_PLAN_BUILDER_H_
