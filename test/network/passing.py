"""Descriptors over local sockets, and a name that the kernel chooses: passing.py give|take|name FOLDER, reach NAME."""
import errno, json, os, socket, sys, threading, time

act, folder = sys.argv[1:]


def attempt(read):
    try:
        return read()
    except OSError as error:
        return errno.errorcode[error.errno]


def content(fd):
    return os.pread(fd, 10, 0).decode()


def give():
    server = socket.socket(socket.AF_UNIX)
    server.bind(folder + '/giver')
    server.listen()
    passed = [os.open(folder + '/secret', os.O_RDONLY), os.open(folder, os.O_RDONLY)]
    while True:
        peer, _ = server.accept()
        socket.send_fds(peer, [b'x'], passed)
        peer.close()


def take():
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(folder + '/giver')
    _, (file, place), *_ = socket.recv_fds(peer, 1, 2)
    took = {
        'by its path': attempt(lambda: open(folder + '/secret').read()),
        'as it was passed': attempt(lambda: content(file)),
        'in the folder': attempt(lambda: content(os.open('secret', os.O_RDONLY, dir_fd=place))),
    }
    print(json.dumps(took))


def answer(server):
    while True:
        server.accept()[0].send(b'own')


def name():
    server = socket.socket(socket.AF_UNIX)
    server.bind('')
    server.listen()
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    chosen = server.getsockname()
    client = socket.socket(socket.AF_UNIX)
    said = attempt(lambda: client.connect(chosen) or client.recv(3).decode())
    with open(folder + '/part', 'w') as file:
        file.write(chosen[1:].decode())
    os.rename(folder + '/part', folder + '/name')
    while not os.path.exists(folder + '/go'):
        time.sleep(0.02)
    print('answered' if said in ('own', 'EACCES') else said)


def reach():
    client = socket.socket(socket.AF_UNIX)
    print(attempt(lambda: client.connect('\0' + folder) or client.recv(3).decode()))


{'give': give, 'take': take, 'name': name, 'reach': reach}[act]()
