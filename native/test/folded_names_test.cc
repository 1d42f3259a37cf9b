#include "core/folded_names.h"

#include "test/check.h"

using qi::WithinFolded;

TEST(NamesThatAFileSystemCouldTakeForAnother) {
  for (const char* name :
       {".vscode", ".VSCode",
        ".v\xc5\xbf"
        "code",
        ".vs\xe2\x80\x8c"
        "code",
        "\xef\xbb\xbf.vscode", ".vscode\xe2\x81\xa0", ".vscode.", ".vscode. .", ".vscode/x", ".VSCODE./x"}) {
    CHECK(WithinFolded(name, ".vscode"));
  }
  CHECK(WithinFolded("wor\xe2\x84\xaa", "work"));
  for (const char* name : {".vscod", ".vscodes", ".vscode.x", "..vscode", "vscode",
                           ".v\xc5\xa1"
                           "code",
                           "", "."}) {
    CHECK(!WithinFolded(name, ".vscode"));
  }
}

TEST(NamesThatAreNoUnicode) {
  CHECK(
      !WithinFolded(".vs\xff"
                    "code",
                    ".vscode"));
  CHECK(!WithinFolded(".vscode\xe2\x80", ".vscode"));
  CHECK(WithinFolded("a\xff", "a\xff"));
}

TEST(FoldersOnTheWay) {
  CHECK(WithinFolded("/w/.GIT./hooks/x", "/w/.git/hooks"));
  CHECK(WithinFolded("/w/.git/hooks", "/w/.git/hooks"));
  CHECK(!WithinFolded("/w/.git", "/w/.git/hooks"));
  CHECK(!WithinFolded("/w/.git/hooksx", "/w/.git/hooks"));
  CHECK(!WithinFolded("/w/x/.git/hooks", "/w/.git/hooks"));
  CHECK(WithinFolded("/w/.git/hooks", "/w"));
}

CHECK_MAIN()
