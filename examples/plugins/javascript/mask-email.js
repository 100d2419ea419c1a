/* Masks e-mail addresses, drops test accounts, and calls `phone` `telephone`. */
import { plugin } from "../../../plugins/sdk-js/sluicegate.js";

export const transform = plugin({
  name: "mask-email",
  version: "1.0.0",
  summary: "masks e-mail addresses, drops test accounts",
  plan(table) {
    if (table.has("email")) {
      table.rewrite("email");
      table.filterRows();
    }
    if (table.has("phone")) table.rename("phone", "telephone");
  },
  row(row) {
    const email = row.get("email") ?? "";
    const at = email.lastIndexOf("@");
    if (at >= 0 && email.slice(at) === "@test.invalid") row.drop();
    else if (at >= 0) row.set("email", `***${email.slice(at)}`);
  },
});
