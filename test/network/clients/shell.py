"""Does one thing after the other and prints a line for each: python3 shell.py COMMAND...

connect HOST PORT   keeps the connection, says ok, an errno or a resolver's error
udp HOST PORT       sends and waits for the same datagram
associate HOST PORT connects a datagram socket, and sends nothing
echo                on every connection that is open
close               the oldest connection
listen HOST PORT    and echoes whatever connects
mark WORD           says it, then waits for a line of input
"""
import errno
import socket
import sys
import threading

connections = []
GAI = {socket.EAI_NONAME: "NONAME", socket.EAI_AGAIN: "AGAIN", socket.EAI_FAIL: "FAIL", socket.EAI_NODATA: "NODATA"}


def where(host, port, kind):
    return socket.getaddrinfo(host, int(port), 0, kind)[0]


def connect(host, port):
    family, kind, proto, _, address = where(host, port, socket.SOCK_STREAM)
    sock = socket.socket(family, kind, proto)
    sock.settimeout(30)
    sock.connect(address)
    connections.append(sock)
    return "ok"


def udp(host, port):
    family, kind, proto, _, address = where(host, port, socket.SOCK_DGRAM)
    sock = socket.socket(family, kind, proto)
    sock.settimeout(2)
    sock.sendto(b"ping", address)
    data, peer = sock.recvfrom(100)
    return "ok" if data == b"ping" and peer[:2] == address[:2] else "wrong"


def associate(host, port):
    family, kind, proto, _, address = where(host, port, socket.SOCK_DGRAM)
    socket.socket(family, kind, proto).connect(address)
    return "ok"


def echo():
    for sock in connections:
        sock.sendall(b"x")
        if sock.recv(1) != b"x":
            return "cut"
    return "ok %d" % len(connections)


def close():
    connections.pop(0).close()
    return "ok"


def serve(server):
    while True:
        peer, _ = server.accept()
        peer.sendall(peer.recv(100))
        peer.close()


def listen(host, port):
    family, kind, proto, _, address = where(host, port, socket.SOCK_STREAM)
    server = socket.socket(family, kind, proto)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(address)
    server.listen(16)
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    return "ok"


def mark(word):
    print(word, flush=True)
    sys.stdin.readline()
    return "went on"


COMMANDS = {run.__name__: run for run in (connect, udp, associate, echo, close, listen, mark)}
for line in sys.argv[1:]:
    name, *words = line.split()
    try:
        result = COMMANDS[name](*words)
    except socket.gaierror as error:
        result = GAI.get(error.errno, str(error.errno))
    except socket.timeout:
        result = "timeout"
    except OSError as error:
        result = errno.errorcode.get(error.errno, str(error.errno))
    print(line + ": " + result, flush=True)
