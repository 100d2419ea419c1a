/* What `plan` may do to a table. */
#include "internal.h"

static void refuse(sg_table *table, const char *message) {
  if (!table->plan.fault) table->plan.fault = message;
}
void sg_refuse(sg_table *table, const char *message) { refuse(table, copied(message)); }

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
