"""Raw sockets as programs use them: python3 sockets.py CASE HOST PORT. Prints one line that begins with "ok"."""
import errno
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

HOST, PORT = sys.argv[2], int(sys.argv[3])
FAMILY = socket.AF_INET6 if ":" in HOST else socket.AF_INET
HELLO = b"hello from inside\n"


def resolve(kind=socket.SOCK_STREAM):
    return socket.getaddrinfo(HOST, PORT, 0, kind)[0]


def make():
    family, kind, proto, _, where = resolve()
    return socket.socket(family, kind, proto), where


def echo(sock, data=HELLO):
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        part = sock.recv(65536)
        if not part:
            raise SystemExit("the peer closed early")
        got += part
    if got != data:
        raise SystemExit("other bytes came back")
    return "ok echo"


def started(sock, where):
    """A non-blocking connect: in progress, or done at once."""
    sock.setblocking(False)
    code = sock.connect_ex(where)
    if code not in (0, errno.EINPROGRESS):
        raise SystemExit("connect_ex: " + errno.errorcode.get(code, str(code)))


def finished(sock):
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise SystemExit("SO_ERROR: " + errno.errorcode.get(code, str(code)))
    sock.setblocking(True)
    return echo(sock)


def blocking():
    sock, where = make()
    sock.connect(where)
    return echo(sock)


def nonblocking():
    sock, where = make()
    started(sock, where)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        code = sock.connect_ex(where)  # the loop of old programs: until EISCONN
        if code in (0, errno.EISCONN):
            return finished(sock)
        if code not in (errno.EALREADY, errno.EINPROGRESS):
            return "failed " + errno.errorcode[code]
        time.sleep(0.001)
    return "failed: never connected"


def poll():
    sock, where = make()
    started(sock, where)
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    if not poller.poll(20000):
        return "failed: poll saw nothing"
    return finished(sock)


def select_():
    sock, where = make()
    started(sock, where)
    if not select.select([], [sock], [], 20)[1]:
        return "failed: select saw nothing"
    return finished(sock)


def epoll(events):
    """Registered before connect, with the events of `events`; the payload's later modify and unregister must work."""
    sock, where = make()
    sock.setblocking(False)
    epoll = select.epoll()
    epoll.register(sock, events)
    epoll.poll(0)
    started(sock, where)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for _, got in epoll.poll(1):
            if got & select.EPOLLOUT and not got & select.EPOLLHUP:
                sock.send(HELLO)
                epoll.modify(sock, select.EPOLLIN | (events & select.EPOLLET))
            if got & select.EPOLLIN:
                data = sock.recv(100)
                epoll.unregister(sock)
                return "ok epoll" if data == HELLO else "failed: other bytes"
    return "failed: epoll saw nothing"


def options():
    """Set before connect, read after."""
    sock, where = make()
    wanted = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, 50000),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, 60000),
        (socket.SOL_SOCKET, socket.SO_OOBINLINE, 1),
    ]
    for level, name, value in wanted:
        sock.setsockopt(level, name, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 9, 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
    before = [sock.getsockopt(level, name) for level, name, _ in wanted]
    sock.connect(where)
    after = [sock.getsockopt(level, name) for level, name, _ in wanted]
    if before != after:
        return "failed: %s became %s" % (before, after)
    timeout = struct.unpack("ll", sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))
    linger = struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
    if timeout != (9, 0) or linger != (1, 3):
        return "failed: timeout %s linger %s" % (timeout, linger)
    return echo(sock)


def names():
    sock, where = make()
    sock.connect(where)
    peer, own = sock.getpeername(), sock.getsockname()
    if peer[:2] != where[:2]:
        return "failed: peer %s instead of %s" % (peer, where)
    kind = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    if kind != socket.SOCK_STREAM or own[1] == 0:
        return "failed: type %s, own %s" % (kind, own)
    return echo(sock)


def half_close():
    sock, where = make()
    sock.connect(where)
    sock.sendall(HELLO)
    sock.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        part = sock.recv(100)
        if not part:
            break
        got += part
    return "ok half" if got == HELLO else "failed: %r" % got


def bound():
    """bind to port 0 of any address before connect, as some clients do."""
    sock, where = make()
    sock.bind(("::" if sock.family == socket.AF_INET6 else "0.0.0.0", 0))
    sock.connect(where)
    return echo(sock)


def mapped():
    """An IPv4 host through an IPv6 socket, as Java does."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    where = [i[4] for i in socket.getaddrinfo(HOST, PORT, socket.AF_INET, socket.SOCK_STREAM)][0]
    sock.connect(("::ffff:" + where[0], PORT))
    return echo(sock)


def timeout():
    """Nobody answers there: the program's own deadline counts."""
    sock, where = make()
    sock.settimeout(1.5)
    began = time.monotonic()
    try:
        sock.connect(where)
    except socket.timeout:
        took = time.monotonic() - began
        return "ok timeout" if 1.2 < took < 15 else "failed: after %.1f s" % took
    except OSError as error:
        return "failed " + errno.errorcode[error.errno]
    return "failed: connected"


def send_timeout():
    """SO_SNDTIMEO bounds a blocking connect (socket(7))."""
    sock, where = make()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
    began = time.monotonic()
    code = sock.connect_ex(where)
    took = time.monotonic() - began
    return "ok timeout" if code == errno.EINPROGRESS and took < 15 else "failed %s after %.1f s" % (code, took)


def interrupted():
    """SIGALRM in a blocking connect that hangs: the handler runs, and may leave."""

    class Alarm(Exception):
        pass

    def on_alarm(*_):
        raise Alarm

    sock, where = make()
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(1)
    began = time.monotonic()
    try:
        sock.connect(where)
    except Alarm:
        took = time.monotonic() - began
        sock.close()
        return "ok alarm" if took < 15 else "failed: after %.1f s" % took
    return "failed: connected"


def restarted():
    """A signal in a blocking connect whose handler restarts calls: it goes on waiting, as connect(2) itself would."""
    import ctypes

    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.siginterrupt(signal.SIGUSR1, False)
    sock, where = make()
    address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(where[1]), socket.inet_aton(where[0]))
    libc = ctypes.CDLL(None, use_errno=True)
    failed = []

    def wait():
        libc.connect(sock.fileno(), address, len(address))
        failed.append(ctypes.get_errno())

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    for _ in range(8):
        time.sleep(0.25)
        if not failed:
            signal.pthread_kill(waiter.ident, signal.SIGUSR1)
    print("ok alarms" if not failed else "failed: errno %d" % failed[0], flush=True)
    os._exit(0)


def interrupted_often():
    """A timer that fires all the time must not keep a connect from finishing. Its handler restarts calls, as runtimes'
    handlers do: a call that a signal meets before qi-monitor has seen it ends, by the kernel's rule, as that asks for."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        for _ in range(20):
            sock, where = make()
            sock.connect(where)
            echo(sock)
            sock.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "ok alarms"


def fork_before():
    """The child has the socket, too, and uses it; both see one connection."""
    sock, where = make()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready, 1)
        os._exit(0 if echo(sock) == "ok echo" else 1)
    sock.connect(where)
    os.write(told, b"x")
    status = os.waitpid(child, 0)[1]
    return echo(sock) if status == 0 else "failed: child %d" % status


def dup_before():
    sock, where = make()
    other = sock.dup()
    sock.connect(where)
    if other.getpeername()[:2] != where[:2]:
        return "failed: the duplicate is another socket"
    return echo(other) + " " + echo(sock)


def inherited():
    """Connected by one process, used by the program it becomes."""
    sock, where = make()
    sock.connect(where)
    sock.set_inheritable(True)
    code = "import socket;s=socket.socket(fileno=%d);s.sendall(b'x');print('ok',s.recv(1).decode())" % sock.fileno()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-c", code])


def threads():
    """Many threads, each with connections of its own."""
    wrong = []

    def work():
        try:
            for _ in range(10):
                sock, where = make()
                sock.connect(where)
                echo(sock, os.urandom(3000))
                sock.close()
        except BaseException as error:
            wrong.append(repr(error))

    crew = [threading.Thread(target=work) for _ in range(10)]
    [one.start() for one in crew]
    [one.join() for one in crew]
    return "failed: " + wrong[0] if wrong else "ok threads"


def in_a_row(count=1000):
    where = resolve()
    for _ in range(count):
        sock = socket.socket(*where[:3])
        sock.connect(where[4])
        echo(sock)
        sock.close()
    return "ok %d" % count


def at_once(count=200):
    where = resolve()
    crew = [socket.socket(*where[:3]) for _ in range(count)]
    for sock in crew:
        started(sock, where[4])
    waiting = {sock.fileno(): sock for sock in crew}
    poller = select.poll()
    [poller.register(fd, select.POLLOUT) for fd in waiting]
    end = time.monotonic() + 50
    while waiting and time.monotonic() < end:
        for fd, _ in poller.poll(1000):
            poller.unregister(fd)
            finished(waiting.pop(fd))
    return "ok %d" % count if not waiting else "failed: %d left" % len(waiting)


def download(size=2 << 30):
    sock, where = make()
    sock.connect(where)
    sock.sendall(b"source %d\n" % size)
    buffer, total = bytearray(1 << 20), 0
    while True:
        got = sock.recv_into(buffer)
        if got == 0:
            break
        total += got
    return "ok %d" % total if total == size else "failed: %d bytes" % total


def upload(size=2 << 30):
    sock, where = make()
    sock.connect(where)
    sock.sendall(b"sink\n")
    block = b"q" * (1 << 20)
    for _ in range(size >> 20):
        sock.sendall(block)
    sock.shutdown(socket.SHUT_WR)
    told = int(sock.makefile().readline())
    return "ok %d" % told if told == size else "failed: %d arrived" % told


def udp():
    family, kind, proto, _, where = resolve(socket.SOCK_DGRAM)
    sock = socket.socket(family, kind, proto)
    sock.settimeout(5)
    sock.sendto(b"ping", where)
    data, peer = sock.recvfrom(100)
    if data != b"ping" or peer[:2] != where[:2]:
        return "failed: %r from %s" % (data, peer)
    sock.connect(where)
    sock.send(b"pong")
    return "ok udp" if sock.recv(100) == b"pong" else "failed: connected"


def udp_refused():
    """No answer, or an error at once; never an answer."""
    family, kind, proto, _, where = resolve(socket.SOCK_DGRAM)
    sock = socket.socket(family, kind, proto)
    sock.settimeout(1)
    try:
        sock.sendto(b"ping", where)
        return "failed: %r" % (sock.recvfrom(100),)
    except socket.timeout:
        return "ok silence"
    except OSError as error:
        return "ok " + errno.errorcode[error.errno]


def refused():
    """Prints how the connect failed, and that it did so at once."""
    began = time.monotonic()
    try:
        sock, where = make()
    except socket.gaierror as error:
        name = {socket.EAI_NONAME: "NONAME", socket.EAI_AGAIN: "AGAIN", socket.EAI_FAIL: "FAIL"}.get(error.errno)
        return "ok %s %s" % (name or error.errno, "late" if time.monotonic() - began > 10 else "soon")
    code = sock.connect_ex(where)
    soon = "late" if time.monotonic() - began > 10 else "soon"
    return "ok %s %s" % (errno.errorcode.get(code, "connected"), soon)


CASES = {
    "epoll-level": lambda: epoll(select.EPOLLIN | select.EPOLLOUT),
    "epoll-edge": lambda: epoll(select.EPOLLIN | select.EPOLLOUT | select.EPOLLET),
    "select": select_,
    **{
        run.__name__.replace("_", "-"): run
        for run in (
            blocking, nonblocking, poll, options, names, half_close, bound, mapped, timeout, send_timeout, interrupted,
            restarted, interrupted_often, fork_before, dup_before, inherited, threads, in_a_row, at_once, download, upload, udp,
            udp_refused, refused,
        )
    },
}
print(CASES[sys.argv[1]](), flush=True)
