/* A plugin that leans on the C library as any C code does: wasi-libc, through the adapter from WASI 0.1 to 0.2. Its
 * `configure` refuses with what it saw, so that a test can read it; with the configuration `"exit"` it exits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sluicegate.h"

static const char *configure(sg_json config) {
  static char seen[1000];
  sg_str behaviour = {NULL, 0};
  if (sg_json_text(config, &behaviour) && sg_equal(behaviour, SG_STR("exit"))) exit(3);

  puts("a line on stdout");
  fputs("a line on stderr\n", stderr);

  FILE *file = fopen("/etc/passwd", "r");
  const char *why = file ? "opened" : strerror(errno);
  const char *home = getenv("HOME");
  int input = getchar();

  struct timespec start, end, nap = {3600, 0};
  clock_gettime(CLOCK_MONOTONIC, &start);
  nanosleep(&nap, NULL);
  clock_gettime(CLOCK_MONOTONIC, &end);
  time_t now = time(NULL);
  struct tm date;
  gmtime_r(&now, &date);

  unsigned char bytes[4] = {0};
  getentropy(bytes, sizeof bytes);
  snprintf(seen, sizeof seen, "file %s; HOME %s; stdin %d; slept %lld s; in the year %d; random %02x%02x%02x%02x", why, home ? home : "-", input,
           (long long)(end.tv_sec - start.tv_sec), date.tm_year + 1900, bytes[0], bytes[1], bytes[2], bytes[3]);
  return seen;
}

static void plan(sg_table *table) { sg_filter_rows(table); }

static void row(sg_row *row) { (void)row; }

const sg_definition sg_plugin = {
  .name = "wasi-c", .version = "1.0.0", .summary = "uses the C library", .configure = configure, .plan = plan, .row = row,
};
