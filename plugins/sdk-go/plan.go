package sluicegate

// Column is a column as it arrives.
type Column struct {
	Name string
	Type Type
	// NativeType is the source's own type: `decimal(12,2)`.
	NativeType           string
	Nullable, PrimaryKey bool
	// Header and Destination: set by a plugin before this one; no column of the record.
	Header, Destination bool
}

func (c *Column) place() place {
	switch {
	case c.Header:
		return asHeader
	case c.Destination:
		return asDestination
	}
	return inRecord
}

// delivered is a column as it leaves.
type delivered struct {
	name       string
	input      int // the input column that it is or stands in for, or -1
	computed   bool
	primaryKey bool
	data       Type
	place      place
}

// Table is a table while it is planned. Columns are named as they arrive; headers are none of them.
type Table struct {
	// ID is the number under which batches speak of it.
	ID             uint32
	Database, Name string
	// Schema is empty where the source has none.
	Schema  string
	Columns []Column
	// State is yours: batches of this table carry it.
	State any

	hasSchema           bool
	database, name      string
	destination         string
	hasDestination      bool
	outputs             []delivered
	reads               []uint32
	operations, context uint8
	filters, touched    bool
	fault               error
}

func (t *Table) refuse(message string) {
	if t.fault == nil {
		t.fault = fault(message)
	}
}

func (t *Table) index(name string, at place) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name && t.Columns[i].place() == at {
			return i
		}
	}
	return -1
}

func (t *Table) known(name string, at place) int {
	index := t.index(name, at)
	if index < 0 {
		what := "column"
		if at == asHeader {
			what = "header"
		}
		t.refuse("table " + t.Database + "." + t.Name + " has no " + what + " `" + name + "`")
	}
	return index
}

// output is the delivered column that the input column is, or nil with a fault.
func (t *Table) output(column string) *delivered {
	index := t.known(column, inRecord)
	t.touched = true
	if index < 0 {
		return nil
	}
	for i := range t.outputs {
		if t.outputs[i].input == index && t.outputs[i].place == inRecord {
			return &t.outputs[i]
		}
	}
	t.refuse("column `" + column + "` of table " + t.Database + "." + t.Name + " was dropped before")
	return nil
}

func (t *Table) readIndex(index int) {
	if index < 0 {
		return
	}
	for _, read := range t.reads {
		if read == uint32(index) {
			return
		}
	}
	t.reads = append(t.reads, uint32(index))
}

func (t *Table) append(added delivered) {
	if added.data > JSON {
		t.refuse("`" + added.name + "` is added with an unknown type")
		return
	}
	t.outputs = append(t.outputs, added)
	t.touched = true
}

// Has says whether the table has a column of that name.
func (t *Table) Has(column string) bool { return t.index(column, inRecord) >= 0 }

// Read has the column handed to rows.
func (t *Table) Read(column string) { t.readIndex(t.known(column, inRecord)) }

// ReadHeader does the same for a header that a plugin before this one set.
func (t *Table) ReadHeader(header string) { t.readIndex(t.known(header, asHeader)) }

// Rewrite reads the column, and delivers in its place a computed one of the same type: what a row does not set keeps its value.
func (t *Table) Rewrite(column string) {
	if index := t.known(column, inRecord); index >= 0 {
		t.RewriteAs(column, t.Columns[index].Type)
	}
}

// RewriteAs is the same with another type: what a row does not set is null.
func (t *Table) RewriteAs(column string, as Type) {
	if output := t.output(column); output != nil {
		if as > JSON {
			t.refuse("`" + column + "` is rewritten as an unknown type")
			return
		}
		output.computed = true
		output.data = as
		t.readIndex(output.input)
	}
}

// Add adds a computed column: what a row does not set is null.
func (t *Table) Add(name string, of Type) {
	t.append(delivered{name: name, input: -1, computed: true, data: of})
}

// AddHeader adds a computed header to the table's records: rows for which it is null have none.
func (t *Table) AddHeader(name string, of Type) {
	t.append(delivered{name: name, input: -1, computed: true, data: of, place: asHeader})
}

// CopyToHeader delivers a column as a header as well; its values never enter the plugin.
func (t *Table) CopyToHeader(column, header string) {
	if index := t.known(column, inRecord); index >= 0 {
		t.append(delivered{name: header, input: index, data: t.Columns[index].Type, place: asHeader})
	}
}

// SendTo sends the table's records to this Kafka topic, or folder of the file sink.
func (t *Table) SendTo(destination string) {
	t.destination, t.hasDestination, t.touched = destination, true, true
}

// ChooseDestinations lets each row choose its destination, with [Row.SendTo]; rows that do not go where the table goes.
func (t *Table) ChooseDestinations() {
	kept := t.outputs[:0]
	for _, output := range t.outputs {
		if output.place != asDestination {
			kept = append(kept, output)
		}
	}
	t.outputs = kept
	t.append(delivered{name: "destination", input: -1, computed: true, data: Text, place: asDestination})
}

// Rename delivers a column under another name.
func (t *Table) Rename(column, name string) {
	if output := t.output(column); output != nil {
		output.name = name
	}
}

// SetKey makes these columns, and no others, the key of the table's records.
func (t *Table) SetKey(columns ...string) {
	for i := range t.outputs {
		t.outputs[i].primaryKey = false
	}
	t.touched = true
	for _, column := range columns {
		if output := t.output(column); output != nil {
			output.primaryKey = true
		}
	}
}

// DropColumn does not deliver a column.
func (t *Table) DropColumn(column string) {
	output := t.output(column)
	for i := range t.outputs {
		if &t.outputs[i] == output {
			t.outputs = append(t.outputs[:i], t.outputs[i+1:]...)
			return
		}
	}
}

// RenameTable delivers the table under another name.
func (t *Table) RenameTable(database, name string) {
	t.database, t.name, t.touched = database, name, true
}

// Deliver delivers only these operations; none drops the table.
func (t *Table) Deliver(operations ...Operation) {
	t.operations = 0
	for _, operation := range operations {
		t.operations |= 1 << operation
	}
	t.touched = true
}

// Ask says what else rows know.
func (t *Table) Ask(about ...Context) {
	for _, context := range about {
		t.context |= 1 << context
	}
}

// FilterRows has to be called when rows may be dropped or rejected.
func (t *Table) FilterRows() { t.filters, t.touched = true, true }
