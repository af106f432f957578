"""Rows of the catalogue that need threads, processes or forged packets, as programs on the real kernel.

Each row runs in a process and two network namespaces of its own, the machines a and b of errno.py. Writes a line of JSON
for each name on the command line: what was found, by what it says; row-programs.ts finds the same on hosts of ours.
"""
import ctypes
import errno
import importlib.util
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

spec = importlib.util.spec_from_file_location("calls", os.path.join(os.path.dirname(os.path.abspath(__file__)), "errno.py"))
calls = importlib.util.module_from_spec(spec)
spec.loader.exec_module(calls)
libc = calls.libc
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 1 << 18, 0x1000
EPOLLEXCLUSIVE = 1 << 28


# The number of futex(2), as /proc says it.
FUTEX = {"x86_64": "202", "aarch64": "98"}.get(os.uname().machine, "")


class Call:
    """A call in a thread of its own, on the machine of the thread that makes it."""

    def __init__(self, call):
        self.value = None
        self.thread = threading.Thread(target=self.run, args=[call], daemon=True)
        self.thread.start()

    def run(self, call):
        self.value = outcome(call)

    def waits(self):
        self.thread.join(0.15)
        # On a busy machine it may not have come to its system call yet, but wait for the interpreter's lock.
        end = time.monotonic() + 5
        while self.thread.is_alive() and time.monotonic() < end and not self.is_in_call():
            time.sleep(0.01)
        return self.thread.is_alive()

    def is_in_call(self):
        try:
            with open("/proc/self/task/%d/syscall" % self.thread.native_id) as file:
                return file.read().split()[0] not in ("running", FUTEX)
        except OSError:
            return True

    def result(self):
        self.thread.join(5)
        return "waits" if self.thread.is_alive() else self.value


def outcome(call):
    try:
        return call()
    except OSError as problem:
        return calls.code_of(problem.errno)
    except calls.Failed as problem:
        return str(problem)


def on(name):
    calls.check(libc.setns(calls.NAMESPACES[name], calls.CLONE_NEWNET))


def listen(port=80, backlog=5, receive=0, kind=socket.SO_REUSEADDR):
    """A listener on b."""
    on("b")
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, kind, 1)
    if receive > 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.bind(("0.0.0.0", port))
    s.listen(backlog)
    return s


def connect(port=80, send=0, receive=0):
    """A connection from a."""
    on("a")
    s = socket.socket()
    if send > 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send)
    if receive > 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.connect(("10.9.0.2", port))
    return s


def small_pair():
    """A connection whose four buffers are small: its ends on a and b."""
    listener = listen(receive=4096)
    x = connect(send=4096, receive=4096)
    y = listener.accept()[0]
    y.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return x, y


def read(s, count):
    """Reads so many bytes, or to the end. @returns how many"""
    total = 0
    while total < count:
        piece = len(s.recv(min(65536, count - total)))
        if piece == 0:
            break
        total += piece
    return total


def tool(*command):
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def counter(name):
    rows = [line.split() for line in tool("nstat", "-asz", name).splitlines()[1:]]
    return int(rows[0][1])


def byte_order(facts, texts):
    for family, name in ((socket.AF_INET, "inet_pton 4"), (socket.AF_INET6, "inet_pton 6")):
        for text in texts:
            try:
                packed = socket.inet_pton(family, text)
                facts["%s %s" % (name, text)] = "%s %s" % (packed.hex(), socket.inet_ntop(family, packed))
            except OSError:
                facts["%s %s" % (name, text)] = None
    libc.inet_addr.restype = ctypes.c_uint32
    for text in texts:
        number = ctypes.c_uint32()
        found = libc.inet_aton(text.encode(), ctypes.byref(number)) != 0
        facts["inet_aton %s" % text] = socket.ntohl(number.value) if found else None
        facts["inet_addr %s" % text] = libc.inet_addr(text.encode())
    for number in (0, 1, 80, 0x1234, 0xFFFF):
        facts["htons %d" % number] = socket.htons(number)
    for number in (0, 1, 0x0A000001, 0xFFFEFDFC):
        facts["htonl %d" % number] = socket.htonl(number)


def dns_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


A, CNAME, PTR, AAAA = 1, 5, 12, 28
ZONE = [
    ("www.example.net", A, "10.0.0.2"),
    ("www.example.net", AAAA, "fd00::2"),
    ("web.example.net", CNAME, "www.example.net"),
    ("4only.example.net", A, "10.0.0.4"),
    ("2.0.0.10.in-addr.arpa", PTR, "www.example.net"),
] + [("cluster.example.net", A, "10.9.0.%d" % i) for i in range(40)]


def dns_answer(query, size):
    """@returns the name and type that were asked for, and the answer"""
    at, parts = 12, []
    while query[at] != 0:
        parts.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    question = query[12 : at + 5]
    (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
    name, records = ".".join(parts), []
    wanted = name
    for owner, rtype, data in ZONE:
        if owner == wanted and rtype == CNAME and kind != CNAME:
            records.append((owner, rtype, data))
            wanted = data
    records += [r for r in ZONE if r[0] == wanted and r[1] == kind]
    exists = any(r[0] == name for r in ZONE)
    body = b""
    for owner, rtype, data in records:
        if rtype == A:
            rdata = socket.inet_pton(socket.AF_INET, data)
        elif rtype == AAAA:
            rdata = socket.inet_pton(socket.AF_INET6, data)
        else:
            rdata = dns_name(data)
        body += dns_name(owner) + struct.pack("!HHIH", rtype, 1, 60, len(rdata)) + rdata
    flags = 0x8580 | (0 if exists else 3)
    if 12 + len(question) + len(body) > size:
        flags, records, body = flags | 0x0200, [], b""
    return name, kind, query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + body


def names(facts):
    asked = []
    on("b")
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", 53))
    tcp = listen(53)

    def over_udp():
        while True:
            try:
                query, peer = udp.recvfrom(1000)
            except OSError:
                return
            name, kind, answer = dns_answer(query, 512)
            asked.append("%s %d udp" % (name, kind))
            udp.sendto(answer, peer)

    def over_tcp():
        while True:
            conn = tcp.accept()[0]
            (size,) = struct.unpack("!H", conn.recv(2, socket.MSG_WAITALL))
            name, kind, answer = dns_answer(conn.recv(size, socket.MSG_WAITALL), 65535)
            asked.append("%s %d tcp" % (name, kind))
            conn.sendall(struct.pack("!H", len(answer)) + answer)
            conn.close()

    for serve in (over_udp, over_tcp):
        threading.Thread(target=serve, daemon=True).start()
    files = {
        "hosts": "127.0.0.1 localhost\n10.0.0.2 printer.example.net printer\n",
        "resolv.conf": "nameserver 10.9.0.2\nsearch example.net\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "passwd: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    }
    calls.check(libc.unshare(CLONE_NEWNS))
    calls.check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    for name, text in files.items():
        with tempfile.NamedTemporaryFile("w", delete=False) as f:
            f.write(text)
        os.chmod(f.name, 0o644)
        calls.check(libc.mount(f.name.encode(), ("/etc/" + name).encode(), None, MS_BIND, None))
        os.unlink(f.name)
    on("a")

    def look_up(name, family=socket.AF_INET, flags=0):
        try:
            found = socket.getaddrinfo(name, "http", family, socket.SOCK_STREAM, 0, flags)
        except socket.gaierror as problem:
            codes = {value: key for key, value in vars(socket).items() if key.startswith("EAI_")}
            return codes[problem.errno]
        texts = ["%s:%d" % end[4][:2] for end in found]
        canonical = found[0][3]
        return ("%d addresses" % len(texts) if len(texts) > 3 else " ".join(texts)) + (" " + canonical if canonical else "")

    def fact(what, *args):
        del asked[:]
        facts[what] = look_up(*args)
        # Both families are asked for at once.
        facts[what + ": asked"] = sorted(asked)

    fact("in the table", "printer")
    fact("a number", "10.1", socket.AF_INET)
    fact("by DNS", "www.example.net")
    fact("both families", "www.example.net", socket.AF_UNSPEC)
    fact("of the other family", "4only.example.net", socket.AF_INET6)
    fact("an alias", "web.example.net", socket.AF_INET, socket.AI_CANONNAME)
    fact("in the domain that is searched", "web")
    fact("nobody's", "no.such")
    fact("numbers only", "www.example.net", socket.AF_INET, socket.AI_NUMERICHOST)
    fact("truncated", "cluster.example.net")
    facts["getnameinfo"] = list(socket.getnameinfo(("10.0.0.2", 22), 0))
    facts["getservbyname"] = socket.getservbyname("domain", "udp")
    facts["getservbyport"] = socket.getservbyport(37)
    facts["getprotobyname"] = socket.getprotobyname("udp")
    calls.Runner.host = "a"
    calls.Runner().do_cut()
    facts["the server is silent"] = look_up("www.example.net")


def ip_checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def forged_syn(i):
    source, target = socket.inet_aton("10.9.0.%d" % (100 + i % 100)), socket.inet_aton("10.9.0.2")
    tcp = struct.pack("!HHIIBBHHH", 10000 + i, 80, i * 1000, 0, 0x50, 2, 1000, 0, 0)
    check = ip_checksum(source + target + struct.pack("!BBH", 0, 6, 20) + tcp)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, target) + tcp


def syn_flood(facts):
    for mode in (1, 0):
        listener = listen(80 if mode else 81, 8)
        calls.Runner().do_sysctl("net.ipv4.tcp_syncookies", mode)
        before = {name: counter(name) for name in COOKIES}
        on("a")
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for i in range(300):
            syn = forged_syn(i)
            if not mode:
                tcp = bytearray(syn[20:])
                tcp[2:4] = struct.pack("!H", 81)
                tcp[16:18] = b"\0\0"
                check = ip_checksum(syn[12:20] + struct.pack("!BBH", 0, 6, 20) + bytes(tcp))
                tcp[16:18] = struct.pack("!H", check)
                syn = syn[:20] + bytes(tcp)
            raw.sendto(syn, ("10.9.0.2", 0))
        time.sleep(0.05)
        on("b")
        waiting = tool("ss", "-tanH", "state", "syn-recv", "sport", "=", "80" if mode else "81")
        facts["half-open, cookies %d" % mode] = len(waiting.splitlines())
        on("a")
        client = socket.socket()
        connecting = Call(lambda: client.connect(("10.9.0.2", 80 if mode else 81)))
        facts["a client waits, cookies %d" % mode] = connecting.waits()
        if mode:
            client.send(b"x" * 77)
            facts["the server reads"] = len(listener.accept()[0].recv(100))
        on("b")
        for name in COOKIES:
            facts["%s, cookies %d" % (name, mode)] = counter(name) - before[name]


COOKIES = ["TcpExtSyncookiesSent", "TcpExtSyncookiesRecv", "TcpExtTCPReqQFullDoCookies"]


def blocking_send(facts):
    x, y = small_pair()
    sender = Call(lambda: x.send(bytes(200000)))
    facts["waits before anything is read"] = sender.waits()
    facts["is read"] = read(y, 20000)
    facts["waits when a tenth is read"] = sender.waits()
    facts["the rest"] = read(y, 180000)
    facts["send()"] = sender.result()


def deadlock(facts):
    x, y = small_pair()
    a = Call(lambda: x.send(bytes(100000)))
    b = Call(lambda: y.send(bytes(100000)))
    facts["wait"] = [a.waits(), b.waits()]
    facts["a's thread reads"] = Call(lambda: read(x, 100000)).result()
    facts["b's send()"] = b.result()
    facts["a still waits"] = a.waits()
    facts["b reads"] = read(y, 100000)
    facts["a's send()"] = a.result()


def windows(facts):
    for scaling in (1, 0):
        for name in "ab":
            on(name)
            calls.Runner().do_sysctl("net.ipv4.tcp_window_scaling", scaling)
        listener = listen(80 + scaling)
        x = connect(80 + scaling)
        y = listener.accept()[0]
        reader = Call(lambda: read(y, 3000000))
        x.sendall(bytes(3000000))
        what = "scaling" if scaling else "no scaling"
        facts[what + ": read"] = reader.result()
        info = x.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        facts[what + ": agreed to"] = info[5] & 4 != 0
        facts[what + ": the window is over 65535"] = struct.unpack("=I", info[228:232])[0] > 65535
        x.close()
        y.close()


def slow_receiver(facts):
    # Blocking sends, one after the other: the slow client holds up the others.
    clients, servers = three_clients()
    got = [0, 0, 0]
    for i in (0, 2):
        Call(lambda i=i: count_into(clients[i], got, i))

    def serve():
        for _ in range(60):
            for s in servers:
                s.sendall(bytes(10000))
        return "done"

    server = Call(serve)
    facts["blocking: waits"] = server.waits()
    facts["blocking: the fast ones starve"] = [got[0] < 600000, got[2] < 600000]
    Call(lambda: count_into(clients[1], got, 1))
    facts["blocking, when the slow one reads"] = server.result()
    time.sleep(0.1)
    facts["blocking: bytes"] = list(got)

    # Non-blocking ones: what does not fit is kept for the slow one, up to a limit.
    clients, servers = three_clients()
    got, kept = [0, 0, 0], [0, 0, 0]
    for i in (0, 2):
        Call(lambda i=i: count_into(clients[i], got, i))
    for s in servers:
        s.setblocking(False)
    left = [600000] * 3
    dropped = []
    while any(left) or kept[0] or kept[2]:
        for i, s in enumerate(servers):
            if i in dropped:
                left[i] = kept[i] = 0
                continue
            piece = min(10000, left[i])
            left[i] -= piece
            kept[i] += piece
            try:
                while kept[i] > 0:
                    kept[i] -= s.send(bytes(kept[i]))
            except BlockingIOError:
                if kept[i] > 300000 and i == 1:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
                    s.close()
                    dropped.append(i)
        time.sleep(0.001)
    time.sleep(0.2)
    facts["non-blocking: the fast ones"] = [got[0], got[2]]
    facts["non-blocking: dropped"] = dropped
    facts["the slow one, at last"] = outcome(lambda: read(clients[1], 1000000))


def three_clients():
    listener = listen()
    clients, servers = [], []
    for _ in range(3):
        clients.append(connect(receive=4096))
        servers.append(listener.accept()[0])
        servers[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listener.close()
    return clients, servers


def count_into(s, got, i):
    while True:
        piece = len(s.recv(65536))
        if piece == 0:
            return
        got[i] += piece


def reuseport(facts):
    listeners = [listen(80, 1000, kind=socket.SO_REUSEPORT) for _ in range(3)]
    clients = [connect() for _ in range(300)]
    shares = []
    for s in listeners:
        s.setblocking(False)
        shares.append(0)
        while True:
            try:
                s.accept()
                shares[-1] += 1
            except BlockingIOError:
                break
    facts["all"] = sum(shares)
    facts["even"] = min(shares) > 60 and max(shares) < 140
    facts["clients"] = len(clients)


def epoll_exclusive(facts):
    for flag, what in ((0, "level"), (EPOLLEXCLUSIVE, "exclusive")):
        listener = listen(81 if flag else 80)
        listener.setblocking(False)

        def wait():
            epoll = select.epoll()
            epoll.register(listener.fileno(), select.EPOLLIN | flag)
            return len(epoll.poll(0.4))

        waiters = [Call(wait) for _ in range(3)]
        time.sleep(0.1)
        connect(81 if flag else 80)
        woken = [waiter.result() for waiter in waiters]
        facts[what] = sum(woken)
    listener = listen(82)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN | EPOLLEXCLUSIVE)
    facts["modify"] = outcome(lambda: epoll.modify(listener.fileno(), select.EPOLLIN) or 0)
    epoll = select.epoll()
    facts["with EPOLLONESHOT"] = outcome(
        lambda: epoll.register(listener.fileno(), select.EPOLLIN | EPOLLEXCLUSIVE | select.EPOLLONESHOT) or 0
    )
    facts["with EPOLLRDHUP"] = outcome(
        lambda: epoll.register(listener.fileno(), select.EPOLLIN | EPOLLEXCLUSIVE | select.EPOLLRDHUP) or 0
    )


def sighup(facts):
    said_from, said_to = os.pipe()
    gate_from, gate_to = os.pipe()
    server = os.fork()
    if server == 0:
        os.close(gate_to)
        ends = []
        signal.signal(signal.SIGHUP, lambda *_: ends.append(1))
        signal.siginterrupt(signal.SIGHUP, True)
        listener = listen()
        while not ends:
            fd = outcome(lambda: calls.call(libc.accept4, listener.fileno(), None, None, 0))
            if isinstance(fd, str):
                os.write(said_to, ("accept(): %s\n" % fd).encode())
                continue
            if os.fork() == 0:
                listener.close()
                os.read(gate_from, 1)
                os.write(fd, b"a long answer")
                os._exit(0)
            os.close(fd)
        listener.close()
        _, status = os.waitpid(-1, 0)
        os.write(said_to, ("child: %d\n" % status).encode())
        os._exit(0)
    os.close(said_to)
    time.sleep(0.1)
    client = connect()
    time.sleep(0.1)
    os.kill(server, signal.SIGHUP)
    time.sleep(0.1)
    facts["late"] = outcome(connect)
    os.write(gate_to, b"x")
    facts["the client gets"] = read(client, 1000)
    facts["status"] = os.waitpid(server, 0)[1]
    facts["said"] = os.read(said_from, 1000).decode().splitlines()


def close_while_blocked(facts):
    listener = listen()
    x = connect()
    y = listener.accept()[0]
    fd = os.dup(x.fileno())
    x.close()
    waiting = Call(lambda: calls.Runner().do_recv(fd, 100))
    facts["waits"] = waiting.waits()
    os.close(fd)
    again = libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
    facts["the number is used again"] = again == min(fd, again)
    facts["still waits"] = waiting.waits()
    on("b")
    facts["the peer"] = " ".join(tool("ss", "-taH", "state", "connected", "sport", "=", "80").split()[:2])
    y.send(b"late data")
    facts["recv()"] = waiting.result()
    facts["then the peer reads"] = read(y, 10)
    accepting = Call(lambda: calls.call(libc.accept4, listener.fileno(), None, None, 0))
    facts["accept() waits"] = accepting.waits()
    listener.shutdown(socket.SHUT_RD)
    facts["accept()"] = accepting.result()


def sendmsg(facts):
    listener = listen()
    x = connect()
    y = listener.accept()[0]
    facts["sendmsg()"] = x.sendmsg([b"one ", b"two ", b"three"])
    time.sleep(0.05)
    buffers = [bytearray(4), bytearray(6), bytearray(100)]
    count = y.recvmsg_into(buffers)[0]
    facts["recvmsg()"] = [count, buffers[0].decode(), buffers[1].decode(), buffers[2][: count - 10].decode()]
    own, workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    worker = os.fork()
    if worker == 0:
        for s in (own, y, listener):
            s.close()
        _, fds, _, _ = socket.recv_fds(workers, 10, 1)
        passed = socket.socket(fileno=fds[0])
        passed.send(b"from the worker, to port %d" % (80 if passed.getsockname()[1] == 80 else 0))
        os._exit(0)
    socket.send_fds(own, [b"x"], [y.fileno()])
    y.close()
    os.waitpid(worker, 0)
    facts["the client gets"] = x.recv(100).decode()
    facts["and then"] = x.recv(100).decode()


ROWS = {
    "byte-order": byte_order,
    "names": names,
    "syn-flood": syn_flood,
    "blocking-send": blocking_send,
    "deadlock": deadlock,
    "windows": windows,
    "slow-receiver": slow_receiver,
    "reuseport": reuseport,
    "epoll-flags": epoll_exclusive,
    "sighup": sighup,
    "close-while-blocked": close_while_blocked,
    "sendmsg": sendmsg,
}


def run(script):
    facts = {}
    ROWS[script["row"]](facts, *script["arguments"])
    return facts


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    calls.run = run
    for line in sys.stdin:
        sys.stdout.write(calls.in_child(json.loads(line)) + "\n")
        sys.stdout.flush()


main()
