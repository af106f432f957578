"""Makes socket calls on the real kernel and tells what came of each.

Reads lines of JSON from standard input, each a script: {"steps": [{"out": [names], "call": name, "args": [...]}],
"addresses": [...]}. Each runs in a process and a network namespace of its own, with the addresses on the interface d0;
or, where it has "hosts", {name: [addresses]}, in two namespaces with a cable between their interfaces eth0. Writes a
line for each: the outcomes, in the order of the steps.
"""
import ctypes
import errno
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TIMED = {20, 21}
# The descriptor that the outcomes are written to, and RLIMIT_NOFILE's upper bound.
RESULTS = 1500
# Of scripts with two machines: their namespaces and addresses, by name.
NAMESPACES = {}
ADDRESSES = {}
HARD_LIMIT = 2048
# Seconds after which a call counts as one that blocks.
PATIENCE = 0.2


# Ports that the system chose, and what names Unix sockets.
UNIMPORTANT = [
    (r":(3[2-9]|[45][0-9]|60)[0-9]{3}\b", ":*"),
    (r"^(unix \d+ \[[^\]]*\] \w+ (?:[A-Z]+ )?)\d+", r"\1#"),
    (r"^(u_\S+ \S+ \d+ \d+ \S+) \d+", r"\1 #"),
    (r"^(u_.* )[1-9]\d*$", r"\1#"),
    (r"@[0-9a-f]{5}\b", "@*"),
]


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
    if family == socket.AF_UNIX:
        path = a.get("path")
        if path is None:
            return struct.pack("=H", family)
        return struct.pack("=H", family) + path.encode() + (b"" if path.startswith("\0") else b"\0")
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
    elif family == socket.AF_UNIX:
        name = raw[2:].decode()
        if name == "":
            return "unnamed"
        return "@" + re.sub("^[0-9a-f]{5}$", "*", name[1:]) if name.startswith("\0") else name.rstrip("\0")
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
        return socket.inet_aton(value["imr_multiaddr"]) + socket.inet_aton(value["imr_address"])
    if kind == "mreqn":
        group = socket.inet_aton(value["imr_multiaddr"])
        return group + socket.inet_aton(value["imr_address"]) + struct.pack("=i", value["imr_ifindex"])
    if kind == "mreq6":
        group = socket.inet_pton(socket.AF_INET6, value["ipv6mr_multiaddr"])
        return group + struct.pack("=i", value["ipv6mr_interface"])
    if kind == "source":
        return b"".join(socket.inet_aton(value[k]) for k in ("imr_multiaddr", "imr_interface", "imr_sourceaddr"))
    if kind == "in":
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


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


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

    def do_host(self, name):
        """The calls that follow are made on this machine."""
        self.host = name
        check(libc.setns(NAMESPACES[name], CLONE_NEWNET))
        return 0

    def tool(self, *command):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (HARD_LIMIT, HARD_LIMIT))
        text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        rows = [" ".join(line.split()) for line in text.splitlines()]
        for pattern, instead in UNIMPORTANT:
            rows = [re.sub(pattern, instead, row) for row in rows]
        return " | ".join(sorted(rows))

    def do_netstat(self, options="-Hant"):
        # By then what waits for a delayed ACK has one.
        time.sleep(0.06)
        text = self.tool("netstat", options.replace("H", ""))
        return " | ".join(row for row in text.split(" | ") if re.match("tcp|udp|raw|unix", row))

    def do_ss(self, options):
        return self.tool("ss", "-H", options)

    def do_neighbour(self, mac):
        """Where packets to the other machine go."""
        other = next(name for name in NAMESPACES if name != self.host)
        for address in ADDRESSES[other]:
            entry = [address.split("/")[0], "lladdr", mac, "dev", "eth0", "nud", "permanent"]
            subprocess.run(["ip", "neigh", "replace", *entry], check=True)
        return 0

    def do_cut(self):
        return self.do_neighbour("02:00:00:00:00:ff")

    def do_join(self):
        return self.do_neighbour(mac_of(next(name for name in NAMESPACES if name != self.host)))

    def do_as(self, uid):
        os.setresgid(uid, uid, uid)
        os.setgroups([])
        os.setresuid(uid, uid, uid)
        return 0

    def do_sysctl(self, name, value):
        with open("/proc/sys/" + name.replace(".", "/"), "w") as f:
            f.write(str(value).replace(",", " "))
        return 0

    def do_wait(self, ms):
        time.sleep(ms / 1000)
        return 0

    def do_leave(self, n):
        """So many more descriptors can be had."""
        fd = os.dup(0)
        os.close(fd)
        return self.do_rlimit(fd + n)

    def do_rlimit(self, n):
        resource.setrlimit(resource.RLIMIT_NOFILE, (n, HARD_LIMIT))
        return 0

    def do_null(self):
        fd = os.open("/dev/null", os.O_RDWR)
        os.set_inheritable(fd, True)
        return fd

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

    def do_fill(self, fd):
        for _ in range(5):
            try:
                while True:
                    call(libc.send, fd, b"x" * 10000, 10000, 0x40)
            except Failed:
                time.sleep(0.1)
        return "full"

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

    def do_sendmsg(self, fd, parts, count, flags=0, address=None):
        vectors = (Iovec * max(1, parts))()
        kept = [ctypes.create_string_buffer(b"x" * count, max(1, count)) for _ in range(parts)]
        for i in range(parts):
            vectors[i] = Iovec(ctypes.cast(kept[i], ctypes.c_void_p), count)
        raw = None if address is None else pack_address(address)
        name = ctypes.cast(ctypes.c_char_p(raw), ctypes.c_void_p) if raw else None
        message = Msghdr(name, len(raw) if raw else 0, vectors, parts, None, 0, 0)
        return call(libc.sendmsg, fd, ctypes.byref(message), flags)

    def do_recvmsg(self, fd, parts, count, flags=0):
        vectors = (Iovec * max(1, parts))()
        kept = [ctypes.create_string_buffer(max(1, count)) for _ in range(parts)]
        for i in range(parts):
            vectors[i] = Iovec(ctypes.cast(kept[i], ctypes.c_void_p), count)
        raw = ctypes.create_string_buffer(128)
        message = Msghdr(ctypes.cast(raw, ctypes.c_void_p), 128, vectors, parts, None, 0, 0)
        got = call(libc.recvmsg, fd, ctypes.byref(message), flags)
        return "%d flags %d from %s" % (got, message.flags, format_address(raw.raw[: message.namelen]))

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
        # O_LARGEFILE is set on files that open(2) has made.
        return call(libc.fcntl, fd, command, ctypes.c_long(argument)) & ~0x8000

    def do_ioctl(self, fd, request, argument=0):
        value = ctypes.c_int(argument)
        check(libc.ioctl(fd, ctypes.c_ulong(request), ctypes.byref(value)))
        return value.value if request not in (0x5421, 0x5452) else 0

    def do_poll(self, fd, events):
        entry = PollFd(fd, events - 65536 if events > 32767 else events, 0)
        check(libc.poll(ctypes.byref(entry), 1, 0))
        return "mask:%d" % (entry.revents & 0xFFFF)


    def do_select(self, fd):
        try:
            r, w, e = select.select([fd], [fd], [fd], 0)
        except OSError as problem:
            raise Failed(code_of(problem.errno))
        except ValueError:
            raise Failed("EBADF")
        return ("r" if r else "") + ("w" if w else "") + ("e" if e else "") or "none"


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


def wait_for(addresses, interface):
    """Addresses answer when the kernel has found the time to enter them in its tables, and to start the interface."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        end = (address, 9, 0, socket.if_nametoindex(interface)) if ":" in address else (address, 9)
        while True:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.settimeout(0.01)
                try:
                    probe.connect(end)
                    probe.send(b"x")
                    probe.recv(1)
                except ConnectionRefusedError:
                    break
                except OSError:
                    pass


def prepare(addresses, settings):
    """A network namespace with lo up and the cable d0, which has the addresses."""
    check(libc.unshare(CLONE_NEWNET))
    lines = ["link set lo up", "link add d0 type veth peer name d1", "link set d0 addrgenmode none", "link set d0 up"]
    lines += ["link set d1 addrgenmode none", "link set d1 up"]
    lines += ["addr add %s dev d0 %s" % (text, "nodad" if ":" in text else "brd +") for text in addresses]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
    wait_for([text.split("/")[0] for text in addresses if ":" in text], "d0")
    for name, value in settings:
        Runner().do_sysctl(name, value)


def mac_of(host):
    return "02:00:00:00:00:0" + host


def prepare_pair(hosts, settings):
    """Two namespaces with a cable between them; the first is entered."""
    ADDRESSES.update(hosts)
    for name in hosts:
        check(libc.unshare(CLONE_NEWNET))
        NAMESPACES[name] = os.dup2(os.open("/proc/self/ns/net", os.O_RDONLY), RESULTS + 1 + len(NAMESPACES))
        with open("/proc/sys/net/ipv6/conf/default/accept_dad", "w") as f:
            f.write("0")
        for key, value in settings:
            Runner().do_sysctl(key, value)
    os.closerange(3, RESULTS)
    first, second = hosts
    peer = "/proc/%d/fd/%d" % (os.getpid(), NAMESPACES[first])
    lines = ["link add eth0 address %s type veth peer name eth0 netns %s" % (mac_of(second), peer)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
    for name, addresses in hosts.items():
        runner = Runner()
        runner.do_host(name)
        lines = ["link set lo up", "link set eth0 address %s" % mac_of(name), "link set eth0 up"]
        lines += ["addr add %s dev eth0 %s" % (text, "nodad" if ":" in text else "brd +") for text in addresses]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
        runner.do_join()
    Runner().do_host(first)
    wait_for([text.split("/")[0] for text in hosts[second]], "eth0")


def run(script):
    runner = Runner()
    runner.fds = {}
    return [runner.step(step) for step in script["steps"]]


def in_child(script):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        return run_in(script, directory)


def run_in(script, directory):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        # Out of the way of the script's descriptors.
        os.dup2(writer, RESULTS)
        os.closerange(3, RESULTS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (HARD_LIMIT, HARD_LIMIT))
        try:
            if "hosts" in script:
                prepare_pair(script["hosts"], script["sysctl"])
            else:
                prepare(script["addresses"], script["sysctl"])
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, HARD_LIMIT))
            os.chdir(directory)
            outcome = run(script)
        except BaseException as problem:
            outcome = ["broken: %r" % (problem,)]
        os.write(RESULTS, json.dumps(outcome).encode())
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
    for line in sys.stdin:
        sys.stdout.write(in_child(json.loads(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
