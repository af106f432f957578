"""Opens sockets on the real kernel, as inspect.test.ts asks for them.

Reads lines of JSON from standard input, each a call: ["name", arguments ...]. Writes a line of JSON for each: the value,
or {"error": text}. Sockets go by the names that the test gives them.
"""
import fcntl
import json
import os
import pty
import socket
import struct
import subprocess
import sys
import termios

named = {}


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sock(name, family, kind):
    named[name] = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, kind)
    return named[name]


def listen(name, family, address, port, backlog, v6only):
    s = sock(name, family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if v6only:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, port))
    s.listen(backlog)


def connect(name, address, port, peer, peer_port, wait):
    s = sock(name, 6 if ":" in address else 4, socket.SOCK_STREAM)
    s.bind((address, port))
    s.setblocking(wait)
    try:
        s.connect((peer, peer_port))
    except BlockingIOError:
        pass
    s.setblocking(True)


def accept(listener, name):
    named[name] = named[listener].accept()[0]


def send(name, count):
    return named[name].send(b"x" * count)


def recv(name, count):
    return len(named[name].recv(count, socket.MSG_WAITALL))


def shutdown(name):
    named[name].shutdown(socket.SHUT_WR)


def close(name):
    named.pop(name).close()


def keepalive(name):
    named[name].setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def udp(name, family, address, port):
    sock(name, family, socket.SOCK_DGRAM).bind((address, port))


def raw(name, family, protocol):
    named[name] = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_RAW, protocol)


def aim(name, address, port):
    named[name].connect((address, port))


def sendto(name, count, address, port):
    return named[name].sendto(b"x" * count, (address, port))


UNIX_TYPES = {"stream": socket.SOCK_STREAM, "dgram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}


def unix_name(path):
    return "\0" + path[1:] if path.startswith("@") else path


def unixBind(name, kind, path):
    """A path is a name only: no other run of this finds the file."""
    named[name] = s = socket.socket(socket.AF_UNIX, UNIX_TYPES[kind])
    if not path.startswith("@") and os.path.exists(path):
        os.unlink(path)
    s.bind(unix_name(path))
    if not path.startswith("@"):
        os.unlink(path)


def unixListen(name, kind, path, backlog):
    unixBind(name, kind, path)
    named[name].listen(backlog)


def unixConnect(name, kind, path):
    named[name] = socket.socket(socket.AF_UNIX, UNIX_TYPES[kind])
    named[name].connect(unix_name(path))


def unixPair(first, second, kind):
    named[first], named[second] = socket.socketpair(socket.AF_UNIX, UNIX_TYPES[kind])


def inodes():
    """The inode of every socket, by its descriptor."""
    return {str(s.fileno()): os.fstat(s.fileno()).st_ino for s in named.values()}


def infos():
    """TCP_INFO of every TCP socket, in hexadecimal, by its descriptor."""
    streams = [s for s in named.values() if s.type == socket.SOCK_STREAM and s.family != socket.AF_UNIX]
    return {str(s.fileno()): s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256).hex() for s in streams}


def terminal(columns, *command):
    """What a command writes to a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    child.wait()
    os.close(master)
    return text.decode()


calls = [listen, connect, accept, send, recv, shutdown, close, keepalive, udp, raw, aim, sendto, unixBind, unixListen]
calls += [unixConnect, unixPair, inodes, infos, terminal]
table = {f.__name__: f for f in calls}
for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = table[name](*arguments)
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
