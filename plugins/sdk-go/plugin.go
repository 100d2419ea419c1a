// Package sluicegate is for writing Sluicegate plugins in Go.
//
// A plugin is a [Plugin]: who it is, and its functions. Plan is called once for each table and says what becomes of its
// columns; Row is called for each row image of the tables whose plan computes, drops or rejects something, and sees only the
// columns that the plan reads. Everything that Plan does not mention passes untouched. Instead of Row a plugin may define
// Batch, which is given whole columns.
//
//	func init() {
//		sluicegate.Export(sluicegate.Plugin{
//			Name: "upper", Version: "1.0.0", Summary: "names in capitals",
//			Plan: func(table *sluicegate.Table) error {
//				if table.Has("name") {
//					table.Rewrite("name")
//				}
//				return nil
//			},
//			Row: func(row *sluicegate.Row) {
//				if name, ok := row.Text("name"); ok {
//					row.SetText("name", strings.ToUpper(name))
//				}
//			},
//		})
//	}
//
//	func main() {}
//
// A name that the table or the plan does not have, or a value of the wrong type, is a fault of the plugin: the call fails with
// a text that names the column, and nothing after it counts.
package sluicegate

// Plugin is who a plugin is, and its functions; all of them may be left out.
type Plugin struct {
	Name, Version, Summary string
	// ConfigSchema is a JSON Schema of the configuration; empty = anything goes.
	ConfigSchema string
	// Configure takes the plugin's `config` of the pipeline file, as JSON; `null` when there is none. An error is a text for
	// the operator that says what to change.
	Configure func(config string) error
	// Plan decides what happens to a table; an error refuses it, with a text for the operator.
	Plan func(table *Table) error
	// Row handles one row image.
	Row func(row *Row)
	// Batch handles a batch of row images in place of Row; it may call [Batch.EachRow].
	Batch func(batch *Batch)
}

var plugin Plugin

// Export makes this the plugin of the component. To be called once, in `init`.
func Export(exported Plugin) {
	plugin = exported
}

// Type is what a value is.
type Type uint8

// The types. All from Decimal on but Bytes are UTF-8 text; wit/plugin.wit says in which form.
const (
	Boolean Type = iota
	Int64
	Uint64
	Float32
	Float64
	Decimal
	Text
	Bytes
	Date
	Time
	Datetime
	Timestamp
	JSON
)

func (t Type) isText() bool { return t >= Decimal && t != Bytes }

// String is its name in the interface.
func (t Type) String() string {
	names := [...]string{
		"boolean", "int64", "uint64", "float32", "float64", "decimal", "text", "bytes", "date", "time", "datetime", "timestamp", "json",
	}
	if int(t) >= len(names) {
		return "no type"
	}
	return names[t]
}

// Operation is a kind of change.
type Operation uint8

// The operations.
const (
	Snapshot Operation = iota
	Insert
	Update
	Delete
	Truncate
)

// String is its name in the interface.
func (o Operation) String() string {
	names := [...]string{"snapshot", "insert", "update", "delete", "truncate"}
	if int(o) >= len(names) {
		return "no operation"
	}
	return names[o]
}

// Context is what rows know beside their columns, when the plan asks for it.
type Context uint8

// What there is to know.
const (
	Images Context = iota
	Operations
	Times
	Partners
)

type place uint8

const (
	inRecord place = iota
	asHeader
	asDestination
)

// Level is how much a line of the log matters.
type Level uint32

// The levels.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Log writes a line to the host's log. Never log row values.
func Log(level Level, message string) {
	writeLog(level, message)
}

// fault is a text for the operator that says what to change.
type fault string

func (f fault) Error() string { return string(f) }
