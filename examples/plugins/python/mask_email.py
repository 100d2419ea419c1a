"""Masks e-mail addresses, drops test accounts, and calls `phone` `telephone`."""

from sluicegate import Plugin, export


class MaskEmail(Plugin):
    name, version, summary = "mask-email", "1.0.0", "masks e-mail addresses, drops test accounts"

    def plan(self, table):
        if table.has("email"):
            table.rewrite("email")
            table.filter_rows()
        if table.has("phone"):
            table.rename("phone", "telephone")

    def row(self, row):
        _, at, domain = (row["email"] or "").rpartition("@")
        if at and domain == "test.invalid":
            row.drop()
        elif at:
            row["email"] = f"***@{domain}"


Transform = export(MaskEmail)
