"""What a hostile payload tries. Prints one JSON object: act -> 'ok', the name of an errno, or what it got."""
import ctypes, errno, fcntl, json, os, resource, socket, subprocess, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
X64 = os.uname().machine == 'x86_64'
home, victim = os.environ['HOME'], int(os.environ['VICTIM'])
temp = os.environ['TMPDIR']


def call(x64, arm64, *args):
    got = libc.syscall(x64 if X64 else arm64, *args)
    if got < 0:
        raise OSError(ctypes.get_errno(), '')
    return got


def talk(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        return s.recv(4).decode()


def write(path, mode='a'):
    with open(path, mode) as f:
        f.write('x')


def put(path, mode):
    write(path)
    os.chmod(path, mode)
    os.utime(path, (7, 7))
    st = os.stat(path)
    return f'{st.st_mode & 0o7777:o} {int(st.st_mtime)}'


def own_socket():
    path = temp + '/s'
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        threading.Thread(target=lambda: server.accept()[0].send(b'mine')).start()
        return talk(path)


def given_name():
    ours, theirs = socket.socketpair()
    for option in (34, 76, 16):  # SO_PASSSEC, SO_PASSPIDFD, SO_PASSCRED
        try:
            ours.setsockopt(socket.SOL_SOCKET, option, 1)
        except OSError as error:
            # Not every kernel has each; what is refused is refused before it is looked up.
            if error.errno == errno.EPERM:
                raise
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        path = f'{temp}/named-{os.getpid()}'
        server.bind(path)
        server.listen()
        client.connect(path)
        return 'ok' if client.getsockname()[:1] == b'\0' else 'unnamed'


def options():
    with socket.socket(socket.AF_UNIX) as local, socket.socket(socket.AF_INET6) as tcp:
        local.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def child():
    process = subprocess.Popen(['sleep', '100'])
    process.kill()
    return process.wait()


def named(path):
    with open(path, 'x') as f:
        f.write('x')


def shared_memory():
    segment = call(29, 194, 0, 4096, 0o1600)
    call(31, 195, segment, 0, None)  # IPC_RMID


def queue():
    os.close(call(240, 180, b'qi-tier', 0o102, 0o600, None))
    call(241, 181, b'qi-tier')


def in_dev_shm():
    path = f'/dev/shm/qi-tier-{os.getpid()}'
    named(path)
    os.unlink(path)


def in_child(act):
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, '')


ACTS = {
    # files
    'read a secret': lambda: open(home + '/.ssh/id').read(),
    'list home': lambda: len(os.listdir(home)) > 0,
    'write outside': lambda: write(home + '/outside'),
    'truncate outside': lambda: os.truncate(home + '/victim-file', 0),
    'truncate outside by open': lambda: os.close(os.open(home + '/victim-file', os.O_RDONLY | os.O_TRUNC)),
    'chmod outside': lambda: os.chmod(home + '/victim-file', 0o604),
    'times outside': lambda: os.utime(home + '/victim-file', (3, 3)),
    'chown outside': lambda: os.chown(home + '/victim-file', os.getuid(), os.getgid()),
    'unlink outside': lambda: os.unlink(home + '/doomed'),
    'rename outside': lambda: os.rename(home + '/moved', home + '/away'),
    'watch outside': lambda: call(254, 27, libc.inotify_init(), home.encode(), 0x100) and None,
    'write inside': lambda: put('made', 0o640),
    'set-uid inside': lambda: os.chmod('made', 0o4755),
    'write what is read-only': lambda: write('read-only/file'),
    'chmod what is read-only': lambda: os.fchmod(os.open('read-only/file', os.O_RDONLY), 0o604),
    'flags of what is read-only': lambda: fcntl.ioctl(os.open('read-only/file', os.O_RDONLY), 0x40086602, b'\x40\0\0\0' * 2),
    'a link to the outside': lambda: (os.symlink(home, 'out'), write('out/by-link')),
    'work in .git': lambda: (write('.git/index.lock'), os.rename('.git/index.lock', '.git/index')),
    'write a hook': lambda: write('.git/hooks/pre-commit'),
    'write the config': lambda: write('.git/config'),
    'chmod the config': lambda: os.chmod('.git/config', 0o666),
    'a second name for the config': lambda: os.link('.git/config', 'config-2'),
    'move the hooks away': lambda: os.rename('.git/hooks', 'hooks'),
    'move .git away': lambda: os.rename('.git', 'git'),
    'open the temporary folder to others': lambda: os.chmod(temp, 0o755),
    'make .env': lambda: named('.env'),
    'make .ENV': lambda: named('.ENV'),
    'move to .envrc': lambda: (named('envrc'), os.rename('envrc', '.envrc')),
    'make .vscode': lambda: os.mkdir('.vscode'),
    'folders and links': lambda: (os.makedirs('a/b'), write('a/b/f'), os.link('a/b/f', 'g'), os.rename('a/b', 'c'), os.unlink('c/f'), os.rmdir('c')),
    'cut a file': lambda: (write('cut'), os.truncate('cut', 0), str(os.stat('cut').st_size))[2],
    'grow a file': lambda: (write('grown'), os.truncate('grown', 1000), str(os.stat('grown').st_size))[2],
    'grow a file beyond the limit': lambda: (write('grown'), os.truncate('grown', 1 << 40)),
    'temporary files': lambda: put(temp + '/t', 0o600),
    # processes
    'signal another process': lambda: os.kill(victim, 0),
    'signal its group': lambda: os.killpg(os.getpgid(victim), 0),
    'signal everybody': lambda: os.kill(-1, 0),
    'signal a thread': lambda: call(200, 130, victim, 0) and None,
    'signal oneself': lambda: os.kill(os.getpid(), 0),
    'end a child': child,
    'environment of another': lambda: open(f'/proc/{victim}/environ').read()[:6],
    'memory of another': lambda: open(f'/proc/{victim}/maps').read()[:0],
    'descriptors of another': lambda: open(f'/proc/{victim}/fd/0').read(0),
    'folder of another': lambda: os.readlink(f'/proc/{victim}/cwd')[:1],
    'one’s own environment': lambda: len(open('/proc/self/environ').read()) > 0,
    'limits of another': lambda: resource.prlimit(victim, resource.RLIMIT_NOFILE, resource.prlimit(victim, resource.RLIMIT_NOFILE)),
    'priority of another': lambda: os.setpriority(os.PRIO_PROCESS, victim, 19),
    'processor of another': lambda: os.sched_setaffinity(victim, os.sched_getaffinity(0)),
    'signals by a descriptor': lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, victim),
    'trace another': lambda: call(101, 117, 0x4206, victim, 0, 0),
    # reaching others
    'a socket of the host': lambda: talk(home + '/host.sock'),
    'an abstract socket of the host': lambda: talk('\0' + os.environ['ABSTRACT']),
    'take an abstract name': lambda: socket.socket(socket.AF_UNIX).bind('\0' + os.environ['ABSTRACT'] + '-2'),
    'have an abstract name given': given_name,
    'have a name chosen': lambda: socket.socket(socket.AF_UNIX).bind(''),
    'options of sockets': options,
    'one’s own socket': own_socket,
    'System V memory': shared_memory,
    'a POSIX queue': queue,
    'shared memory by name': in_dev_shm,
    # namespaces: in a child, since one that works changes the caller
    'a user namespace': lambda: in_child(lambda: call(272, 97, 0x10000000)),
    'a mount': lambda: in_child(lambda: call(165, 40, b'none', b'/tmp', b'tmpfs', 0, None)),
}


def attempt(act):
    try:
        got = act()
        return got if isinstance(got, str) and got else 'ok'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


wanted = sys.argv[1:] or list(ACTS)
print(json.dumps({name: attempt(ACTS[name]) for name in wanted}))
