package sluicegate

import "math"

// Input is a column that was read; of its slices the one of its type is set. Null rows have values too, which mean nothing. The
// slices may be kept, and must not be changed.
type Input struct {
	Name     string
	Type     Type
	Booleans []bool
	Int64s   []int64
	Uint64s  []uint64
	Float32s []float32
	Float64s []float64

	offsets []uint32
	data    string
	nulls   []byte
}

// IsNull says whether the row's value is null.
func (i *Input) IsNull(row int) bool {
	return len(i.nulls) > 0 && i.nulls[row>>3]>>(row&7)&1 == 1
}

// At is the text, or the bytes, of a row; empty for other types.
func (i *Input) At(row int) string {
	if len(i.offsets) == 0 {
		return ""
	}
	return i.data[i.offsets[row]:i.offsets[row+1]]
}

// Output is a computed column that is being built, row by row; in the end with a value for every row of the batch.
type Output struct {
	Name string
	Type Type
	// Count is how many rows it has so far.
	Count int

	place place
	input *Input // the column that it rewrites, if it has the same type
	batch *Batch

	booleans []bool
	int64s   []int64
	uint64s  []uint64
	float32s []float32
	float64s []float64
	offsets  []uint32
	data     []byte
	nulls    []byte
}

func (o *Output) begin(batch *Batch) {
	o.batch = batch
	switch o.Type {
	case Boolean:
		o.booleans = make([]bool, 0, batch.Count)
	case Int64:
		o.int64s = make([]int64, 0, batch.Count)
	case Uint64:
		o.uint64s = make([]uint64, 0, batch.Count)
	case Float32:
		o.float32s = make([]float32, 0, batch.Count)
	case Float64:
		o.float64s = make([]float64, 0, batch.Count)
	default:
		o.offsets = append(make([]uint32, 0, batch.Count+1), 0)
		if o.input != nil {
			o.data = make([]byte, 0, len(o.input.data))
		}
	}
}

func (o *Output) wrong() {
	o.batch.Fail("column `" + o.Name + "` is of type " + o.Type.String() +
		": it was given a value of another type, or out of its range")
}

// end is called behind each value.
func (o *Output) end() {
	o.Count++
	if o.offsets != nil {
		if uint64(len(o.data)) > math.MaxUint32 {
			o.batch.Fail("column `" + o.Name + "` is too large")
			return
		}
		o.offsets = append(o.offsets, uint32(len(o.data)))
	}
}

// PushNull adds a null.
func (o *Output) PushNull() {
	if o.nulls == nil {
		o.nulls = make([]byte, (o.batch.Count+7)/8)
	}
	if o.Count < o.batch.Count {
		o.nulls[o.Count>>3] |= 1 << (o.Count & 7)
	}
	switch o.Type {
	case Boolean:
		o.booleans = append(o.booleans, false)
	case Int64:
		o.int64s = append(o.int64s, 0)
	case Uint64:
		o.uint64s = append(o.uint64s, 0)
	case Float32:
		o.float32s = append(o.float32s, 0)
	case Float64:
		o.float64s = append(o.float64s, 0)
	}
	o.end()
}

// PushBool adds a value to a column of the type Boolean.
func (o *Output) PushBool(value bool) {
	if o.Type != Boolean {
		o.wrong()
		return
	}
	o.booleans = append(o.booleans, value)
	o.end()
}

// PushInt adds a value to a column of the type Int64, or Uint64 if it is not negative.
func (o *Output) PushInt(value int64) {
	switch {
	case o.Type == Int64:
		o.int64s = append(o.int64s, value)
	case o.Type == Uint64 && value >= 0:
		o.uint64s = append(o.uint64s, uint64(value))
	default:
		o.wrong()
		return
	}
	o.end()
}

// PushUint adds a value to a column of the type Uint64, or Int64 if it fits.
func (o *Output) PushUint(value uint64) {
	switch {
	case o.Type == Uint64:
		o.uint64s = append(o.uint64s, value)
	case o.Type == Int64 && value <= math.MaxInt64:
		o.int64s = append(o.int64s, int64(value))
	default:
		o.wrong()
		return
	}
	o.end()
}

// PushFloat adds a value to a column of the type Float64, or Float32, rounded.
func (o *Output) PushFloat(value float64) {
	switch o.Type {
	case Float64:
		o.float64s = append(o.float64s, value)
	case Float32:
		o.float32s = append(o.float32s, float32(value))
	default:
		o.wrong()
		return
	}
	o.end()
}

// PushText adds a value to a column whose type is text: Text, Decimal, Date, Time, Datetime, Timestamp, JSON.
func (o *Output) PushText(value string) {
	if !o.Type.isText() {
		o.wrong()
		return
	}
	o.data = append(o.data, value...)
	o.end()
}

// PushBytes adds a value to a column of the type Bytes.
func (o *Output) PushBytes(value []byte) {
	if o.Type != Bytes {
		o.wrong()
		return
	}
	o.data = append(o.data, value...)
	o.end()
}

// PushFrom adds a row of a column of the same type.
func (o *Output) PushFrom(from *Input, row int) {
	switch {
	case from.Type != o.Type:
		o.wrong()
		return
	case from.IsNull(row):
		o.PushNull()
		return
	}
	switch o.Type {
	case Boolean:
		o.booleans = append(o.booleans, from.Booleans[row])
	case Int64:
		o.int64s = append(o.int64s, from.Int64s[row])
	case Uint64:
		o.uint64s = append(o.uint64s, from.Uint64s[row])
	case Float32:
		o.float32s = append(o.float32s, from.Float32s[row])
	case Float64:
		o.float64s = append(o.float64s, from.Float64s[row])
	default:
		o.data = append(o.data, from.At(row)...)
	}
	o.end()
}

// take removes the value that was pushed last.
func (o *Output) take() {
	o.Count--
	if o.nulls != nil {
		o.nulls[o.Count>>3] &^= 1 << (o.Count & 7)
	}
	switch o.Type {
	case Boolean:
		o.booleans = o.booleans[:o.Count]
	case Int64:
		o.int64s = o.int64s[:o.Count]
	case Uint64:
		o.uint64s = o.uint64s[:o.Count]
	case Float32:
		o.float32s = o.float32s[:o.Count]
	case Float64:
		o.float64s = o.float64s[:o.Count]
	default:
		o.offsets = o.offsets[:o.Count+1]
		o.data = o.data[:o.offsets[o.Count]]
	}
}

// Batch is rows of one table.
type Batch struct {
	TableID uint32
	Count   int
	// State is the table's.
	State any
	// Images (0 before, 1 after), Operations, Times (microseconds since 1970-01-01 UTC) and Partners (the row of the other
	// image, or 4294967295) are empty unless the plan asks for them.
	Images     []byte
	Operations []Operation
	Times      []int64
	Partners   []uint32
	// Inputs are the columns read, in the plan's order.
	Inputs []Input
	// Outputs are the columns computed, in the plan's order.
	Outputs []Output

	keep     []byte
	rejected []rejection
	fault    error
}

type rejection struct {
	row     uint32
	message string
}

// Fail fails the batch, with a text for the operator. Never put row values into it.
func (b *Batch) Fail(message string) {
	if b.fault == nil {
		b.fault = fault(message)
	}
}

// Input is a column that was read; nil (and the call fails) when the plan does not read it.
func (b *Batch) Input(column string) *Input {
	for i := range b.Inputs {
		if b.Inputs[i].Name == column {
			return &b.Inputs[i]
		}
	}
	b.Fail("column `" + column + "` is not read by the plan: call table.Read")
	return nil
}

func (b *Batch) output(name string, at place) *Output {
	for i := range b.Outputs {
		if b.Outputs[i].Name == name && b.Outputs[i].place == at {
			return &b.Outputs[i]
		}
	}
	return nil
}

// Output is a computed column; nil (and the call fails) when the plan does not compute it.
func (b *Batch) Output(column string) *Output {
	found := b.output(column, inRecord)
	if found == nil {
		b.Fail("column `" + column + "` is not computed by the plan: call table.Rewrite or table.Add")
	}
	return found
}

// OutputHeader is a computed header; nil (and the call fails) when the plan does not compute it.
func (b *Batch) OutputHeader(header string) *Output {
	found := b.output(header, asHeader)
	if found == nil {
		b.Fail("header `" + header + "` is not computed by the plan: call table.AddHeader")
	}
	return found
}

// Drop does not deliver the image. An update that loses its after image becomes a delete, one that loses its before image an
// insert.
func (b *Batch) Drop(row int) {
	if b.keep == nil {
		b.keep = make([]byte, (b.Count+7)/8)
		for i := range b.keep {
			b.keep[i] = 0xff
		}
		if spare := b.Count & 7; spare != 0 {
			b.keep[len(b.keep)-1] = 1<<spare - 1
		}
	}
	b.keep[row>>3] &^= 1 << (row & 7)
}

// Reject leaves the change to the pipeline's policy for the plugin. Never put row values into the message.
func (b *Batch) Reject(row int, message string) {
	b.rejected = append(b.rejected, rejection{uint32(row), message})
}

// EachRow calls `handle` for each row, then gives a value to every computed column of it that was not set.
func (b *Batch) EachRow(handle func(row *Row)) {
	row := Row{batch: b}
	for row.index = 0; row.index < b.Count && b.fault == nil; row.index++ {
		handle(&row)
		for i := range b.Outputs {
			output := &b.Outputs[i]
			switch {
			case output.Count != row.index:
			case output.input != nil:
				output.PushFrom(output.input, row.index)
			default:
				output.PushNull()
			}
		}
	}
}
