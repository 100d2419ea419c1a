/* The conformance plugin: see ../README.md. */
#include "sluicegate.h"
#include <string.h>

static sg_str suffix;
static int64_t lanes;

static const char *configure(sg_json config) {
  sg_json given = sg_json_get(config, "suffix");
  suffix = SG_STR("~");
  lanes = 3;
  if (!sg_json_is_null(given) && !sg_json_text(given, &suffix)) return "suffix must be a text";
  sg_json_int(sg_json_get(config, "lanes"), &lanes);
  return NULL;
}

/* copy_of_ and the name, in a buffer that the next call uses again. */
static const char *copy_of(const char *name) {
  static char buffer[128] = "copy_of_";
  strncpy(buffer + 8, name, sizeof buffer - 9);
  return buffer;
}

static void plan(sg_table *table) {
  if (strcmp(table->name, "refused") == 0) sg_refuse(table, "refused on purpose");
  if (strcmp(table->name, "refused") == 0 || strcmp(table->name, "untouched") == 0) return;
  for (size_t i = 0; i < table->column_count; i++) {
    const char *name = table->columns[i].name;
    if (strncmp(name, "c_", 2) != 0 && strncmp(name, "v_", 2) != 0) continue;
    sg_read(table, name);
    sg_add(table, copy_of(name), table->columns[i].type);
  }
  const char *key = "rule";
  sg_read(table, "id");
  sg_read(table, "rule");
  sg_rewrite(table, "rewritten");
  sg_add(table, "context", SG_TEXT);
  sg_rename(table, "old_name", "new_name");
  sg_drop_column(table, "gone");
  sg_set_key(table, &key, 1);
  sg_add_header(table, "origin", SG_TEXT);
  sg_copy_to_header(table, "id", "source_id");
  sg_send_to(table, "elsewhere");
  sg_choose_destinations(table);
  sg_deliver(table, SG_ON_SNAPSHOT | SG_ON_INSERT | SG_ON_UPDATE | SG_ON_DELETE);
  sg_ask(table, SG_IMAGES | SG_OPERATIONS | SG_TIMES | SG_PARTNERS);
  sg_filter_rows(table);
}

static void each_row(sg_row *row) {
  static const sg_str operations[] = {{"snapshot", 8}, {"insert", 6}, {"update", 6}, {"delete", 6}};
  for (size_t i = 0; i < row->batch->input_count; i++) {
    const sg_input *input = &row->batch->inputs[i];
    if (strncmp(input->name, "c_", 2) == 0) sg_copy(row, copy_of(input->name), input->name);
  }
  sg_str rule = sg_text(row, "rule"), old = sg_text(row, "rewritten"), operation = operations[sg_operation(row)];
  if (!sg_equal(rule, SG_STR("keep"))) {
    sg_set_text(row, "rewritten", old);
    if (old.ptr) sg_append(row, "rewritten", suffix);
  }
  sg_row other;
  sg_append(row, "context", sg_is_before(row) ? SG_STR("before ") : SG_STR("after "));
  sg_append(row, "context", operation);
  sg_append(row, "context", SG_STR(" "));
  sg_append_int(row, "context", sg_time(row));
  sg_append(row, "context", SG_STR(" "));
  if (sg_other(row, &other)) sg_append_int(row, "context", sg_int(&other, "id"));
  else sg_append(row, "context", SG_STR("none"));
  if (!sg_is_before(row)) sg_set_header(row, "origin", operation);
  int64_t lane = sg_int(row, "id") % lanes;
  char destination[] = {'l', 'a', 'n', 'e', '-', (char)('0' + lane)};
  sg_str text = {destination, sizeof destination};
  if (lane) sg_send_row_to(row, text);
  if (sg_equal(rule, SG_STR("drop"))) sg_drop(row);
  if (sg_equal(rule, SG_STR("reject"))) sg_reject(row, "rejected by rule");
}

static void batch(sg_batch *batch) {
  for (size_t i = 0; i < batch->input_count; i++) {
    const sg_input *input = &batch->inputs[i];
    if (strncmp(input->name, "v_", 2) != 0) continue;
    sg_builder *copy = sg_find_computed(batch, copy_of(input->name));
    for (size_t row = 0; copy && row < batch->count; row++) sg_push_from(copy, input, row);
  }
  sg_each_row(batch, each_row);
}

const sg_definition sg_plugin = {
  .name = "conformance",
  .version = "1.0.0",
  .summary = "answers with what it was given",
  .config_schema = "{\"type\": [\"object\", \"null\"]}",
  .configure = configure,
  .plan = plan,
  .batch = batch,
};
