// Groups that a killed qi-monitor left, and the marks by which they are known for ours. Runs in: monitor.
#pragma once
#include "core/fd.h"

namespace qi {

inline constexpr char kGroupPrefix[] = "qi-jail-";
inline constexpr size_t kGroupNameSize = 32;

// "qi-jail-" and eight random hex digits.
void RandomGroupName(char (&name)[kGroupNameSize]);

bool IsGroupName(const char* name);

// Takes the lock that says "in use", then sets the mark that says "ours": what is marked and not locked was left.
// Returns 0 or an errno. EWOULDBLOCK, ENOENT: before it was locked, another launch took it for one that its maker had
// not lived to mark, and removes it.
int LockAndMark(int parent, const char* name, int dir);

// Opens and locks the directory if it has our kind of name, our mark and our user as its owner, and nobody holds its
// lock. Empty otherwise: it is somebody's.
UniqueFd OpenStale(int parent, const char* name);

// Removes each such group below `parent` with all that is in it, and those without a mark in which nothing is; anything
// else stays. Returns how many it removed.
int RemoveStale(int parent);

}  // namespace qi
