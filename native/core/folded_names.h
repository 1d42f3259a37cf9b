// Names as file systems compare them that ignore more than bytes: ASCII letters in either case (vfat, SMB, casefolded
// ext4), what Unicode folds to an ASCII letter, characters that say nothing (casefolded ext4, HFS+), dots and spaces at
// the end (vfat, SMB). May run in: monitor.
#pragma once

namespace qi {

// Whether some file system could take `path` for `folder` or for something in it. Of one name each: for the same name.
bool WithinFolded(const char* path, const char* folder);

}  // namespace qi
