"""A name whose address changes: python3 changing.py NAME PORT. Says each step and waits for a line between them."""
import socket
import sys
import time

NAME, PORT = sys.argv[1], int(sys.argv[2])


def lookup():
    return sorted({i[4][0] for i in socket.getaddrinfo(NAME, PORT, socket.AF_INET, socket.SOCK_STREAM)})


def echo(sock):
    sock.sendall(b"x")
    return sock.recv(1) == b"x"


first = lookup()
open_one = socket.create_connection((first[0], PORT))
print("first", *first, flush=True)
sys.stdin.readline()
end = time.monotonic() + 40
while lookup() == first and time.monotonic() < end:
    time.sleep(0.2)
print("second", *lookup(), flush=True)
print("open connection", "ok" if echo(open_one) else "cut", flush=True)
again = socket.create_connection((first[0], PORT))
print("first address", "ok" if echo(again) else "cut", flush=True)
new = socket.create_connection((lookup()[0], PORT))
print("second address", "ok" if echo(new) else "cut", flush=True)
