// getaddrinfo and connect as a statically linked C program does them: resolver HOST PORT. Linked with musl, its
// resolver sends both queries at once from one socket and reads the first name server that answers.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct addrinfo hints, *found, *one;
  char buffer[32] = "";
  int error;
  if (argc < 3) return 2;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  error = getaddrinfo(argv[1], argv[2], &hints, &found);
  if (error) {
    printf("failed %s\n", gai_strerror(error));
    return 1;
  }
  for (one = found; one; one = one->ai_next) {
    int fd = socket(one->ai_family, one->ai_socktype, one->ai_protocol);
    if (fd < 0) continue;
    if (connect(fd, one->ai_addr, one->ai_addrlen) == 0 && write(fd, "hello", 5) == 5 &&
        read(fd, buffer, sizeof buffer) == 5 && !strcmp(buffer, "hello")) {
      printf("ok musl\n");
      return 0;
    }
    close(fd);
  }
  perror("failed");
  return 1;
}
