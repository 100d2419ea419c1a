//go:build wasip1

package sluicegate

// What the component exports, and the log, in terms of the shapes in abi.go.

import (
	"runtime"
	"strings"
	"unsafe"
)

// wireLog is the host's; unused, it is not imported.
//
//go:wasmimport sluicegate:plugin/log@1.0.0 log
func wireLog(level uint32, text unsafe.Pointer, length uint32)

func writeLog(level Level, message string) {
	if level > Error {
		level = Error
	}
	message = strings.ToValidUTF8(message, "\uFFFD")
	if message == "" {
		wireLog(uint32(level), unsafe.Pointer(&nothing), 0)
		return
	}
	wireLog(uint32(level), unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
	runtime.KeepAlive(message)
}

//go:wasmexport sluicegate:plugin/transform@1.0.0#describe
func describe() unsafe.Pointer {
	begin()
	return answer(&wireDescription{
		name: textOf(plugin.Name), version: textOf(plugin.Version), summary: textOf(plugin.Summary), schema: textOf(plugin.ConfigSchema),
	})
}

//go:wasmexport sluicegate:plugin/transform@1.0.0#configure
func configure(at unsafe.Pointer, length uint32) unsafe.Pointer {
	begin()
	err := guarded(func() error {
		if plugin.Configure == nil {
			return nil
		}
		return plugin.Configure(string(given[byte](at, length)))
	})
	if err != nil {
		return answer(&configured{failed: 1, err: messageOf(err.Error())})
	}
	return answer(&configured{})
}

// layout is what a plan says about rows.
type layout struct {
	state   any
	inputs  []Input
	outputs []Output
	// For each output the input that it rewrites, or -1.
	origins []int
}

var layouts = map[uint32]*layout{}

//go:wasmexport sluicegate:plugin/transform@1.0.0#plan
func plan(
	id uint32, database unsafe.Pointer, databaseLength uint32, someSchema uint32, schema unsafe.Pointer, schemaLength uint32,
	name unsafe.Pointer, nameLength uint32, someDestination uint32, destination unsafe.Pointer, destinationLength uint32,
	columns unsafe.Pointer, columnCount uint32,
) unsafe.Pointer {
	begin()
	table := &Table{
		ID:             id,
		Database:       string(given[byte](database, databaseLength)),
		Name:           string(given[byte](name, nameLength)),
		hasSchema:      someSchema == 1,
		hasDestination: someDestination == 1,
		operations:     1<<5 - 1,
	}
	if table.hasSchema {
		table.Schema = string(given[byte](schema, schemaLength))
	}
	if table.hasDestination {
		table.destination = string(given[byte](destination, destinationLength))
	}
	table.database, table.name = table.Database, table.Name
	for i, column := range given[wireColumn](columns, columnCount) {
		table.Columns = append(table.Columns, Column{
			Name: column.name.text(), Type: Type(column.data), NativeType: column.nativeType.text(), Nullable: column.nullable == 1,
			PrimaryKey: column.primaryKey == 1, Header: place(column.place) == asHeader, Destination: place(column.place) == asDestination,
		})
		added := &table.Columns[i]
		table.outputs = append(table.outputs, delivered{added.Name, i, false, added.PrimaryKey, added.Type, added.place()})
	}
	err := guarded(func() error {
		if plugin.Plan == nil {
			return nil
		}
		return plugin.Plan(table)
	})
	if err == nil {
		err = table.fault
	}
	if err != nil {
		refused := &planned{}
		*(*configured)(unsafe.Pointer(refused)) = configured{failed: 1, err: messageOf(err.Error())}
		return answer(refused)
	}
	layouts[id] = table.layout()
	if !table.touched {
		return answer(&planned{})
	}
	return answer(&planned{some: 1, plan: table.wire()})
}

// rewrites says which input, if any, a delivered column is a value of the same type of.
func (t *Table) rewrites(output delivered) *Column {
	if output.input < 0 || t.Columns[output.input].Type != output.data {
		return nil
	}
	return &t.Columns[output.input]
}

func (t *Table) wire() wirePlan {
	columns, origins := make([]wireColumn, len(t.outputs)), make([]optionalIndex, len(t.outputs))
	for i, output := range t.outputs {
		column := wireColumn{
			name: textOf(output.name), data: uint8(output.data), nullable: 1, primaryKey: bit(output.primaryKey), place: uint8(output.place),
		}
		nativeType := ""
		if input := t.rewrites(output); input != nil {
			nativeType = input.NativeType
		}
		column.nativeType = textOf(nativeType)
		if !output.computed {
			column.nullable = bit(t.Columns[output.input].Nullable)
			origins[i] = optionalIndex{some: 1, index: uint32(output.input)}
		}
		columns[i] = column
	}
	return wirePlan{
		delivers: wireTable{
			database: textOf(t.database), schema: optional(t.Schema, t.hasSchema), name: textOf(t.name),
			destination: optional(t.destination, t.hasDestination), columns: listOf(columns),
		},
		origins: listOf(origins), operations: t.operations, reads: listOf(t.reads), context: t.context, filters: bit(t.filters),
	}
}

func (t *Table) layout() *layout {
	made := &layout{state: t.State}
	for _, read := range t.reads {
		made.inputs = append(made.inputs, Input{Name: t.Columns[read].Name, Type: t.Columns[read].Type})
	}
	for _, output := range t.outputs {
		if !output.computed {
			continue
		}
		origin := -1
		for i, read := range t.reads {
			if t.rewrites(output) != nil && int(read) == output.input {
				origin = i
			}
		}
		made.outputs = append(made.outputs, Output{Name: output.name, Type: output.data, place: output.place})
		made.origins = append(made.origins, origin)
	}
	return made
}

//go:wasmexport sluicegate:plugin/transform@1.0.0#apply
func apply(
	id, count uint32, columns unsafe.Pointer, columnCount uint32, images unsafe.Pointer, imageCount uint32,
	operations unsafe.Pointer, operationCount uint32, times unsafe.Pointer, timeCount uint32,
	partners unsafe.Pointer, partnerCount uint32,
) unsafe.Pointer {
	begin()
	batch := &Batch{
		TableID: id, Count: int(count), Images: given[byte](images, imageCount), Operations: given[Operation](operations, operationCount),
		Times: given[int64](times, timeCount), Partners: given[uint32](partners, partnerCount),
	}
	err := guarded(func() error { return batch.handle(layouts[id], given[wireVector](columns, columnCount)) })
	if err != nil {
		refused := &applied{}
		*(*configured)(unsafe.Pointer(refused)) = configured{failed: 1, err: messageOf(err.Error())}
		return answer(refused)
	}
	computed, rejected := make([]wireVector, len(batch.Outputs)), make([]wireRejection, len(batch.rejected))
	for i := range batch.Outputs {
		computed[i] = batch.Outputs[i].wire()
	}
	for i, reject := range batch.rejected {
		rejected[i] = wireRejection{row: reject.row, message: messageOf(reject.message)}
	}
	return answer(&applied{keep: listOf(batch.keep), computed: listOf(computed), rejected: listOf(rejected)})
}

func (b *Batch) handle(layout *layout, columns []wireVector) error {
	if layout == nil || len(layout.inputs) != len(columns) {
		return fault("called with a table that was not planned")
	}
	b.State = layout.state
	b.Inputs = append([]Input(nil), layout.inputs...)
	for i := range columns {
		if !b.Inputs[i].fill(&columns[i], b.Count) {
			return fault("column `" + b.Inputs[i].Name + "` arrived with values of another type than planned, or too few")
		}
	}
	b.Outputs = append([]Output(nil), layout.outputs...)
	for i, origin := range layout.origins {
		if origin >= 0 {
			b.Outputs[i].input = &b.Inputs[origin]
		}
		b.Outputs[i].begin(b)
	}
	switch {
	case plugin.Batch != nil:
		plugin.Batch(b)
	case plugin.Row != nil:
		b.EachRow(plugin.Row)
	}
	for i := range b.Outputs {
		if b.Outputs[i].Count != b.Count {
			b.Fail("computed column `" + b.Outputs[i].Name + "` does not have a value for every row")
		}
	}
	return b.fault
}

// The cases of the interface's `values`.
var kinds = [...]uint8{
	Boolean: 0, Int64: 1, Uint64: 2, Float32: 3, Float64: 4, Bytes: 6,
	Decimal: 5, Text: 5, Date: 5, Time: 5, Datetime: 5, Timestamp: 5, JSON: 5,
}

// fill gives the column its values, without a copy.
func (i *Input) fill(from *wireVector, count int) bool {
	if from.kind != kinds[i.Type] {
		return false
	}
	i.nulls = items[byte](from.nulls)
	expected := uint32(count)
	switch i.Type {
	case Boolean:
		i.Booleans = items[bool](from.values)
	case Int64:
		i.Int64s = items[int64](from.values)
	case Uint64:
		i.Uint64s = items[uint64](from.values)
	case Float32:
		i.Float32s = items[float32](from.values)
	case Float64:
		i.Float64s = items[float64](from.values)
	default:
		i.offsets, i.data = items[uint32](from.values), from.data.text()
		expected++
	}
	return from.values.length == expected
}

func (o *Output) wire() wireVector {
	vector := wireVector{kind: kinds[o.Type], nulls: listOf(o.nulls)}
	switch o.Type {
	case Boolean:
		vector.values = listOf(o.booleans)
	case Int64:
		vector.values = listOf(o.int64s)
	case Uint64:
		vector.values = listOf(o.uint64s)
	case Float32:
		vector.values = listOf(o.float32s)
	case Float64:
		vector.values = listOf(o.float64s)
	default:
		vector.values, vector.data = listOf(o.offsets), listOf(o.data)
	}
	return vector
}

// guarded answers the error of a call, also where it panics: then with the place, and without what may hold row values.
func guarded(call func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			what := "it panicked"
			if known, ok := panicked.(runtime.Error); ok {
				what, _, _ = strings.Cut(known.Error(), "[") // an index stands behind it
			}
			err = fault(strings.TrimSpace(what) + " at " + placeOfPanic())
		}
	}()
	return call()
}

// placeOfPanic is the innermost line of the plugin's own.
func placeOfPanic() string {
	var counters [64]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(3, counters[:])])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "main.") {
			line, digits := frame.Line, ""
			for ; line > 0; line /= 10 {
				digits = string(rune('0'+line%10)) + digits
			}
			return frame.File[strings.LastIndexByte(frame.File, '/')+1:] + ":" + digits
		}
		if !more {
			return "a place outside of package main"
		}
	}
}
