#include "monitor/file_rules.h"

#include <cstring>

namespace qi {
namespace {

bool IsWithin(const char* path, const char* folder, size_t length) {
  if (length == 1) return true;  // "/"
  return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

}  // namespace

const FileRule* FileRules::Find(const char* path) const {
  // The longest first, as the plan's check made sure of.
  for (const FileRule& rule : List(jail_.blob, jail_.plan->file_rules)) {
    if (IsWithin(path, jail_.Text(rule.path), rule.path.length)) return &rule;
  }
  return nullptr;
}

bool FileRules::LeadsTo(const char* path) const {
  size_t length = strlen(path);
  for (const FileRule& rule : List(jail_.blob, jail_.plan->file_rules)) {
    if (rule.access != 0 && rule.path.length > length && IsWithin(jail_.Text(rule.path), path, length)) return true;
  }
  return false;
}

bool FileRules::LandlockAllows(const char* path, uint64_t wanted) const {
  uint64_t left = wanted & jail_.plan->landlock_fs;
  for (const LandlockRule& rule : List(jail_.blob, jail_.plan->landlock_rules)) {
    if (left == 0) return true;
    if ((rule.access & left) != 0 && IsWithin(path, jail_.Text(rule.path), rule.path.length)) left &= ~rule.access;
  }
  return left == 0;
}

}  // namespace qi
