/* Masks e-mail addresses, drops test accounts, and calls `phone` `telephone`. */
#include "sluicegate.h"

static void plan(sg_table *table) {
  if (sg_has(table, "email")) {
    sg_rewrite(table, "email");
    sg_filter_rows(table);
  }
  if (sg_has(table, "phone")) sg_rename(table, "phone", "telephone");
}

static void row(sg_row *row) {
  sg_str domain = sg_from_last(sg_text(row, "email"), '@');
  if (!domain.ptr) return;
  if (sg_equal(domain, SG_STR("@test.invalid"))) sg_drop(row);
  sg_append(row, "email", SG_STR("***"));
  sg_append(row, "email", domain);
}

const sg_definition sg_plugin = {
  .name = "mask-email", .version = "1.0.0", .summary = "masks e-mail addresses, drops test accounts", .plan = plan, .row = row,
};
