/* Rows, whole columns, and the exports, on top of what wit-bindgen generates. */
#include "internal.h"
#include "bindings/plugin.h"

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
static sg_builder *computed_of(sg_batch *batch, const char *column, place place) {
  for (size_t i = 0; i < batch->computed_count; i++)
    if (batch->computed[i].place == place && strcmp(batch->computed[i].name, column) == 0) return &batch->computed[i];
  return NULL;
}
sg_builder *sg_find_computed(sg_batch *batch, const char *column) {
  sg_builder *found = computed_of(batch, column, VALUE);
  if (!found) sg_fail(batch, sentence("column `", column, "` is not computed by the plan: call sg_rewrite or sg_add"));
  return found;
}
sg_builder *sg_find_header(sg_batch *batch, const char *header) {
  sg_builder *found = computed_of(batch, header, HEADER);
  if (!found) sg_fail(batch, sentence("header `", header, "` is not computed by the plan: call sg_add_header"));
  return found;
}

static bool is_string(sg_type type) { return type >= SG_DECIMAL; }

static size_t width_of(sg_type type) {
  return type == SG_BOOLEAN ? 1 : type == SG_FLOAT32 ? 4 : is_string(type) ? 0 : 8;
}

static void build(sg_builder *column, sg_batch *batch, const char *name, sg_type type, place place, const sg_input *input) {
  memset(column, 0, sizeof *column);
  column->place = (uint8_t)place;
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

void sg_append_int(sg_row *row, const char *column, int64_t value) {
  char digits[20];
  size_t start = sizeof digits;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do digits[--start] = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0) digits[--start] = '-';
  sg_str text = {digits + start, sizeof digits - start};
  sg_append(row, column, text);
}

/* One text a row, which is not a column of the record. */
static void set_outside(sg_row *row, sg_builder *column, const char *name, sg_str value) {
  if (!column) return;
  if (column->count == row->index) sg_push_text(column, value);
  else sg_fail(row->batch, sentence("`", name, "` was set twice in one row"));
}
void sg_set_header(sg_row *row, const char *header, sg_str value) { set_outside(row, sg_find_header(row->batch, header), header, value); }
void sg_send_row_to(sg_row *row, sg_str destination) {
  sg_builder *column = computed_of(row->batch, "destination", DESTINATION);
  if (!column) sg_fail(row->batch, "the plan does not let rows choose their destination: call sg_choose_destinations");
  set_outside(row, column, "destination", destination);
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

/* What `apply` has to know of a planned table. All of its strings live as long as it. */
struct sg_layout {
  bool planned;
  void *state;
  sg_input *inputs;
  size_t input_count;
  struct { const char *name; sg_type type; place place; int64_t read; } *computed;
  size_t computed_count;
};

static sg_layout *layouts;
static size_t layout_count;

static const char *zero_terminated(plugin_string_t s) { return copied_n(s.ptr, s.len); }

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
  const char *fault = sg_plugin.configure ? sg_plugin.configure(json) : NULL;
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
    layout->computed[layout->computed_count].place = output->place;
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

void sg_each_row(sg_batch *batch, void (*handle)(sg_row *row)) {
  for (size_t i = 0; i < batch->count && !batch->answer.fault; i++) {
    sg_row row = {batch, i};
    handle(&row);
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
    build(&batch.computed[i], &batch, layout->computed[i].name, layout->computed[i].type, layout->computed[i].place, input);
  }

  if (sg_plugin.batch) sg_plugin.batch(&batch);
  else if (sg_plugin.row) sg_each_row(&batch, sg_plugin.row);

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
