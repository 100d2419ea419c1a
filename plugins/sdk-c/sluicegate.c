/* The SDK of sluicegate.h, on top of what wit-bindgen generates. */
#include "sluicegate.h"
#include "bindings/plugin.h"
#include <stdlib.h>
#include <string.h>

/* Without memory there is nothing to say any more: the host starts the plugin anew. */
static void *grown(void *old, size_t size) {
  void *memory = realloc(old, size ? size : 1);
  if (!memory) __builtin_trap();
  return memory;
}
#define NEW(type, count) ((type *)grown(NULL, sizeof(type) * (count)))

/* ---- text ------------------------------------------------------------------------------------------------------------- */

bool sg_equal(sg_str a, sg_str b) { return a.ptr && b.ptr && a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }
bool sg_starts_with(sg_str text, sg_str start) {
  return text.ptr && text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}
bool sg_ends_with(sg_str text, sg_str end) {
  return text.ptr && text.len >= end.len && memcmp(text.ptr + text.len - end.len, end.ptr, end.len) == 0;
}
sg_str sg_from_last(sg_str text, char c) {
  sg_str none = {NULL, 0};
  for (size_t i = text.ptr ? text.len : 0; i-- > 0;)
    if (text.ptr[i] == c) {
      sg_str found = {text.ptr + i, text.len - i};
      return found;
    }
  return none;
}

/* before + name + after, allocated: for the texts of faults. */
static const char *sentence(const char *before, const char *name, const char *after) {
  size_t lengths[] = {strlen(before), strlen(name), strlen(after)};
  char *text = NEW(char, lengths[0] + lengths[1] + lengths[2] + 1);
  memcpy(text, before, lengths[0]);
  memcpy(text + lengths[0], name, lengths[1]);
  memcpy(text + lengths[0] + lengths[1], after, lengths[2] + 1);
  return text;
}

/* ---- configuration ---------------------------------------------------------------------------------------------------- */

static const sg_json absent = {"null", 4};

static size_t after_space(sg_json s, size_t i) {
  while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == '\n' || s.ptr[i] == '\r')) i++;
  return i;
}

/* The end of the value that begins at i. */
static size_t after_value(sg_json s, size_t i) {
  bool quoted = false;
  size_t depth = 0;
  for (; i < s.len; i++) {
    char c = s.ptr[i];
    if (quoted) {
      if (c == '\\') i++;
      else if (c == '"') {
        quoted = false;
        if (depth == 0) return i + 1;
      }
    } else if (c == '"') quoted = true;
    else if (c == '{' || c == '[') depth++;
    else if (depth == 0 && (c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) return i;
    else if ((c == '}' || c == ']') && --depth == 0) return i + 1;
  }
  return s.len;
}

static sg_json part(sg_json s, size_t from, size_t to) {
  sg_json found = {s.ptr + from, (to < s.len ? to : s.len) - from};
  return found;
}

sg_json sg_json_get(sg_json object, const char *name) {
  size_t i = after_space(object, 0);
  if (i >= object.len || object.ptr[i] != '{') return absent;
  for (i = after_space(object, i + 1); i < object.len && object.ptr[i] == '"'; i = after_space(object, i + 1)) {
    size_t end = after_value(object, i);
    sg_str key;
    bool found = sg_json_text(part(object, i, end), &key) && key.len == strlen(name) && memcmp(key.ptr, name, key.len) == 0;
    i = after_space(object, after_space(object, end) + 1); /* past the colon */
    if (i >= object.len) break;
    end = after_value(object, i);
    if (found) return part(object, i, end);
    i = after_space(object, end); /* at the comma, or at the end */
  }
  return absent;
}

sg_json sg_json_item(sg_json array, size_t n) {
  size_t i = after_space(array, 0);
  if (i >= array.len || array.ptr[i] != '[') return absent;
  for (i = after_space(array, i + 1); i < array.len && array.ptr[i] != ']'; i = after_space(array, i + 1)) {
    size_t end = after_value(array, i);
    if (n-- == 0) return part(array, i, end);
    i = after_space(array, end);
  }
  return absent;
}

bool sg_json_is_null(sg_json value) { return value.len == 4 && memcmp(value.ptr, "null", 4) == 0; }

bool sg_json_bool(sg_json value, bool *out) {
  bool yes = value.len == 4 && memcmp(value.ptr, "true", 4) == 0;
  if (!yes && !(value.len == 5 && memcmp(value.ptr, "false", 5) == 0)) return false;
  *out = yes;
  return true;
}

bool sg_json_int(sg_json value, int64_t *out) {
  bool negative = value.len > 0 && value.ptr[0] == '-';
  uint64_t number = 0, most = (uint64_t)INT64_MAX + negative;
  if (value.len == (size_t)negative) return false;
  for (size_t i = negative; i < value.len; i++) {
    uint64_t digit = (uint64_t)(value.ptr[i] - '0');
    if (digit > 9 || number > (most - digit) / 10) return false;
    number = number * 10 + digit;
  }
  *out = negative ? (int64_t)(0 - number) : (int64_t)number;
  return true;
}

static bool hex4(sg_str s, size_t i, uint32_t *out) {
  *out = 0;
  for (size_t end = i + 4; i < end; i++) {
    if (i >= s.len) return false;
    uint8_t c = (uint8_t)s.ptr[i] | 0x20;
    if (c >= '0' && c <= '9') *out = *out << 4 | (uint32_t)(c - '0');
    else if (c >= 'a' && c <= 'f') *out = *out << 4 | (uint32_t)(c - 'a' + 10);
    else return false;
  }
  return true;
}

static size_t put_utf8(char *to, uint32_t c) {
  size_t more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
  to[0] = (char)(lead[more] | c >> 6 * more);
  for (size_t i = 1; i <= more; i++) to[i] = (char)(0x80 | (c >> 6 * (more - i) & 0x3f));
  return more + 1;
}

bool sg_json_text(sg_json value, sg_str *out) {
  if (value.len < 2 || value.ptr[0] != '"' || value.ptr[value.len - 1] != '"') return false;
  sg_str inner = {value.ptr + 1, value.len - 2};
  if (!memchr(inner.ptr, '\\', inner.len)) {
    *out = inner;
    return true;
  }
  static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  char *text = NEW(char, inner.len);
  size_t length = 0;
  for (size_t i = 0; i < inner.len; i++) {
    if (inner.ptr[i] != '\\') {
      text[length++] = inner.ptr[i];
      continue;
    }
    if (++i >= inner.len) return false;
    uint32_t c, low;
    if (inner.ptr[i] == 'u') {
      if (!hex4(inner, i + 1, &c)) return false;
      i += 4;
      if (c >= 0xd800 && c < 0xdc00 && i + 2 < inner.len && inner.ptr[i + 1] == '\\' && inner.ptr[i + 2] == 'u' && hex4(inner, i + 3, &low)) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
      }
      if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
      length += put_utf8(text + length, c);
    } else {
      const char *escape = strchr(escapes, inner.ptr[i]);
      if (!escape || !*escape) return false;
      text[length++] = meant[escape - escapes];
    }
  }
  out->ptr = text;
  out->len = length;
  return true;
}

/* ---- tables ----------------------------------------------------------------------------------------------------------- */

typedef enum { VALUE, HEADER, DESTINATION } place;

struct sg_output {
  const char *name;
  int64_t input; /* the input column that it is or stands in for, or -1 */
  bool computed, primary_key;
  sg_type type;
  place place;
};

/* What `apply` has to know of a planned table. All of its strings live as long as it. */
struct sg_layout {
  bool planned;
  void *state;
  sg_input *inputs;
  size_t input_count;
  struct { const char *name; sg_type type; bool destination; int64_t read; } *computed;
  size_t computed_count;
};

static sg_layout *layouts;
static size_t layout_count;

static const char *zero_terminated(plugin_string_t s) {
  char *copy = NEW(char, s.len + 1);
  memcpy(copy, s.ptr, s.len);
  copy[s.len] = 0;
  return copy;
}

static const char *copied(const char *s) {
  plugin_string_t text = {(uint8_t *)s, strlen(s)};
  return zero_terminated(text);
}

static void refuse(sg_table *table, const char *message) {
  if (!table->plan.fault) table->plan.fault = message;
}
void sg_refuse(sg_table *table, const char *message) { refuse(table, copied(message)); }

static place place_of(const sg_column *column) { return column->header ? HEADER : column->destination ? DESTINATION : VALUE; }

static int64_t index_of(const sg_table *table, const char *column, place place) {
  for (size_t i = 0; i < table->column_count; i++)
    if (place_of(&table->columns[i]) == place && strcmp(table->columns[i].name, column) == 0) return (int64_t)i;
  return -1;
}
bool sg_has(const sg_table *table, const char *column) { return index_of(table, column, VALUE) >= 0; }

static int64_t known(sg_table *table, const char *column, place place) {
  int64_t index = index_of(table, column, place);
  if (index < 0) refuse(table, sentence(place == HEADER ? "the table has no header `" : "the table has no column `", column, "`"));
  return index;
}

static sg_output *output_of(sg_table *table, const char *column) {
  int64_t index = known(table, column, VALUE);
  table->plan.touched = true;
  for (size_t i = 0; index >= 0 && i < table->plan.output_count; i++)
    if (table->plan.outputs[i].input == index && table->plan.outputs[i].place == VALUE) return &table->plan.outputs[i];
  if (index >= 0) refuse(table, sentence("column `", column, "` was dropped before"));
  return NULL;
}

static void read_index(sg_table *table, int64_t index) {
  if (index < 0) return;
  for (size_t i = 0; i < table->plan.read_count; i++)
    if (table->plan.reads[i] == (uint32_t)index) return;
  table->plan.reads[table->plan.read_count++] = (uint32_t)index;
}

static void add(sg_table *table, const char *name, int64_t input, bool computed, sg_type type, place place) {
  if (table->plan.output_count == table->plan.output_capacity) {
    table->plan.output_capacity = table->plan.output_capacity * 2 + 8;
    table->plan.outputs = (sg_output *)grown(table->plan.outputs, table->plan.output_capacity * sizeof(sg_output));
  }
  sg_output added = {copied(name), input, computed, false, type, place};
  table->plan.outputs[table->plan.output_count++] = added;
  table->plan.touched = true;
}

void sg_read(sg_table *table, const char *column) { read_index(table, known(table, column, VALUE)); }
void sg_read_header(sg_table *table, const char *header) { read_index(table, known(table, header, HEADER)); }
void sg_rewrite_as(sg_table *table, const char *column, sg_type type) {
  sg_output *output = output_of(table, column);
  if (!output) return;
  output->computed = true;
  output->type = type;
  read_index(table, output->input);
}
void sg_rewrite(sg_table *table, const char *column) {
  int64_t index = known(table, column, VALUE);
  if (index >= 0) sg_rewrite_as(table, column, table->columns[index].type);
}
void sg_add(sg_table *table, const char *name, sg_type type) { add(table, name, -1, true, type, VALUE); }
void sg_add_header(sg_table *table, const char *name, sg_type type) { add(table, name, -1, true, type, HEADER); }
void sg_copy_to_header(sg_table *table, const char *column, const char *header) {
  int64_t index = known(table, column, VALUE);
  if (index >= 0) add(table, header, index, false, table->columns[index].type, HEADER);
}
void sg_send_to(sg_table *table, const char *destination) {
  table->plan.destination = copied(destination);
  table->plan.touched = true;
}

static void remove_output(sg_table *table, sg_output *output) {
  size_t behind = (size_t)(table->plan.outputs + --table->plan.output_count - output);
  memmove(output, output + 1, behind * sizeof *output);
}

void sg_choose_destinations(sg_table *table) {
  for (size_t i = table->plan.output_count; i-- > 0;)
    if (table->plan.outputs[i].place == DESTINATION) remove_output(table, &table->plan.outputs[i]);
  add(table, "destination", -1, true, SG_TEXT, DESTINATION);
}
void sg_rename(sg_table *table, const char *column, const char *new_name) {
  sg_output *output = output_of(table, column);
  if (output) output->name = copied(new_name);
}
void sg_set_key(sg_table *table, const char *const *columns, size_t count) {
  for (size_t i = 0; i < table->plan.output_count; i++) table->plan.outputs[i].primary_key = false;
  for (size_t i = 0; i < count; i++) {
    sg_output *output = output_of(table, columns[i]);
    if (output) output->primary_key = true;
  }
}
void sg_drop_column(sg_table *table, const char *column) {
  sg_output *output = output_of(table, column);
  if (output) remove_output(table, output);
}
void sg_rename_table(sg_table *table, const char *database, const char *name) {
  table->plan.database = copied(database);
  table->plan.name = copied(name);
  table->plan.touched = true;
}
void sg_deliver(sg_table *table, unsigned operations) {
  table->plan.operations = (uint8_t)operations;
  table->plan.touched = true;
}
void sg_ask(sg_table *table, unsigned context) { table->plan.context |= (uint8_t)context; }
void sg_filter_rows(sg_table *table) { table->plan.filters = table->plan.touched = true; }

/* ---- whole columns ---------------------------------------------------------------------------------------------------- */

void sg_fail(sg_batch *batch, const char *message) {
  if (!batch->answer.fault) batch->answer.fault = message;
}

static const sg_input *input_of(sg_batch *batch, const char *column) {
  for (size_t i = 0; i < batch->input_count; i++)
    if (strcmp(batch->inputs[i].name, column) == 0) return &batch->inputs[i];
  return NULL;
}
const sg_input *sg_find_input(sg_batch *batch, const char *column) {
  const sg_input *found = input_of(batch, column);
  if (!found) sg_fail(batch, sentence("column `", column, "` is not read by the plan: call sg_read"));
  return found;
}
sg_builder *sg_find_computed(sg_batch *batch, const char *column) {
  for (size_t i = 0; i < batch->computed_count; i++)
    if (!batch->computed[i].destination && strcmp(batch->computed[i].name, column) == 0) return &batch->computed[i];
  sg_fail(batch, sentence("column `", column, "` is not computed by the plan: call sg_rewrite or sg_add"));
  return NULL;
}

static bool is_string(sg_type type) { return type >= SG_DECIMAL; }

static size_t width_of(sg_type type) {
  return type == SG_BOOLEAN ? 1 : type == SG_FLOAT32 ? 4 : is_string(type) ? 0 : 8;
}

static void build(sg_builder *column, sg_batch *batch, const char *name, sg_type type, bool destination, const sg_input *input) {
  memset(column, 0, sizeof *column);
  column->destination = destination;
  column->batch = batch;
  column->name = name;
  column->type = type;
  column->input = input;
  if (is_string(type)) {
    column->offsets = NEW(uint32_t, batch->count + 1);
    column->offsets[0] = 0;
  } else if (batch->count) {
    column->values = grown(NULL, batch->count * width_of(type));
  }
}

/* Whether one row more, of this kind, may be pushed. */
static bool takes(sg_builder *column, bool fits(sg_type)) {
  if (fits && !fits(column->type)) sg_fail(column->batch, sentence("column `", column->name, "` is set to another type than it has"));
  else if (column->count >= column->batch->count) sg_fail(column->batch, sentence("column `", column->name, "` is given more values than there are rows"));
  else return true;
  return false;
}

static bool fits_bool(sg_type type) { return type == SG_BOOLEAN; }
static bool fits_int(sg_type type) { return type == SG_INT64; }
static bool fits_uint(sg_type type) { return type == SG_UINT64; }
static bool fits_float(sg_type type) { return type == SG_FLOAT32 || type == SG_FLOAT64; }

static void put_string(sg_builder *column, sg_str value) {
  if (value.len > column->room - column->length) {
    column->room = (column->length + value.len) * 2;
    column->data = (uint8_t *)grown(column->data, column->room);
  }
  if (value.len) memcpy(column->data + column->length, value.ptr, value.len);
  column->length += value.len;
}

void sg_push_null(sg_builder *column) {
  if (!takes(column, NULL)) return;
  if (!column->nulls) {
    column->nulls = NEW(uint8_t, (column->batch->count + 7) / 8);
    memset(column->nulls, 0, (column->batch->count + 7) / 8);
  }
  column->nulls[column->count >> 3] |= (uint8_t)(1 << (column->count & 7));
  size_t width = width_of(column->type);
  if (width) memset((char *)column->values + column->count * width, 0, width);
  else column->offsets[column->count + 1] = (uint32_t)column->length;
  column->count++;
}
void sg_push_bool(sg_builder *column, bool value) {
  if (takes(column, fits_bool)) ((uint8_t *)column->values)[column->count++] = value;
}
void sg_push_int(sg_builder *column, int64_t value) {
  if (takes(column, fits_int)) ((int64_t *)column->values)[column->count++] = value;
}
void sg_push_uint(sg_builder *column, uint64_t value) {
  if (takes(column, fits_uint)) ((uint64_t *)column->values)[column->count++] = value;
}
void sg_push_float(sg_builder *column, double value) {
  if (!takes(column, fits_float)) return;
  if (column->type == SG_FLOAT32) ((float *)column->values)[column->count++] = (float)value;
  else ((double *)column->values)[column->count++] = value;
}
void sg_push_text(sg_builder *column, sg_str value) {
  if (!value.ptr) {
    sg_push_null(column);
    return;
  }
  if (!takes(column, is_string)) return;
  put_string(column, value);
  column->offsets[++column->count] = (uint32_t)column->length;
}
void sg_extend(sg_builder *column, sg_str value) {
  if (!is_string(column->type) || column->count == 0) {
    sg_fail(column->batch, sentence("column `", column->name, "` has no text to extend"));
    return;
  }
  put_string(column, value);
  column->offsets[column->count] = (uint32_t)column->length;
}
void sg_push_from(sg_builder *column, const sg_input *from, size_t row) {
  if (sg_null_at(from, row)) sg_push_null(column);
  else switch (from->type) {
      case SG_BOOLEAN: sg_push_bool(column, from->booleans[row]); break;
      case SG_INT64: sg_push_int(column, from->int64s[row]); break;
      case SG_UINT64: sg_push_uint(column, from->uint64s[row]); break;
      case SG_FLOAT32: sg_push_float(column, from->float32s[row]); break;
      case SG_FLOAT64: sg_push_float(column, from->float64s[row]); break;
      default: sg_push_text(column, sg_at(from, row));
    }
}

void sg_drop_at(sg_batch *batch, size_t row) {
  if (!batch->answer.keep) {
    size_t bytes = (batch->count + 7) / 8;
    batch->answer.keep = NEW(uint8_t, bytes);
    memset(batch->answer.keep, 0xff, bytes);
    if (batch->count & 7) batch->answer.keep[bytes - 1] = (uint8_t)(0xff >> (8 - (batch->count & 7)));
  }
  batch->answer.keep[row >> 3] &= (uint8_t)~(1 << (row & 7));
}

void sg_reject_at(sg_batch *batch, size_t row, const char *message) {
  if (batch->answer.rejected_count == batch->answer.rejected_capacity) {
    batch->answer.rejected_capacity = batch->answer.rejected_capacity * 2 + 4;
    batch->answer.rejected = grown(batch->answer.rejected, batch->answer.rejected_capacity * sizeof(sluicegate_plugin_types_rejection_t));
  }
  sluicegate_plugin_types_rejection_t *rejection = (sluicegate_plugin_types_rejection_t *)batch->answer.rejected + batch->answer.rejected_count++;
  rejection->row = (uint32_t)row;
  plugin_string_dup(&rejection->message, message);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

/* The column, unless this row of it is null; without `fits` also then. */
static const sg_input *readable(const sg_row *row, const char *column, bool fits(sg_type)) {
  const sg_input *found = sg_find_input(row->batch, column);
  if (found && fits && !fits(found->type)) {
    sg_fail(row->batch, sentence("column `", column, "` is read as another type than it has"));
    return NULL;
  }
  return found && (!fits || !sg_null_at(found, row->index)) ? found : NULL;
}

bool sg_is_null(const sg_row *row, const char *column) {
  const sg_input *found = readable(row, column, NULL);
  return !found || sg_null_at(found, row->index);
}
bool sg_bool(const sg_row *row, const char *column) {
  const sg_input *found = readable(row, column, fits_bool);
  return found && found->booleans[row->index];
}
int64_t sg_int(const sg_row *row, const char *column) {
  const sg_input *found = readable(row, column, fits_int);
  return found ? found->int64s[row->index] : 0;
}
uint64_t sg_uint(const sg_row *row, const char *column) {
  const sg_input *found = readable(row, column, fits_uint);
  return found ? found->uint64s[row->index] : 0;
}
double sg_float(const sg_row *row, const char *column) {
  const sg_input *found = readable(row, column, fits_float);
  return !found ? 0 : found->type == SG_FLOAT32 ? found->float32s[row->index] : found->float64s[row->index];
}
sg_str sg_text(const sg_row *row, const char *column) {
  const sg_input *found = readable(row, column, is_string);
  sg_str none = {NULL, 0};
  return found ? sg_at(found, row->index) : none;
}

/* The computed column, if this row of it is not set yet. */
static sg_builder *settable(sg_row *row, const char *column) {
  sg_builder *found = sg_find_computed(row->batch, column);
  if (!found || found->count == row->index) return found;
  sg_fail(row->batch, sentence("column `", column, "` was set twice in one row"));
  return NULL;
}

void sg_set_null(sg_row *row, const char *column) {
  sg_builder *found = settable(row, column);
  if (found) sg_push_null(found);
}
void sg_set_bool(sg_row *row, const char *column, bool value) {
  sg_builder *found = settable(row, column);
  if (found) sg_push_bool(found, value);
}
void sg_set_int(sg_row *row, const char *column, int64_t value) {
  sg_builder *found = settable(row, column);
  if (found) sg_push_int(found, value);
}
void sg_set_uint(sg_row *row, const char *column, uint64_t value) {
  sg_builder *found = settable(row, column);
  if (found) sg_push_uint(found, value);
}
void sg_set_float(sg_row *row, const char *column, double value) {
  sg_builder *found = settable(row, column);
  if (found) sg_push_float(found, value);
}
void sg_set_text(sg_row *row, const char *column, sg_str value) {
  sg_builder *found = settable(row, column);
  if (found) sg_push_text(found, value);
}
void sg_append(sg_row *row, const char *column, sg_str value) {
  sg_builder *found = sg_find_computed(row->batch, column);
  if (found && is_string(found->type) && found->count == row->index + 1) sg_extend(found, value);
  else sg_set_text(row, column, value);
}
void sg_copy(sg_row *row, const char *column, const char *from) {
  const sg_input *input = sg_find_input(row->batch, from);
  sg_builder *found = settable(row, column);
  if (input && found) sg_push_from(found, input, row->index);
}

void sg_send_row_to(sg_row *row, sg_str destination) {
  for (size_t i = 0; i < row->batch->computed_count; i++) {
    sg_builder *column = &row->batch->computed[i];
    if (!column->destination) continue;
    if (column->count == row->index) sg_push_text(column, destination);
    else sg_fail(row->batch, "the destination of a row was chosen twice");
    return;
  }
  sg_fail(row->batch, "the plan does not let rows choose their destination: call sg_choose_destinations");
}

/* What the plan did not ask for is a fault. */
static bool asked(const sg_row *row, const void *list, const char *message) {
  if (!list) sg_fail(row->batch, message);
  return list;
}
bool sg_is_before(const sg_row *row) {
  return asked(row, row->batch->images, "the plan does not ask for images: call sg_ask") && row->batch->images[row->index] == 0;
}
unsigned sg_operation(const sg_row *row) {
  return asked(row, row->batch->operations, "the plan does not ask for operations: call sg_ask") ? row->batch->operations[row->index] : 0;
}
int64_t sg_time(const sg_row *row) {
  return asked(row, row->batch->times, "the plan does not ask for times: call sg_ask") ? row->batch->times[row->index] : 0;
}
bool sg_other(const sg_row *row, sg_row *other) {
  if (!asked(row, row->batch->partners, "the plan does not ask for partners: call sg_ask")) return false;
  uint32_t partner = row->batch->partners[row->index];
  if (partner >= row->batch->count) return false;
  other->batch = row->batch;
  other->index = partner;
  return true;
}

void sg_log(sg_level level, const char *message) {
  plugin_string_t text;
  plugin_string_set(&text, message);
  sluicegate_plugin_log_log((sluicegate_plugin_log_level_t)level, &text);
}

/* ---- exports: arguments are ours to free, what is returned is freed by the generated code ------------------------------- */

static void give(plugin_string_t *to, const char *text) { plugin_string_dup(to, text ? text : ""); }

static void give_option(plugin_option_string_t *to, const char *text) {
  to->is_some = text != NULL;
  if (text) give(&to->val, text);
}

void exports_sluicegate_plugin_transform_describe(exports_sluicegate_plugin_transform_description_t *ret) {
  give(&ret->name, sg_plugin.name);
  give(&ret->version, sg_plugin.version);
  give(&ret->summary, sg_plugin.summary);
  give(&ret->config_schema, sg_plugin.config_schema);
}

bool exports_sluicegate_plugin_transform_configure(plugin_string_t *config, plugin_string_t *err) {
  sg_json json = {(const char *)config->ptr, config->len};
  size_t start = after_space(json, 0);
  const char *fault = sg_plugin.configure ? sg_plugin.configure(part(json, start, after_value(json, start))) : NULL;
  if (fault) give(err, fault);
  return !fault;
}

/* The plan for the host, and the layout for `apply`. */
static void finish(sg_table *table, exports_sluicegate_plugin_transform_table_plan_t *plan, sg_layout *layout) {
  size_t outputs = table->plan.output_count;
  give(&plan->delivers.name.database, table->plan.database);
  give_option(&plan->delivers.name.schema, table->plan.schema);
  give(&plan->delivers.name.table, table->plan.name);
  give_option(&plan->delivers.destination, table->plan.destination);
  plan->delivers.columns.len = plan->origins.len = outputs;
  plan->delivers.columns.ptr = NEW(sluicegate_plugin_types_column_t, outputs);
  plan->origins.ptr = NEW(plugin_option_u32_t, outputs);
  plan->reads.len = table->plan.read_count;
  plan->reads.ptr = NEW(uint32_t, table->plan.read_count);
  memcpy(plan->reads.ptr, table->plan.reads, sizeof(uint32_t) * table->plan.read_count);
  plan->operations = table->plan.operations;
  plan->context = table->plan.context;
  plan->filters = table->plan.filters;

  layout->planned = true;
  layout->state = table->state;
  layout->input_count = table->plan.read_count;
  layout->inputs = NEW(sg_input, table->plan.read_count);
  for (size_t i = 0; i < table->plan.read_count; i++) {
    const sg_column *column = &table->columns[table->plan.reads[i]];
    memset(&layout->inputs[i], 0, sizeof(sg_input));
    layout->inputs[i].name = column->name;
    layout->inputs[i].type = column->type;
  }
  layout->computed_count = 0;
  layout->computed = grown(NULL, outputs * sizeof *layout->computed);
  for (size_t i = 0; i < outputs; i++) {
    const sg_output *output = &table->plan.outputs[i];
    const sg_column *input = output->input < 0 ? NULL : &table->columns[output->input];
    bool same = !output->computed || (input && input->type == output->type);
    sluicegate_plugin_types_column_t *column = &plan->delivers.columns.ptr[i];
    give(&column->name, output->name);
    give(&column->native_type, input && same ? input->native_type : "");
    column->data_type = (sluicegate_plugin_types_data_type_t)output->type;
    column->nullable = output->computed || input->nullable;
    column->primary_key = output->primary_key;
    column->place = (sluicegate_plugin_types_place_t)output->place;
    plan->origins.ptr[i].is_some = !output->computed;
    plan->origins.ptr[i].val = output->computed ? 0 : (uint32_t)output->input;
    if (!output->computed) continue;
    int64_t read = -1;
    for (size_t r = 0; same && r < table->plan.read_count; r++)
      if ((int64_t)table->plan.reads[r] == output->input) read = (int64_t)r;
    layout->computed[layout->computed_count].name = output->name;
    layout->computed[layout->computed_count].type = output->type;
    layout->computed[layout->computed_count].destination = output->place == DESTINATION;
    layout->computed[layout->computed_count++].read = read;
  }
}

bool exports_sluicegate_plugin_transform_plan(
  uint32_t table_id, exports_sluicegate_plugin_transform_table_t *given, exports_sluicegate_plugin_transform_option_table_plan_t *ret,
  plugin_string_t *err
) {
  /* Names live as long as the instance: rows are addressed by them. */
  size_t count = given->columns.len;
  sg_column *columns = NEW(sg_column, count);
  sg_table table;
  memset(&table, 0, sizeof table);
  table.id = table_id;
  table.database = table.plan.database = zero_terminated(given->name.database);
  table.schema = table.plan.schema = given->name.schema.is_some ? zero_terminated(given->name.schema.val) : NULL;
  table.name = table.plan.name = zero_terminated(given->name.table);
  table.plan.destination = given->destination.is_some ? zero_terminated(given->destination.val) : NULL;
  table.columns = columns;
  table.column_count = count;
  table.plan.outputs = NEW(sg_output, count);
  table.plan.output_count = table.plan.output_capacity = count;
  table.plan.reads = NEW(uint32_t, count);
  table.plan.operations = SG_ON_SNAPSHOT | SG_ON_INSERT | SG_ON_UPDATE | SG_ON_DELETE | SG_ON_TRUNCATE;
  for (size_t i = 0; i < count; i++) {
    const sluicegate_plugin_types_column_t *column = &given->columns.ptr[i];
    sg_column ours = {
      zero_terminated(column->name), (sg_type)column->data_type, zero_terminated(column->native_type), column->nullable, column->primary_key,
      column->place == SLUICEGATE_PLUGIN_TYPES_PLACE_HEADER, column->place == SLUICEGATE_PLUGIN_TYPES_PLACE_DESTINATION,
    };
    sg_output output = {ours.name, (int64_t)i, false, ours.primary_key, ours.type, place_of(&ours)};
    columns[i] = ours;
    table.plan.outputs[i] = output;
  }
  exports_sluicegate_plugin_transform_table_free(given);

  if (sg_plugin.plan) sg_plugin.plan(&table);

  if (table_id >= layout_count) {
    layouts = (sg_layout *)grown(layouts, (table_id + 1) * sizeof(sg_layout));
    memset(layouts + layout_count, 0, (table_id + 1 - layout_count) * sizeof(sg_layout));
    layout_count = table_id + 1;
  }
  memset(&layouts[table_id], 0, sizeof(sg_layout));
  ret->is_some = table.plan.touched && !table.plan.fault;
  if (ret->is_some) finish(&table, &ret->val, &layouts[table_id]);
  if (table.plan.fault) give(err, table.plan.fault);
  free(table.plan.outputs);
  free(table.plan.reads);
  return !table.plan.fault;
}

static sg_input input_from(sg_input column, const sluicegate_plugin_types_vector_t *vector) {
  switch (vector->values.tag) {
    case SLUICEGATE_PLUGIN_TYPES_VALUES_BOOLEANS: column.booleans = vector->values.val.booleans.ptr; break;
    case SLUICEGATE_PLUGIN_TYPES_VALUES_INT64S: column.int64s = vector->values.val.int64s.ptr; break;
    case SLUICEGATE_PLUGIN_TYPES_VALUES_UINT64S: column.uint64s = vector->values.val.uint64s.ptr; break;
    case SLUICEGATE_PLUGIN_TYPES_VALUES_FLOAT32S: column.float32s = vector->values.val.float32s.ptr; break;
    case SLUICEGATE_PLUGIN_TYPES_VALUES_FLOAT64S: column.float64s = vector->values.val.float64s.ptr; break;
    default:
      column.offsets = vector->values.val.texts.offsets.ptr;
      column.data = vector->values.val.texts.data.len ? (const char *)vector->values.val.texts.data.ptr : "";
  }
  column.nulls = vector->nulls.len ? vector->nulls.ptr : NULL;
  return column;
}

static void vector_from(sg_builder *column, sluicegate_plugin_types_vector_t *vector) {
  /* The tags are in the order of the types, with everything from SG_DECIMAL on but bytes as text. */
  vector->values.tag = (uint8_t)(column->type == SG_BYTES ? SLUICEGATE_PLUGIN_TYPES_VALUES_BYTES
                                 : is_string(column->type) ? SLUICEGATE_PLUGIN_TYPES_VALUES_TEXTS : column->type);
  if (is_string(column->type)) {
    vector->values.val.texts.offsets.ptr = column->offsets;
    vector->values.val.texts.offsets.len = column->count + 1;
    vector->values.val.texts.data.ptr = column->data;
    vector->values.val.texts.data.len = column->length;
  } else { /* every list has the same two fields */
    vector->values.val.booleans.ptr = (uint8_t *)column->values;
    vector->values.val.booleans.len = column->count;
  }
  vector->nulls.ptr = column->nulls;
  vector->nulls.len = column->nulls ? (column->count + 7) / 8 : 0;
}

static void each_row(sg_batch *batch) {
  for (size_t i = 0; i < batch->count && !batch->answer.fault; i++) {
    sg_row row = {batch, i};
    sg_plugin.row(&row);
    for (size_t c = 0; c < batch->computed_count; c++) {
      sg_builder *column = &batch->computed[c];
      if (column->count > i) continue;
      if (column->input) sg_push_from(column, column->input, i);
      else sg_push_null(column);
    }
  }
}

bool exports_sluicegate_plugin_transform_apply(
  uint32_t table_id, exports_sluicegate_plugin_transform_rows_t *rows, exports_sluicegate_plugin_transform_outcome_t *ret, plugin_string_t *err
) {
  sg_layout *layout = table_id < layout_count ? &layouts[table_id] : NULL;
  if (!layout || !layout->planned || layout->input_count != rows->columns.len) {
    give(err, "called with a table that was not planned");
    return false;
  }
  sg_batch batch;
  memset(&batch, 0, sizeof batch);
  batch.table_id = table_id;
  batch.count = rows->count;
  batch.state = layout->state;
  if (rows->images.len) batch.images = rows->images.ptr;
  if (rows->operations.len) batch.operations = rows->operations.ptr;
  if (rows->times.len) batch.times = rows->times.ptr;
  if (rows->partners.len) batch.partners = rows->partners.ptr;
  batch.inputs = layout->inputs;
  batch.input_count = layout->input_count;
  for (size_t i = 0; i < layout->input_count; i++) layout->inputs[i] = input_from(layout->inputs[i], &rows->columns.ptr[i]);
  batch.computed_count = layout->computed_count;
  batch.computed = NEW(sg_builder, layout->computed_count);
  for (size_t i = 0; i < layout->computed_count; i++) {
    int64_t read = layout->computed[i].read;
    const sg_input *input = read < 0 ? NULL : &layout->inputs[read];
    build(&batch.computed[i], &batch, layout->computed[i].name, layout->computed[i].type, layout->computed[i].destination, input);
  }

  if (sg_plugin.batch) sg_plugin.batch(&batch);
  else if (sg_plugin.row) each_row(&batch);

  for (size_t i = 0; i < batch.computed_count; i++)
    if (batch.computed[i].count != batch.count)
      sg_fail(&batch, sentence("computed column `", batch.computed[i].name, "` does not have a value for every row"));
  ret->keep.ptr = batch.answer.keep;
  ret->keep.len = batch.answer.keep ? (batch.count + 7) / 8 : 0;
  ret->rejected.ptr = (sluicegate_plugin_types_rejection_t *)batch.answer.rejected;
  ret->rejected.len = batch.answer.rejected_count;
  ret->computed.len = batch.computed_count;
  ret->computed.ptr = batch.computed_count ? NEW(sluicegate_plugin_types_vector_t, batch.computed_count) : NULL;
  for (size_t i = 0; i < batch.computed_count; i++) vector_from(&batch.computed[i], &ret->computed.ptr[i]);
  free(batch.computed);
  sluicegate_plugin_types_rows_free(rows);
  if (batch.answer.fault) {
    exports_sluicegate_plugin_transform_outcome_free(ret);
    give(err, batch.answer.fault);
    return false;
  }
  return true;
}
