"""What the bench measures inside and outside a jail: python3 client.py WHAT HOST PORT COUNT [PROXY-PORT]. Prints JSON.

connect     microseconds of each socket() and connect(), through a proxy also of CONNECT and its answer
receive     seconds for COUNT bytes, the connection not counted
resolve     microseconds of each query for HOST, over UDP, to the name server of resolv.conf
hold        opens COUNT connections, says so, and waits for the end of its input
"""
import json
import re
import socket
import struct
import sys
import time

WHAT, HOST, PORT, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
PROXY = int(sys.argv[5]) if len(sys.argv) > 5 else 0
WARM_UP = 20


def target():
    if PROXY:
        return ("127.0.0.1", PROXY)
    return socket.getaddrinfo(HOST, PORT, socket.AF_INET, socket.SOCK_STREAM)[0][4]


def connected(where):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect(where)
    if PROXY:
        sock.sendall(b"CONNECT %s:%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (HOST.encode(), PORT, HOST.encode()))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += sock.recv(4096)
        if b" 200 " not in answer:
            raise SystemExit(answer)
    return sock


def connect():
    where, took = target(), []
    for _ in range(COUNT + WARM_UP):
        began = time.perf_counter_ns()
        sock = connected(where)
        took.append((time.perf_counter_ns() - began) / 1000)
        sock.close()
    return took[WARM_UP:]


def receive():
    sock = connected(target())
    sock.sendall(b"GET /bytes/%d HTTP/1.0\r\nHost: %s\r\n\r\n" % (COUNT, HOST.encode()))
    buffer, total = bytearray(1 << 20), 0
    sock.recv(1)
    began = time.perf_counter()
    while True:
        got = sock.recv_into(buffer)
        if got == 0:
            break
        total += got
    took = time.perf_counter() - began
    if total < COUNT:
        raise SystemExit("only %d bytes" % total)
    return [took]


def resolve():
    server = re.search(r"^nameserver\s+(\S+)", open("/etc/resolv.conf").read(), re.M).group(1)
    question = b"".join(bytes([len(label)]) + label.encode() for label in HOST.split(".")) + b"\0\0\1\0\1"
    sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.connect((server, 53))
    took = []
    for number in range(COUNT + WARM_UP):
        query = struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + question
        began = time.perf_counter_ns()
        sock.send(query)
        answer = sock.recv(4096)
        took.append((time.perf_counter_ns() - began) / 1000)
        if answer[:2] != query[:2] or answer[3] & 15 or answer[7] == 0:
            raise SystemExit("no answer: %r" % answer)
    return took[WARM_UP:]


def hold():
    where = target()
    crew = [connected(where) for _ in range(COUNT)]
    print("open", flush=True)
    sys.stdin.read()
    return [len(crew)]


print(json.dumps({"connect": connect, "receive": receive, "resolve": resolve, "hold": hold}[WHAT]()))
