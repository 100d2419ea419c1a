// Masks e-mail addresses, drops test accounts, and calls `phone` `telephone`.
package main

import (
	"strings"

	"sluicegate"
)

func init() {
	sluicegate.Export(sluicegate.Plugin{
		Name: "mask-email", Version: "1.0.0", Summary: "masks e-mail addresses, drops test accounts", Plan: plan, Row: row,
	})
}

func plan(table *sluicegate.Table) error {
	if table.Has("email") {
		table.Rewrite("email")
		table.FilterRows()
	}
	if table.Has("phone") {
		table.Rename("phone", "telephone")
	}
	return nil
}

func row(row *sluicegate.Row) {
	email, _ := row.Text("email")
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return
	}
	if email[at:] == "@test.invalid" {
		row.Drop()
	}
	row.SetText("email", "***"+email[at:])
}

func main() {}
