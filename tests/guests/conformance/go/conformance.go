// The conformance plugin: see ../README.md.
package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"sluicegate"
)

var settings struct {
	Suffix string `json:"suffix"`
	Lanes  int64  `json:"lanes"`
}

func init() {
	sluicegate.Export(sluicegate.Plugin{
		Name: "conformance", Version: "1.0.0", Summary: "answers with what it was given",
		ConfigSchema: `{"type": ["object", "null"]}`,
		Configure:    configure, Plan: plan, Batch: batch,
	})
}

func configure(config string) error {
	settings.Suffix, settings.Lanes = "~", 3
	if json.Unmarshal([]byte(config), &settings) != nil {
		return errors.New("suffix must be a text")
	}
	return nil
}

func plan(table *sluicegate.Table) error {
	switch table.Name {
	case "refused":
		return errors.New("refused on purpose")
	case "untouched":
		return nil
	}
	for _, column := range table.Columns {
		if strings.HasPrefix(column.Name, "c_") || strings.HasPrefix(column.Name, "v_") {
			table.Read(column.Name)
			table.Add("copy_of_"+column.Name, column.Type)
		}
	}
	table.Read("id")
	table.Read("rule")
	table.Rewrite("rewritten")
	table.Add("context", sluicegate.Text)
	table.Rename("old_name", "new_name")
	table.DropColumn("gone")
	table.SetKey("rule")
	table.AddHeader("origin", sluicegate.Text)
	table.CopyToHeader("id", "source_id")
	table.SendTo("elsewhere")
	table.ChooseDestinations()
	table.Deliver(sluicegate.Snapshot, sluicegate.Insert, sluicegate.Update, sluicegate.Delete)
	table.Ask(sluicegate.Images, sluicegate.Operations, sluicegate.Times, sluicegate.Partners)
	table.FilterRows()
	return nil
}

func batch(batch *sluicegate.Batch) {
	for i := range batch.Inputs {
		input := &batch.Inputs[i]
		if !strings.HasPrefix(input.Name, "v_") {
			continue
		}
		copied := batch.Output("copy_of_" + input.Name)
		for row := 0; copied != nil && row < batch.Count; row++ {
			copied.PushFrom(input, row)
		}
	}
	batch.EachRow(func(row *sluicegate.Row) { each(batch, row) })
}

func each(batch *sluicegate.Batch, row *sluicegate.Row) {
	for i := range batch.Inputs {
		if name := batch.Inputs[i].Name; strings.HasPrefix(name, "c_") {
			row.Copy("copy_of_"+name, name)
		}
	}
	rule, _ := row.Text("rule")
	id, _ := row.Int("id")
	if old, ok := row.Text("rewritten"); rule != "keep" {
		if ok {
			row.SetText("rewritten", old+settings.Suffix)
		} else {
			row.SetNull("rewritten")
		}
	}
	image, other := "after", "none"
	if row.IsBefore() {
		image = "before"
	} else {
		row.SetHeader("origin", row.Operation().String())
	}
	if partner := row.Other(); partner != nil {
		id, _ := partner.Int("id")
		other = strconv.FormatInt(id, 10)
	}
	row.SetText("context", strings.Join([]string{image, row.Operation().String(), strconv.FormatInt(row.Time(), 10), other}, " "))
	if lane := id % settings.Lanes; lane != 0 {
		row.SendTo("lane-" + strconv.FormatInt(lane, 10))
	}
	switch rule {
	case "drop":
		row.Drop()
	case "reject":
		row.Reject("rejected by rule")
	}
}

func main() {}
