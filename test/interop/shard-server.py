"""An echo server, for connections that shards open."""
import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 1024
    daemon_threads = True


server = Server(("0.0.0.0", int(sys.argv[1])), Echo)
print("listening", flush=True)
server.serve_forever()
