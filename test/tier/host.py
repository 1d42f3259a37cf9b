"""What of the host a payload must not reach: a process with a secret in its environment, and sockets that answer."""
import os, socket, subprocess, sys, threading

path, abstract = sys.argv[1:3]
if os.path.exists(path):
    os.unlink(path)
for name in (path, '\0' + abstract):
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen()

    def serve(listener):
        while True:
            connection, _ = listener.accept()
            connection.send(b'host')
            connection.close()

    threading.Thread(target=serve, args=(server,), daemon=True).start()
victim = subprocess.Popen(['sleep', '600'], start_new_session=True, stdin=subprocess.DEVNULL, env={'SECRET': 'mine'})
print(f'victim {victim.pid}', flush=True)
sys.stdin.read()
print(f'alive {victim.poll() is None}', flush=True)
victim.kill()
