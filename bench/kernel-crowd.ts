import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Namespace } from '../test/support/netns.ts'

/**
 * What one more connection costs the kernel, with ten open, with a million, and with ten again: socket, bind, connect, accept and
 * close at both ends of its loopback, in C, in a namespace of its own. As root: `node --import tsx bench/kernel-crowd.ts [count]`;
 * a million takes a minute and some 6 GB of the kernel's memory. Processes hold the crowd, as one may not have so many descriptors.
 */

const SOURCE = String.raw`
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EACH = 9400, SAMPLE = 20000, ROUNDS = 9, PORTS = 20000, ADDRESSES = 200 };
static int listener;
static struct sockaddr_in server;
static long opened;

static void check(int result, const char *call) {
  if (result >= 0) return;
  perror(call);
  exit(1);
}

static double processor_time(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void open_one(int ends[2]) {
  struct sockaddr_in from = {.sin_family = AF_INET};
  int on = 1;
  from.sin_addr.s_addr = htonl(0x7f010001 + opened++ / PORTS % ADDRESSES);
  check(ends[0] = socket(AF_INET, SOCK_STREAM, 0), "socket");
  check(setsockopt(ends[0], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), "setsockopt");
  check(bind(ends[0], (struct sockaddr *)&from, sizeof from), "bind");
  check(connect(ends[0], (struct sockaddr *)&server, sizeof server), "connect");
  check(ends[1] = accept(listener, 0, 0), "accept");
}

/* By a reset: TIME_WAIT would fill the table with what is not open. */
static void close_one(int ends[2]) {
  struct linger now = {1, 0};
  setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(ends[0]);
  close(ends[1]);
}

static int by_size(const void *a, const void *b) {
  double difference = *(double *)a - *(double *)b;
  return (difference > 0) - (difference < 0);
}

static void measure(const char *what) {
  double times[ROUNDS];
  int ends[2];
  for (int round = -1; round < ROUNDS; round++) {
    double before = processor_time();
    for (int i = 0; i < SAMPLE; i++) {
      open_one(ends);
      close_one(ends);
    }
    if (round >= 0) times[round] = (processor_time() - before) / SAMPLE;
  }
  qsort(times, ROUNDS, sizeof *times, by_size);
  printf("%-16s %.2f us, the least %.2f\n", what, times[ROUNDS / 2], times[0]);
  fflush(stdout);
}

int main(int count, char **arguments) {
  long wanted = count > 1 ? atol(arguments[1]) : 1000000;
  struct rlimit limit;
  int ends[2], ready[2], children = 0;
  pid_t *child = calloc(wanted / EACH + 2, sizeof *child);
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  check(listener = socket(AF_INET, SOCK_STREAM, 0), "socket");
  server.sin_family = AF_INET;
  server.sin_port = htons(5000);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(bind(listener, (struct sockaddr *)&server, sizeof server), "bind");
  check(listen(listener, 4096), "listen");
  for (int i = 0; i < 10; i++) open_one(ends);
  measure("ten open");
  for (long left = wanted; left > 0; left -= EACH, opened += EACH) {
    long mine = left < EACH ? left : EACH;
    char byte;
    check(pipe(ready), "pipe");
    pid_t pid = fork();
    check(pid, "fork");
    if (pid == 0) {
      for (long i = 0; i < mine; i++) open_one(ends);
      check(write(ready[1], "x", 1), "write");
      pause();
    }
    child[children++] = pid;
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) exit(1);
    close(ready[0]);
  }
  measure("all open");
  for (int i = 0; i < children; i++) kill(child[i], SIGKILL);
  sleep(20);
  measure("ten open again");
  return 0;
}
`

const [count = '1000000'] = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'netglass-crowd-'))
const namespace = new Namespace(`ng-crowd-${process.pid}`)
try {
  const program = join(folder, 'crowd')
  execFileSync('cc', ['-O2', '-x', 'c', '-o', program, '-'], { input: SOURCE })
  await namespace.shell('echo "10000 60999" > /proc/sys/net/ipv4/ip_local_port_range')
  await namespace.shell('echo 8192 > /proc/sys/net/core/somaxconn')
  process.stdout.write(await namespace.run(program, count))
} finally {
  await namespace.remove()
  rmSync(folder, { recursive: true })
}
