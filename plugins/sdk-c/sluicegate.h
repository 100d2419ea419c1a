/* Write a Sluicegate plugin in C, C++ or Zig.
 *
 * A plugin defines `sg_plugin`: who it is, and three functions. `plan` is called once for each table and says what becomes of
 * its columns; `row` is called for each row image of the tables whose plan computes, drops or rejects something, and sees
 * only the columns that the plan reads. Everything that `plan` does not mention passes untouched. Instead of `row` a plugin
 * may define `batch`, which is given whole columns.
 *
 * A name that the table or the plan does not have, or a value of the wrong type, is a fault of the plugin: the call fails with
 * a text that names the column. Nothing has to be freed.
 */
#ifndef SLUICEGATE_H
#define SLUICEGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Text or bytes, not zero-terminated. `ptr` is NULL for a null, never for an empty value. */
typedef struct sg_str {
  const char *ptr;
  size_t len;
} sg_str;

#ifdef __cplusplus
#define SG_STR(literal) (sg_str{literal, sizeof(literal) - 1})
#else
#define SG_STR(literal) ((sg_str){literal, sizeof(literal) - 1})
#endif

bool sg_equal(sg_str a, sg_str b);
bool sg_starts_with(sg_str text, sg_str start);
bool sg_ends_with(sg_str text, sg_str end);
/* From the last `c` on, that included; a null when there is none. */
sg_str sg_from_last(sg_str text, char c);

/* Types of values. From SG_DECIMAL on all but SG_BYTES are UTF-8 text; wit/plugin.wit says in which form. */
typedef enum sg_type {
  SG_BOOLEAN, SG_INT64, SG_UINT64, SG_FLOAT32, SG_FLOAT64, SG_DECIMAL, SG_TEXT, SG_BYTES, SG_DATE, SG_TIME, SG_DATETIME,
  SG_TIMESTAMP, SG_JSON
} sg_type;

/* Sets of operations. */
enum { SG_ON_SNAPSHOT = 1, SG_ON_INSERT = 2, SG_ON_UPDATE = 4, SG_ON_DELETE = 8, SG_ON_TRUNCATE = 16 };

/* What rows know beside their columns, when the plan asks for it. */
enum { SG_IMAGES = 1, SG_OPERATIONS = 2, SG_TIMES = 4, SG_PARTNERS = 8 };

/* ---- configuration: JSON, read where it stands ------------------------------------------------------------------------ */

/* A JSON value inside the text of the configuration; what is absent reads as null. */
typedef sg_str sg_json;

/* The member of an object, or null. */
sg_json sg_json_get(sg_json object, const char *name);
/* The n-th item of an array, or null. */
sg_json sg_json_item(sg_json array, size_t n);
bool sg_json_is_null(sg_json value);
/* Each answers false when the value is not of that type, and leaves `out` alone. */
bool sg_json_text(sg_json value, sg_str *out);
bool sg_json_int(sg_json value, int64_t *out);
bool sg_json_bool(sg_json value, bool *out);

/* ---- tables ----------------------------------------------------------------------------------------------------------- */

/* A column as it arrives. Strings are zero-terminated. */
typedef struct sg_column {
  const char *name;
  sg_type type;
  const char *native_type;
  bool nullable, primary_key;
  /* A header that a plugin before this one set, or its choice of destinations: no column of the record. */
  bool header, destination;
} sg_column;

typedef struct sg_output sg_output; /* a delivered column; opaque */
typedef struct sg_layout sg_layout; /* a planned table; opaque */

/* A table while it is planned. */
typedef struct sg_table {
  uint32_t id;
  const char *database;
  const char *schema; /* NULL where the source has none */
  const char *name;
  const sg_column *columns;
  size_t column_count;
  /* Yours: rows and batches of this table carry it. */
  void *state;

  struct { /* the SDK's */
    const char *database, *schema, *name, *destination;
    sg_output *outputs;
    size_t output_count, output_capacity;
    uint32_t *reads;
    size_t read_count;
    uint8_t operations, context;
    bool filters, touched;
    const char *fault;
  } plan;
} sg_table;

/* Columns are named as they arrive; headers are none of them. */
bool sg_has(const sg_table *table, const char *column);
/* Has the column handed to `row`. */
void sg_read(sg_table *table, const char *column);
/* The same for a header that a plugin before this one set. */
void sg_read_header(sg_table *table, const char *header);
/* Reads the column, and delivers in its place a computed one of the same type: what `row` does not set keeps its value. */
void sg_rewrite(sg_table *table, const char *column);
/* The same with another type: what `row` does not set is null. */
void sg_rewrite_as(sg_table *table, const char *column, sg_type type);
/* Adds a computed column: what `row` does not set is null. */
void sg_add(sg_table *table, const char *name, sg_type type);
/* Adds a computed header to the table's records: rows for which it is null have none. */
void sg_add_header(sg_table *table, const char *name, sg_type type);
/* Delivers a column as a header as well; its values never enter the plugin. */
void sg_copy_to_header(sg_table *table, const char *column, const char *header);
/* Sends the table's records to this Kafka topic, or folder of the file sink. */
void sg_send_to(sg_table *table, const char *destination);
/* Lets each row choose its destination, with sg_send_row_to; rows that do not go where the table goes. */
void sg_choose_destinations(sg_table *table);
void sg_rename(sg_table *table, const char *column, const char *new_name);
/* Makes these columns, and no others, the key of the table's records. */
void sg_set_key(sg_table *table, const char *const *columns, size_t count);
void sg_drop_column(sg_table *table, const char *column);
void sg_rename_table(sg_table *table, const char *database, const char *name);
/* Delivers only these operations (SG_ON_…); 0 drops the table. */
void sg_deliver(sg_table *table, unsigned operations);
/* What else rows know (SG_IMAGES, …). */
void sg_ask(sg_table *table, unsigned context);
/* Has to be called when rows may be dropped or rejected. */
void sg_filter_rows(sg_table *table);
/* Refuses the table, with a text for the operator. */
void sg_refuse(sg_table *table, const char *message);

/* ---- whole columns ---------------------------------------------------------------------------------------------------- */

/* A column that was read; one of the pointers is set. Null rows have values too, which mean nothing. */
typedef struct sg_input {
  const char *name;
  sg_type type;
  const uint8_t *booleans;
  const int64_t *int64s;
  const uint64_t *uint64s;
  const float *float32s;
  const double *float64s;
  const uint32_t *offsets; /* text and bytes: row i is data[offsets[i] .. offsets[i + 1]] */
  const char *data;
  const uint8_t *nulls; /* NULL when nothing is null */
} sg_input;

static inline bool sg_null_at(const sg_input *column, size_t row) {
  return column->nulls && (column->nulls[row >> 3] >> (row & 7) & 1);
}
static inline sg_str sg_at(const sg_input *column, size_t row) {
  sg_str value = {NULL, 0};
  if (!sg_null_at(column, row)) {
    value.ptr = column->data + column->offsets[row];
    value.len = column->offsets[row + 1] - column->offsets[row];
  }
  return value;
}

/* A computed column that is being built, row by row; a value for every row of the batch. */
typedef struct sg_builder {
  const char *name;
  sg_type type;
  uint8_t place;         /* 0 in the record, 1 a header of it, 2 its destination */
  size_t count;          /* rows so far */
  const sg_input *input; /* the column that it rewrites, if it has the same type */

  struct sg_batch *batch; /* the SDK's, as all that follows */
  size_t length, room;
  void *values;
  uint32_t *offsets;
  uint8_t *data, *nulls;
} sg_builder;

void sg_push_null(sg_builder *column);
void sg_push_bool(sg_builder *column, bool value);
void sg_push_int(sg_builder *column, int64_t value);
void sg_push_uint(sg_builder *column, uint64_t value);
void sg_push_float(sg_builder *column, double value);
void sg_push_text(sg_builder *column, sg_str value); /* bytes, too */
/* Row `row` of a column of the same type. */
void sg_push_from(sg_builder *column, const sg_input *from, size_t row);
/* Adds to the text of the row that was pushed last. */
void sg_extend(sg_builder *column, sg_str value);

/* Rows of one table. */
typedef struct sg_batch {
  uint32_t table_id, count;
  void *state;             /* the table's */
  const uint8_t *images;     /* 0 before, 1 after; these four only if asked for with sg_ask */
  const uint8_t *operations; /* 0 snapshot, 1 insert, 2 update, 3 delete */
  const int64_t *times;      /* microseconds since 1970-01-01 UTC */
  const uint32_t *partners;  /* the row of the other image, or UINT32_MAX */

  sg_input *inputs; /* the columns read, in the plan's order */
  size_t input_count;
  sg_builder *computed; /* the columns computed, in the plan's order */
  size_t computed_count;

  struct { /* the SDK's */
    uint8_t *keep;
    void *rejected;
    size_t rejected_count, rejected_capacity;
    const char *fault;
  } answer;
} sg_batch;

/* A column by name; NULL (and the call fails) when the plan does not have it. */
const sg_input *sg_find_input(sg_batch *batch, const char *column);
sg_builder *sg_find_computed(sg_batch *batch, const char *column);
sg_builder *sg_find_header(sg_batch *batch, const char *header);
/* Does not deliver the image. An update that loses its after image becomes a delete, one that loses its before image an insert. */
void sg_drop_at(sg_batch *batch, size_t row);
/* The pipeline's policy for the plugin decides what becomes of the change. Never put row values into the message. */
void sg_reject_at(sg_batch *batch, size_t row, const char *message);
/* Fails the batch. The text has to live on. */
void sg_fail(sg_batch *batch, const char *message);

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

typedef struct sg_row {
  sg_batch *batch;
  size_t index;
} sg_row;

/* Calls `handle` for each row, then gives a value to every computed column of it that was not set. */
void sg_each_row(sg_batch *batch, void (*handle)(sg_row *row));

bool sg_is_null(const sg_row *row, const char *column);
/* Null reads as false, 0, or a NULL pointer. */
bool sg_bool(const sg_row *row, const char *column);
int64_t sg_int(const sg_row *row, const char *column);
uint64_t sg_uint(const sg_row *row, const char *column);
double sg_float(const sg_row *row, const char *column); /* float32, too */
sg_str sg_text(const sg_row *row, const char *column);  /* everything that is text, and bytes */

/* A computed column is set once a row, or not at all. */
void sg_set_null(sg_row *row, const char *column);
void sg_set_bool(sg_row *row, const char *column, bool value);
void sg_set_int(sg_row *row, const char *column, int64_t value);
void sg_set_uint(sg_row *row, const char *column, uint64_t value);
void sg_set_float(sg_row *row, const char *column, double value);
void sg_set_text(sg_row *row, const char *column, sg_str value); /* bytes, too; a NULL pointer sets null */
/* Like sg_set_text, and every further call adds to the value. */
void sg_append(sg_row *row, const char *column, sg_str value);
/* Sets a computed column to the value of one that is read, of the same type. */
void sg_copy(sg_row *row, const char *column, const char *from);

/* Like sg_append, in decimal digits. */
void sg_append_int(sg_row *row, const char *column, int64_t value);
/* A header of the type text or bytes; a NULL pointer sets none. For others see sg_find_header. */
void sg_set_header(sg_row *row, const char *header, sg_str value);
/* Sends the row's record to this destination; the plan has to call sg_choose_destinations. */
void sg_send_row_to(sg_row *row, sg_str destination);

/* Whether it is the image before the change; the plan has to ask for SG_IMAGES. */
bool sg_is_before(const sg_row *row);
/* 0 snapshot, 1 insert, 2 update, 3 delete; the plan has to ask for SG_OPERATIONS. */
unsigned sg_operation(const sg_row *row);
/* When the source executed the change, in microseconds since 1970-01-01 UTC; the plan has to ask for SG_TIMES. */
int64_t sg_time(const sg_row *row);
/* The other image of the same change, if there is one; the plan has to ask for SG_PARTNERS. */
bool sg_other(const sg_row *row, sg_row *other);

static inline void sg_drop(sg_row *row) { sg_drop_at(row->batch, row->index); }
static inline void sg_reject(sg_row *row, const char *message) { sg_reject_at(row->batch, row->index, message); }

/* ---- the host's log: never log row values ----------------------------------------------------------------------------- */

typedef enum sg_level { SG_TRACE, SG_DEBUG, SG_INFO, SG_WARN, SG_ERROR } sg_level;
void sg_log(sg_level level, const char *message);

/* ---- the plugin ------------------------------------------------------------------------------------------------------- */

typedef struct sg_definition {
  const char *name, *version, *summary;
  /* A JSON Schema of the configuration; NULL = anything goes. */
  const char *config_schema;
  /* NULL, or a text for the operator that says what to change. What `config` points to lives on. May be left out. */
  const char *(*configure)(sg_json config);
  void (*plan)(sg_table *table);
  /* One of these two, or none for a plugin that only renames and drops columns. */
  void (*row)(sg_row *row);
  void (*batch)(sg_batch *batch);
} sg_definition;

/* Every plugin defines it. */
extern const sg_definition sg_plugin;

#ifdef __cplusplus
}
#endif
#endif
