/* Masks e-mail addresses, drops test accounts, and calls `phone` `telephone`. */
import { Plugin, Row, Table, register } from "../../../plugins/sdk-assemblyscript/sluicegate";

class MaskEmail extends Plugin {
  plan(table: Table): void {
    if (table.has("email")) {
      table.rewrite("email");
      table.filterRows();
    }
    if (table.has("phone")) table.rename("phone", "telephone");
  }
  row(row: Row): void {
    const email = row.text("email") || "";
    const at = email.lastIndexOf("@");
    if (at < 0) return;
    const domain = email.substring(at);
    if (domain == "@test.invalid") row.drop();
    else row.set("email", "***" + domain);
  }
}

register(new MaskEmail("mask-email", "1.0.0", "masks e-mail addresses, drops test accounts"));
