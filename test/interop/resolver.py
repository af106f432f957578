"""Puts the cases of resolver-cases.ts, as JSON on standard input, to glibc's getaddrinfo, with a name server in the same
network namespace; run it as root in one of its own, and a mount namespace. Prints a line of JSON for each case."""
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TYPES = {1: "A", 28: "AAAA", 16: "TXT", 12: "PTR", 6: "SOA"}
CODES = {"FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
zone = {}
asked = []


def read_name(data, at):
    labels = []
    while data[at]:
        label = data[at + 1 : at + 1 + data[at]]
        labels.append("".join(chr(b) if 32 <= b < 127 else "\\%03d" % b for b in label))
        at += 1 + data[at]
    return ".".join(labels), at + 1


def write_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def says(server, name, kind):
    name = name.lower()
    return zone.get("%s %s %s" % (server, name, kind), zone.get("%s %s" % (name, kind)))


def exists(name):
    return any(key.split(" ")[-2] == name.lower() or key == name.lower() + " A" for key in zone)


def answer(data, server, tcp):
    name, at = read_name(data, 12)
    kind, _ = struct.unpack(">HH", data[at : at + 4])
    question = data[12 : at + 4]
    label = TYPES.get(kind, str(kind))
    asked.append("%s %s%s%s" % (name, label, " tcp" if tcp else "", "" if server == "10.0.0.2" else " " + server))
    said = says(server, name, label)
    flags, code, records = 0x8580, 0, []
    if said == "silent":
        return None
    if said == "lame":
        flags = 0x8100
    elif said == "cut" and not tcp:
        head = struct.pack(">2sHHHHH", data[:2], 0x8780, 1, 3, 0, 0)
        return head + question + b"\xc0\x0c\0\x01\0\x01\0\0"
    elif said == "cut":
        said = ["10.0.0.5"] if kind == 1 else []
    elif isinstance(said, str):
        code = CODES[said]
    over_udp = False
    if isinstance(said, list):
        owner = name
        for _ in range(8):
            over_udp = over_udp or (said and said[0] == "over UDP")
            if said and said[0].startswith("alias:"):
                target = said[0][6:]
                records.append((owner, 5, write_name(target)))
                owner, said = target, says(server, target, label) or []
                continue
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            for text in said:
                if text != "over UDP":
                    records.append((owner, kind, socket.inet_pton(family, text) if kind in (1, 28) else b"\1x"))
            break
    elif said is None and not exists(name):
        code = 3
    body, count = b"", 0
    for owner, number, value in records:
        where = b"\xc0\x0c" if owner == name else write_name(owner)
        record = where + struct.pack(">HHIH", number, 1, 60, len(value)) + value
        if not tcp and not over_udp and 12 + len(question) + len(body) + len(record) > 512:
            flags |= 0x0200
            break
        body += record
        count += 1
    return struct.pack(">2sHHHHH", data[:2], flags | code, 1, count, 0, 0) + question + body


def serve_udp(server):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((server, 53))
    while True:
        data, client = sock.recvfrom(4096)
        reply = answer(data, server, False)
        if reply is not None:
            sock.sendto(reply, client)


def serve_tcp(server):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((server, 53))
    sock.listen(20)
    while True:
        conn, _ = sock.accept()
        threading.Thread(target=serve_connection, args=(conn, server), daemon=True).start()


def serve_connection(conn, server):
    while True:
        head = conn.recv(2, socket.MSG_WAITALL)
        if len(head) < 2:
            conn.close()
            return
        reply = answer(conn.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL), server, True)
        if reply is not None:
            conn.sendall(struct.pack(">H", len(reply)) + reply)


def main():
    cases = json.load(sys.stdin)
    for command in (
        "ip link set lo up",
        "ip link add dummy0 type veth peer name dummy1",
        "ip link set dummy0 up",
        "ip link set dummy1 up",
        "ip address add 10.0.0.1/24 dev dummy0",
        "ip address add 10.0.0.2/24 dev dummy0",
        "ip address add 10.0.0.3/24 dev dummy0",
        "ip address add 2001:db8::1/64 dev dummy0 nodad",
    ):
        subprocess.run(command.split(), check=True)
    folder = tempfile.mkdtemp()
    files = {}
    for name in ("resolv.conf", "hosts", "nsswitch.conf"):
        files[name] = os.path.join(folder, name)
        open(files[name], "w").write("hosts: files dns\n")
        subprocess.run(["mount", "--bind", files[name], os.path.realpath("/etc/" + name)], check=True)
    for server in ("10.0.0.2", "10.0.0.3"):
        threading.Thread(target=serve_udp, args=(server,), daemon=True).start()
        threading.Thread(target=serve_tcp, args=(server,), daemon=True).start()
    time.sleep(0.1)
    names = {value: key for key, value in vars(socket).items() if key.startswith("EAI_") and isinstance(value, int)}
    names[-5] = "EAI_NODATA"
    names[-9] = "EAI_ADDRFAMILY"
    for case in cases:
        zone.clear()
        zone.update({key.lower() if False else key: value for key, value in case.get("zone", {}).items()})
        open(files["resolv.conf"], "w").write("nameserver 10.0.0.2\n" + case.get("resolvConf", ""))
        open(files["hosts"], "w", newline="").write(case.get("hosts", "127.0.0.1 localhost\n"))
        # glibc looks at the file's time, to the second on some file systems, and its size.
        ctypes.CDLL(None).__res_init()
        del asked[:]
        node, service, family, kind, protocol, flags = (list(case["ask"]) + [None, 0, 0, 0, 0][len(case["ask"]) - 1 :])[:6]
        try:
            node = node if node is None else node.encode()
            found = socket.getaddrinfo(node, service, family or 0, kind or 0, protocol or 0, flags or 0)
            result = ["%s %s %d%s %s" % (int(t), p, a[1], " %" + str(a[3]) if f == socket.AF_INET6 and a[3] else "", a[0].split("%")[0]) + (" " + c if c else "") for f, t, p, c, a in found]
        except socket.gaierror as problem:
            result = names.get(problem.errno, str(problem.errno))
        except (UnicodeError, ValueError, OverflowError) as problem:
            result = "python: " + str(problem)
        print(json.dumps({"name": case["name"], "result": result, "asked": list(asked)}), flush=True)


main()
