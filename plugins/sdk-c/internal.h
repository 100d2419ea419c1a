/* What the files of the SDK share. */
#ifndef SLUICEGATE_INTERNAL_H
#define SLUICEGATE_INTERNAL_H

#include "sluicegate.h"
#include <stdlib.h>
#include <string.h>

/* Without memory there is nothing to say any more: the host starts the plugin anew. */
static inline void *grown(void *old, size_t size) {
  void *memory = realloc(old, size ? size : 1);
  if (!memory) __builtin_trap();
  return memory;
}
#define NEW(type, count) ((type *)grown(NULL, sizeof(type) * (count)))

typedef enum { VALUE, HEADER, DESTINATION } place;

struct sg_output {
  const char *name;
  int64_t input; /* the input column that it is or stands in for, or -1 */
  bool computed, primary_key;
  sg_type type;
  place place;
};

static inline place place_of(const sg_column *column) { return column->header ? HEADER : column->destination ? DESTINATION : VALUE; }

/* A zero-terminated copy. */
static inline const char *copied_n(const void *text, size_t length) {
  char *copy = NEW(char, length + 1);
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}
static inline const char *copied(const char *text) { return copied_n(text, strlen(text)); }

/* before + name + after, allocated: for the texts of faults. */
static inline const char *sentence(const char *before, const char *name, const char *after) {
  size_t lengths[] = {strlen(before), strlen(name), strlen(after)};
  char *text = NEW(char, lengths[0] + lengths[1] + lengths[2] + 1);
  memcpy(text, before, lengths[0]);
  memcpy(text + lengths[0], name, lengths[1]);
  memcpy(text + lengths[0] + lengths[1], after, lengths[2] + 1);
  return text;
}

#endif
