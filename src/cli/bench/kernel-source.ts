/**
 * The measurements of `netglass bench measure` over the kernel's own sockets and pipes, in C, for a compiler of this
 * machine: `stream BUFFER BYTES ADDRESS [NAMESPACE NAMESPACE]`, `pipe BUFFER BYTES`, `copy SIZE TIMES` and
 * `load ADDRESS PORT CONNECTIONS SECONDS SIZE [REQUEST]` print one number; `servers DESIGN CLIENTS REQUESTS SIZE` prints
 * what the tester has measured, as `TesterFigures` in JSON.
 */
export const KERNEL_SOURCE = String.raw`
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ECHO_BUFFER = 65536, WORKERS = 4, BACKLOG = 1024, MOST_EVENTS = 64 };

static void need(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static double micros(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t count = write(fd, data, size);
    if (count <= 0) return;
    data += count;
    size -= count;
  }
}

static struct sockaddr_in address_of(const char *text, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  need(inet_pton(AF_INET, text, &address.sin_addr) == 1, text);
  return address;
}

static int port_of(int fd) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  need(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
  return ntohs(address.sin_port);
}

static int listen_at(int port, int share) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (share) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  struct sockaddr_in address = address_of("0.0.0.0", port);
  need(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  need(listen(fd, BACKLOG) == 0, "listen");
  return fd;
}

static int connect_to(const char *text, int port) {
  struct sockaddr_in address = address_of(text, port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  need(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
  return fd;
}

static void enter(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "/var/run/netns/%s", name);
  int fd = open(path, O_RDONLY);
  need(fd >= 0 && setns(fd, CLONE_NEWNET) == 0, path);
  close(fd);
}

/* A child that does not outlive its parent. */
static int child(void) {
  int pid = fork();
  need(pid >= 0, "fork");
  if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return pid;
}

/* Reads to the end and ends. */
static void drain(int fd, size_t size) {
  char *buffer = malloc(size);
  while (read(fd, buffer, size) > 0) {
  }
  _exit(0);
}

/* Writes so many bytes, and waits until the reader, a child, has had them. Prints Gbit/s. */
static void fill(int fd, size_t size, double bytes) {
  char *buffer = calloc(1, size);
  double start = micros();
  for (double sent = 0; sent < bytes; sent += size) write_all(fd, buffer, size);
  close(fd);
  while (wait(NULL) < 0 && errno == EINTR) {
  }
  printf("%g\n", bytes * 8 / (micros() - start) / 1e3);
}

static void stream(char **arg, int count) {
  size_t size = atol(arg[0]);
  if (count == 5) enter(arg[4]);
  int listener = listen_at(0, 0), port = port_of(listener);
  if (child() == 0) drain(accept(listener, NULL, NULL), size);
  close(listener);
  if (count == 5) enter(arg[3]);
  fill(connect_to(arg[2], port), size, atof(arg[1]));
}

static void through_pipe(char **arg) {
  int ends[2];
  need(pipe(ends) == 0, "pipe");
  size_t size = atol(arg[0]);
  if (child() == 0) {
    close(ends[1]);
    drain(ends[0], size);
  }
  close(ends[0]);
  fill(ends[1], size, atof(arg[1]));
}

/* Copies round and round through a ring of 64 KB, into it and out of it. Prints GB/s. */
static void copy(char **arg) {
  size_t size = atol(arg[0]), times = atol(arg[1]), at = 0;
  char *ring = calloc(1, 65536), *data = calloc(1, size);
  double start = micros();
  for (size_t i = 0; i < times; i++) {
    memcpy(ring + at, data, size);
    __asm__ volatile("" ::: "memory");
    memcpy(data, ring + at, size);
    __asm__ volatile("" ::: "memory");
    at = (at + size) & 65535;
  }
  printf("%g\n", 2.0 * size * times / (micros() - start) / 1e3);
}

/* Section J: the servers. */

static void serve(int fd) {
  char buffer[ECHO_BUFFER];
  ssize_t count;
  while ((count = read(fd, buffer, sizeof buffer)) > 0) write_all(fd, buffer, count);
  close(fd);
}

static void accept_and_serve(int listener) {
  for (;;) serve(accept(listener, NULL, NULL));
}

static void fork_each(int listener) {
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (child() == 0) {
      close(listener);
      serve(fd);
      _exit(0);
    }
    close(fd);
  }
}

static void *serve_thread(void *fd) {
  serve((int)(long)fd);
  return NULL;
}

static void thread_each(int listener) {
  for (;;) {
    long fd = accept(listener, NULL, NULL);
    pthread_t thread;
    need(pthread_create(&thread, NULL, serve_thread, (void *)fd) == 0, "pthread_create");
    pthread_detach(thread);
  }
}

/* Echoes what is there. Returns 0 at the end. */
static int echo_once(int fd) {
  char buffer[ECHO_BUFFER];
  ssize_t count = read(fd, buffer, sizeof buffer);
  if (count <= 0) {
    close(fd);
    return 0;
  }
  write_all(fd, buffer, count);
  return 1;
}

static void select_loop(int listener) {
  fd_set all;
  int most = listener;
  FD_ZERO(&all);
  FD_SET(listener, &all);
  for (;;) {
    fd_set ready = all;
    select(most + 1, &ready, NULL, NULL, NULL);
    for (int fd = 0; fd <= most; fd++) {
      if (!FD_ISSET(fd, &ready)) continue;
      if (fd == listener) {
        int accepted = accept(listener, NULL, NULL);
        FD_SET(accepted, &all);
        if (accepted > most) most = accepted;
      } else if (!echo_once(fd)) FD_CLR(fd, &all);
    }
  }
}

static void epoll_loop(int listener) {
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[MOST_EVENTS];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(epoll, ready, MOST_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      if (ready[i].data.fd != listener) {
        echo_once(ready[i].data.fd);
        continue;
      }
      event.data.fd = accept(listener, NULL, NULL);
      epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
  }
}

static void serve_by(const char *design, int listener) {
  signal(SIGPIPE, SIG_IGN);
  if (strcmp(design, "iterative") == 0) accept_and_serve(listener);
  if (strcmp(design, "fork") == 0) fork_each(listener);
  if (strcmp(design, "thread") == 0) thread_each(listener);
  if (strcmp(design, "select") == 0) select_loop(listener);
  if (strcmp(design, "epoll") == 0) epoll_loop(listener);
  if (strcmp(design, "prefork") == 0) {
    for (int i = 1; i < WORKERS && child() != 0; i++) {
    }
    accept_and_serve(listener);
  }
  if (strcmp(design, "reuseport") == 0) {
    int port = port_of(listener);
    for (int i = 1; i < WORKERS; i++) {
      int own = listen_at(port, 1);
      if (child() == 0) epoll_loop(own);
      close(own);
    }
    epoll_loop(listener);
  }
  fprintf(stderr, "there is no design %s\n", design);
  _exit(1);
}

/* And the tester. */

static struct {
  int port, requests, size;
  double start;
} test;

struct client {
  double connect, latency, finished, *response;
};

static void *run_client(void *argument) {
  struct client *client = argument;
  double begun = micros();
  int fd = connect_to("127.0.0.1", test.port), on = 1;
  client->connect = micros() - begun;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  char *request = calloc(1, test.size), *answer = malloc(test.size);
  for (int i = 0; i < test.requests; i++) {
    double asked = micros();
    write_all(fd, request, test.size);
    for (int got = 0; got < test.size;) {
      ssize_t count = read(fd, answer, test.size - got);
      need(count > 0, "read");
      if (i == 0 && got == 0) client->latency = micros() - asked;
      got += count;
    }
    client->response[i] = micros() - asked;
  }
  close(fd);
  client->finished = micros() - test.start;
  return NULL;
}

static void servers(char **arg) {
  int count = atoi(arg[1]);
  test.requests = atoi(arg[2]);
  test.size = atoi(arg[3]);
  int listener = listen_at(0, strcmp(arg[0], "reuseport") == 0);
  test.port = port_of(listener);
  int server = child();
  if (server == 0) serve_by(arg[0], listener);
  close(listener);
  usleep(50000);
  struct client *clients = calloc(count, sizeof *clients);
  pthread_t *threads = calloc(count, sizeof *threads);
  test.start = micros();
  for (int i = 0; i < count; i++) {
    clients[i].response = calloc(test.requests, sizeof(double));
    need(pthread_create(&threads[i], NULL, run_client, &clients[i]) == 0, "pthread_create");
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  kill(server, SIGKILL);
  printf("{\"bytes\":%.0f,\"connect\":[", (double)count * test.requests * test.size);
  for (int i = 0; i < count; i++) printf("%s%.1f", i ? "," : "", clients[i].connect);
  printf("],\"latency\":[");
  for (int i = 0; i < count; i++) printf("%s%.1f", i ? "," : "", clients[i].latency);
  printf("],\"finished\":[");
  for (int i = 0; i < count; i++) printf("%s%.1f", i ? "," : "", clients[i].finished);
  printf("],\"response\":[");
  for (int i = 0; i < count; i++)
    for (int k = 0; k < test.requests; k++) printf("%s%.1f", i + k ? "," : "", clients[i].response[k]);
  printf("]}\n");
}

/* Sends a request on each connection and, whenever SIZE bytes have come back, the next. Prints answers a second. */
static void load(char **arg, int given) {
  int count = atoi(arg[2]), size = atoi(arg[4]), epoll = epoll_create1(0), on = 1;
  double seconds = atof(arg[3]), messages = 0;
  char *answer = malloc(size), *request = given > 5 ? arg[5] : calloc(1, size);
  size_t length = given > 5 ? strlen(request) : (size_t)size;
  int *got = calloc(count, sizeof *got), *fds = calloc(count, sizeof *fds);
  for (int i = 0; i < count; i++) {
    fds[i] = connect_to(arg[0], atoi(arg[1]));
    setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    write_all(fds[i], request, length);
  }
  double start = micros(), end = start + seconds * 1e6;
  while (micros() < end) {
    struct epoll_event ready[MOST_EVENTS];
    int events = epoll_wait(epoll, ready, MOST_EVENTS, 1000);
    for (int k = 0; k < events; k++) {
      int i = ready[k].data.u32;
      ssize_t bytes = read(fds[i], answer, size - got[i]);
      need(bytes > 0, "read");
      got[i] += bytes;
      if (got[i] < size) continue;
      got[i] = 0;
      messages++;
      write_all(fds[i], request, length);
    }
  }
  printf("%g\n", messages * 1e6 / (micros() - start));
}

int main(int count, char **arg) {
  need(count > 3, "arguments");
  if (strcmp(arg[1], "stream") == 0) stream(arg + 2, count - 2);
  else if (strcmp(arg[1], "pipe") == 0) through_pipe(arg + 2);
  else if (strcmp(arg[1], "copy") == 0) copy(arg + 2);
  else if (strcmp(arg[1], "load") == 0) load(arg + 2, count - 2);
  else servers(arg + 2);
  return 0;
}
`
