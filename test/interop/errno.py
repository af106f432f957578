"""Makes socket calls on the real kernel and tells what came of each.

Reads lines of JSON from standard input, each a script: {"steps": [{"out": [names], "call": name, "args": [...]}], ...}.
Each runs in a process and, unless "shared" is set, in a network namespace of its own, with the addresses of
src/host/testing.ts on the interface d0. Writes a line for each: the outcomes, in the order of the steps.
"""
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TIMED = {20, 21}
# Seconds after which a call counts as one that blocks.
PATIENCE = 0.2


class Failed(Exception):
    pass


def code_of(number):
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


def check(result):
    if result < 0:
        raise Failed(code_of(ctypes.get_errno()))
    return result


def call(function, *args):
    return check(function(*args))


def pack_address(a):
    family = a.get("family")
    text = a.get("address")
    scope = a.get("scopeId", 0)
    port = a.get("port", 0)
    if text is not None and "%" in text:
        text, zone = text.split("%")
        scope = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    if family is None:
        family = socket.AF_INET6 if text is not None and ":" in text else socket.AF_INET
    if text is None:
        return struct.pack("=HH4s8x", family, socket.htons(port), b"\0\0\0\0")
    if ":" in text:
        body = struct.pack("=HHI16sI", family, socket.htons(port), 0, socket.inet_pton(socket.AF_INET6, text), scope)
        return body
    return struct.pack("=HH4s8x", family, socket.htons(port), socket.inet_pton(socket.AF_INET, text))


def format_address(raw):
    if len(raw) < 2:
        return "none"
    (family,) = struct.unpack("=H", raw[:2])
    if family == socket.AF_INET:
        port = struct.unpack("!H", raw[2:4])[0]
        host = socket.inet_ntop(socket.AF_INET, raw[4:8])
    elif family == socket.AF_INET6:
        port = struct.unpack("!H", raw[2:4])[0]
        host = "[" + socket.inet_ntop(socket.AF_INET6, raw[8:24]) + "]"
    else:
        return "family %d" % family
    return "%s:%s" % (host, "*" if 32768 <= port <= 60999 else port)


def pack_option(value):
    if isinstance(value, int):
        return struct.pack("=i", value - (1 << 32) if value >= (1 << 31) else value)
    if isinstance(value, str):
        return value.encode()
    kind = value["kind"]
    if kind == "linger":
        return struct.pack("=ii", value["l_onoff"], value["l_linger"])
    if kind == "time":
        return struct.pack("=qq", value["tv_sec"], value["tv_usec"])
    if kind == "mreq":
        return socket.inet_aton(value["group"]) + socket.inet_aton(value["interface"])
    if kind == "mreqn":
        return socket.inet_aton(value["group"]) + socket.inet_aton(value["address"]) + struct.pack("=i", value["index"])
    if kind == "mreq6":
        return socket.inet_pton(socket.AF_INET6, value["group"]) + struct.pack("=i", value["index"])
    if kind == "source":
        return b"".join(socket.inet_aton(value[k]) for k in ("group", "interface", "source"))
    if kind == "in_addr":
        return socket.inet_aton(value["address"])
    raise ValueError(kind)


def format_option(level, name, raw):
    if level == 1 and name == 13:
        return "linger:%d,%d" % struct.unpack("=ii", raw)
    if level == 1 and name in TIMED:
        return "time:%d,%d" % struct.unpack("=qq", raw)
    if (level == 6 and name == 13) or (level == 1 and name == 25):
        return raw.split(b"\0")[0].decode() or '""'
    if level == 0 and name == 32:
        return socket.inet_ntoa(raw)
    if len(raw) == 1:
        return str(raw[0])
    return str(struct.unpack("=i", raw[:4])[0])


class Epoll(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]


class PollFd(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]


class Runner:
    def __init__(self):
        self.fds = {}
        self.children = {}
        self.epolls = {}

    def fd(self, a):
        return self.fds[a["fd"]] if isinstance(a, dict) and "fd" in a else a

    def name_of(self, number):
        for name, fd in self.fds.items():
            if fd == number:
                return name
        return str(number)

    def step(self, step):
        args = [self.fd(a) for a in step["args"]]
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            result = getattr(self, "do_" + step["call"])(*args)
        except Failed as problem:
            for name in step["out"]:
                self.fds.setdefault(name, -1)
            waited = signal.getitimer(signal.ITIMER_REAL)[0] == 0
            return "blocks" if str(problem) == "EINTR" and waited else str(problem)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if step["out"]:
            values = result if isinstance(result, tuple) else (result,)
            for name, value in zip(step["out"], values):
                self.fds[name] = value
            return "ok"
        return str(result)

    def do_as(self, uid):
        os.setresgid(uid, uid, uid)
        os.setgroups([])
        os.setresuid(uid, uid, uid)
        return 0

    def do_sysctl(self, name, value):
        with open("/proc/sys/" + name.replace(".", "/"), "w") as f:
            f.write(str(value).replace(",", "\t"))
        return 0

    def do_wait(self, ms):
        time.sleep(ms / 1000)
        return 0

    def do_rlimit(self, n):
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
        return 0

    def do_null(self):
        return os.open("/dev/null", os.O_RDWR)

    def do_socket(self, domain, kind, protocol=0):
        return call(libc.socket, domain, kind, protocol)

    def do_socketpair(self, domain, kind, protocol=0):
        pair = (ctypes.c_int * 2)()
        call(libc.socketpair, domain, kind, protocol, pair)
        return (pair[0], pair[1])

    def do_bind(self, fd, address):
        raw = pack_address(address)
        return call(libc.bind, fd, raw, len(raw))

    def do_connect(self, fd, address):
        raw = pack_address(address)
        return call(libc.connect, fd, raw, len(raw))

    def do_listen(self, fd, backlog):
        return call(libc.listen, fd, backlog)

    def do_accept(self, fd, flags=0):
        return call(libc.accept4, fd, None, None, flags)

    def do_acceptfrom(self, fd):
        raw = ctypes.create_string_buffer(128)
        size = ctypes.c_uint32(128)
        check(libc.accept4(fd, raw, ctypes.byref(size), 0))
        return format_address(raw.raw[: size.value])

    def do_send(self, fd, count, flags=0):
        return call(libc.send, fd, b"x" * count, count, flags)

    def do_sendto(self, fd, count, flags, address):
        raw = pack_address(address)
        return call(libc.sendto, fd, b"x" * count, count, flags, raw, len(raw))

    def do_recv(self, fd, count, flags=0):
        buffer = ctypes.create_string_buffer(max(1, count))
        return call(libc.recv, fd, buffer, count, flags)

    def do_recvfrom(self, fd, count, flags=0):
        buffer = ctypes.create_string_buffer(max(1, count))
        raw = ctypes.create_string_buffer(128)
        size = ctypes.c_uint32(128)
        got = check(libc.recvfrom(fd, buffer, count, flags, raw, ctypes.byref(size)))
        return "%d from %s" % (got, format_address(raw.raw[: size.value]))

    def do_read(self, fd, count):
        buffer = ctypes.create_string_buffer(max(1, count))
        return call(libc.read, fd, buffer, count)

    def do_write(self, fd, count):
        return call(libc.write, fd, b"x" * count, count)

    def do_shutdown(self, fd, how):
        return call(libc.shutdown, fd, how)

    def do_getsockname(self, fd):
        raw = ctypes.create_string_buffer(128)
        size = ctypes.c_uint32(128)
        check(libc.getsockname(fd, raw, ctypes.byref(size)))
        return format_address(raw.raw[: size.value])

    def do_getpeername(self, fd):
        raw = ctypes.create_string_buffer(128)
        size = ctypes.c_uint32(128)
        check(libc.getpeername(fd, raw, ctypes.byref(size)))
        return format_address(raw.raw[: size.value])

    def do_setsockopt(self, fd, level, name, value):
        raw = pack_option(value)
        return call(libc.setsockopt, fd, level, name, raw, len(raw))

    def do_getsockopt(self, fd, level, name):
        raw = ctypes.create_string_buffer(512)
        wanted = 16 if level == 1 and name in TIMED else 8 if level == 1 and name == 13 else 4
        if (level == 6 and name in (11, 13)) or (level == 1 and name == 25):
            wanted = 256
        size = ctypes.c_uint32(wanted)
        check(libc.getsockopt(fd, level, name, raw, ctypes.byref(size)))
        return format_option(level, name, raw.raw[: size.value])

    def do_close(self, fd):
        return call(libc.close, fd)

    def do_dup(self, fd):
        return call(libc.dup, fd)

    def do_dup2(self, fd, to):
        return call(libc.dup2, fd, to)

    def do_dup3(self, fd, to, flags):
        return call(libc.dup3, fd, to, flags)

    def do_fcntl(self, fd, command, argument=0):
        return call(libc.fcntl, fd, command, ctypes.c_long(argument))

    def do_ioctl(self, fd, request, argument=0):
        value = ctypes.c_int(argument)
        check(libc.ioctl(fd, ctypes.c_ulong(request), ctypes.byref(value)))
        return value.value if request not in (0x5421, 0x5452) else 0

    def do_poll(self, fd, events):
        entry = PollFd(fd, events - 65536 if events > 32767 else events, 0)
        check(libc.poll(ctypes.byref(entry), 1, 0))
        return "mask:%d" % (entry.revents & 0xFFFF)

    def do_pollmany(self, count, timeout):
        return check(libc.poll((PollFd * max(1, count))(*[PollFd(-1, 0, 0)] * count), count, timeout))

    def do_select(self, fd):
        try:
            r, w, e = select.select([fd], [fd], [fd], 0)
        except OSError as problem:
            raise Failed(code_of(problem.errno))
        except ValueError:
            raise Failed("EBADF")
        return ("r" if r else "") + ("w" if w else "") + ("e" if e else "") or "none"

    def do_epoll_create(self, size):
        return call(libc.epoll_create, size)

    def do_epoll_create1(self, flags=0):
        return call(libc.epoll_create1, flags)

    def do_epoll_ctl(self, epfd, operation, fd, events=0):
        if events < 0:
            return call(libc.epoll_ctl, epfd, operation, fd, None)
        event = Epoll(events, fd & 0xFFFFFFFF)
        return call(libc.epoll_ctl, epfd, operation, fd, ctypes.byref(event))

    def do_epoll_wait(self, epfd, most):
        events = (Epoll * max(1, most))()
        count = check(libc.epoll_wait(epfd, events, most, 0))
        found = ["%s=%d" % (self.name_of(events[i].data), events[i].events) for i in range(count)]
        return "events:" + ",".join(found)

    def do_pipe(self):
        pair = (ctypes.c_int * 2)()
        call(libc.pipe, pair)
        return (pair[0], pair[1])

    def do_pipe2(self, flags):
        pair = (ctypes.c_int * 2)()
        call(libc.pipe2, pair, flags)
        return (pair[0], pair[1])

    def do_kill(self, pid, sig):
        return call(libc.kill, pid, sig)

    def do_killself(self, sig):
        return call(libc.kill, os.getpid(), sig)

    def do_sigaction(self, sig):
        try:
            signal.signal(sig, signal.SIG_IGN)
        except (OSError, ValueError):
            raise Failed("EINVAL")
        return 0

    def do_waitpid(self, pid):
        status = ctypes.c_int()
        return call(libc.waitpid, pid, ctypes.byref(status), 1)


def add_ipv4(control, label, address, bits):
    fcntl.ioctl(control, 0x8916, struct.pack("16sHH4s8x", label, socket.AF_INET, 0, socket.inet_aton(address)))
    mask = socket.inet_aton("255.255.255.0") if bits == 24 else socket.inet_aton("255.255.0.0")
    fcntl.ioctl(control, 0x891C, struct.pack("16sHH4s8x", label, socket.AF_INET, 0, mask))


def prepare():
    """A network namespace with lo up and the bridge d0, which has the addresses of the table."""
    check(libc.unshare(CLONE_NEWNET))
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
    with open("/proc/sys/net/ipv6/conf/default/accept_dad", "w") as f:
        f.write("0")
    # ip(8) is slow to start: what it would say is said by netlink here.
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.bind((0, 0))
    kind = struct.pack("=HH", 4 + 7, 1) + b"bridge\0" + b"\0"
    info = struct.pack("=HH", 4 + len(kind), 18) + kind
    name = struct.pack("=HH", 4 + 3, 3) + b"d0\0" + b"\0"
    body = struct.pack("=BxHiII", 0, 0, 0, 1, 1) + name + info
    message = struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body
    netlink.send(message)
    answer = netlink.recv(4096)
    code = struct.unpack("=i", answer[16:20])[0]
    if code != 0:
        raise OSError(-code, "no bridge interface")
    netlink.close()
    fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"d0", 0x41))
    add_ipv4(control, b"d0", "10.1.0.1", 24)
    add_ipv4(control, b"d0:1", "10.2.0.1", 24)
    control6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    index = socket.if_nametoindex("d0")
    for text in ("fd00:1::1", "fd00:2::1", "fe80::1"):
        fcntl.ioctl(control6, 0x8916, struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, text), 64, index))
    control.close()
    control6.close()
    # An address is tentative for a moment, even where nobody checks it.
    for text in ("fd00:1::1", "fd00:2::1", "fe80::1"):
        while True:
            probe = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            try:
                probe.bind((text, 0, 0, index))
                break
            except OSError:
                time.sleep(0.001)
            finally:
                probe.close()


def run(script):
    runner = Runner()
    runner.fds = {}
    return [runner.step(step) for step in script["steps"]]


def in_child(script):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            if not script.get("shared"):
                prepare()
            outcome = run(script)
        except BaseException as problem:
            outcome = ["broken: %r" % (problem,)]
        os.write(writer, json.dumps(outcome).encode())
        os._exit(0)
    os.close(writer)
    parts = []
    while True:
        part = os.read(reader, 65536)
        if not part:
            break
        parts.append(part)
    os.close(reader)
    os.waitpid(pid, 0)
    return b"".join(parts).decode()


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    if "--shared" in sys.argv:
        prepare()
    for line in sys.stdin:
        sys.stdout.write(in_child(json.loads(line)) + "\n")
        sys.stdout.flush()


main()
