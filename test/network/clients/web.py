"""HTTP as Python programs do it: python3 web.py CASE URL. Prints what the server said."""
import asyncio
import http.client
import ssl
import sys
import urllib.parse
import urllib.request

CASE, URL = sys.argv[1:3]
PARTS = urllib.parse.urlsplit(URL)


def urllib_():
    with urllib.request.urlopen(URL, timeout=20) as answer:
        return answer.read().decode()


def keep_alive():
    """Two requests on one connection, as requests and boto do."""
    kind = http.client.HTTPSConnection if PARTS.scheme == "https" else http.client.HTTPConnection
    connection = kind(PARTS.hostname, PARTS.port, timeout=20)
    text = ""
    for _ in range(2):
        connection.request("GET", "/")
        text += connection.getresponse().read().decode()
    return text


async def get():
    secure = ssl.create_default_context() if PARTS.scheme == "https" else None
    port = PARTS.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(
        PARTS.hostname, port, ssl=secure, happy_eyeballs_delay=0.25
    )
    writer.write(("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % PARTS.hostname).encode())
    text = (await reader.read()).decode()
    writer.close()
    return text.split("\r\n\r\n", 1)[1]


async def many():
    return "".join(await asyncio.gather(*(get() for _ in range(20))))


CASES = {
    "urllib": urllib_,
    "keep-alive": keep_alive,
    "asyncio": lambda: asyncio.run(get()),
    "asyncio-many": lambda: asyncio.run(many()),
}
print(CASES[CASE](), end="")
