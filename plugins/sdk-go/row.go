package sluicegate

import "strconv"

// Row is one row image: it reads columns that the plan reads, and sets those that it computes. It is for the call that it was
// given to; texts may be kept.
type Row struct {
	batch *Batch
	index int
}

// of is the column, and whether the row has a value of one of these types in it.
func (r *Row) of(column string, fits func(Type) bool) (*Input, bool) {
	input := r.batch.Input(column)
	if input == nil {
		return nil, false
	}
	if !fits(input.Type) {
		r.batch.Fail("column `" + column + "` is of type " + input.Type.String() + ", and read as another one")
		return nil, false
	}
	return input, !input.IsNull(r.index)
}

// IsNull says whether the value is null.
func (r *Row) IsNull(column string) bool {
	input := r.batch.Input(column)
	return input == nil || input.IsNull(r.index)
}

// Bool is a value of the type Boolean, and whether there is one: false for a null.
func (r *Row) Bool(column string) (bool, bool) {
	if input, ok := r.of(column, func(t Type) bool { return t == Boolean }); ok {
		return input.Booleans[r.index], true
	}
	return false, false
}

// Int is a value of the type Int64, and whether there is one.
func (r *Row) Int(column string) (int64, bool) {
	if input, ok := r.of(column, func(t Type) bool { return t == Int64 }); ok {
		return input.Int64s[r.index], true
	}
	return 0, false
}

// Uint is a value of the type Uint64, and whether there is one.
func (r *Row) Uint(column string) (uint64, bool) {
	if input, ok := r.of(column, func(t Type) bool { return t == Uint64 }); ok {
		return input.Uint64s[r.index], true
	}
	return 0, false
}

// Float is a value of the type Float64 or Float32, and whether there is one.
func (r *Row) Float(column string) (float64, bool) {
	input, ok := r.of(column, func(t Type) bool { return t == Float64 || t == Float32 })
	switch {
	case !ok:
		return 0, false
	case input.Type == Float32:
		return float64(input.Float32s[r.index]), true
	}
	return input.Float64s[r.index], true
}

// Text is a value whose type is text (Text, Decimal, Date, Time, Datetime, Timestamp, JSON), and whether there is one.
func (r *Row) Text(column string) (string, bool) {
	if input, ok := r.of(column, Type.isText); ok {
		return input.At(r.index), true
	}
	return "", false
}

// Bytes is a value of the type Bytes, and whether there is one.
func (r *Row) Bytes(column string) ([]byte, bool) {
	if input, ok := r.of(column, func(t Type) bool { return t == Bytes }); ok {
		return []byte(input.At(r.index)), true
	}
	return nil, false
}

// writable is the computed column, ready for this row's value; what was set before is taken back.
func (r *Row) writable(output *Output) *Output {
	switch {
	case output == nil:
		return nil
	case output.Count == r.index+1:
		output.take()
	case output.Count != r.index:
		r.batch.Fail("column `" + output.Name + "` has " + strconv.Itoa(output.Count) + " values before row " + strconv.Itoa(r.index) +
			": set it in the row at hand, not in its other image, or give the whole column before the rows")
		return nil
	}
	return output
}

// SetNull sets a computed column to null.
func (r *Row) SetNull(column string) {
	if output := r.writable(r.batch.Output(column)); output != nil {
		output.PushNull()
	}
}

// SetBool sets a computed column of the type Boolean.
func (r *Row) SetBool(column string, value bool) {
	if output := r.writable(r.batch.Output(column)); output != nil {
		output.PushBool(value)
	}
}

// SetInt sets a computed column of the type Int64, or Uint64 if it fits.
func (r *Row) SetInt(column string, value int64) {
	if output := r.writable(r.batch.Output(column)); output != nil {
		output.PushInt(value)
	}
}

// SetUint sets a computed column of the type Uint64, or Int64 if it fits.
func (r *Row) SetUint(column string, value uint64) {
	if output := r.writable(r.batch.Output(column)); output != nil {
		output.PushUint(value)
	}
}

// SetFloat sets a computed column of the type Float64, or Float32, rounded.
func (r *Row) SetFloat(column string, value float64) {
	if output := r.writable(r.batch.Output(column)); output != nil {
		output.PushFloat(value)
	}
}

// SetText sets a computed column whose type is text.
func (r *Row) SetText(column, value string) {
	if output := r.writable(r.batch.Output(column)); output != nil {
		output.PushText(value)
	}
}

// SetBytes sets a computed column of the type Bytes.
func (r *Row) SetBytes(column string, value []byte) {
	if output := r.writable(r.batch.Output(column)); output != nil {
		output.PushBytes(value)
	}
}

// Copy sets a computed column to the value of one that is read, of the same type.
func (r *Row) Copy(column, from string) {
	input := r.batch.Input(from)
	if output := r.writable(r.batch.Output(column)); output != nil && input != nil {
		output.PushFrom(input, r.index)
	}
}

// SetHeader sets a computed header whose type is text; for others see [Batch.OutputHeader].
func (r *Row) SetHeader(header, value string) {
	if output := r.writable(r.batch.OutputHeader(header)); output != nil {
		output.PushText(value)
	}
}

// SendTo sends the row's record to this destination; the plan has to call ChooseDestinations.
func (r *Row) SendTo(destination string) {
	output := r.batch.output("destination", asDestination)
	if output == nil {
		r.batch.Fail("the plan does not let rows choose their destination: call table.ChooseDestinations")
		return
	}
	if output = r.writable(output); output != nil {
		output.PushText(destination)
	}
}

// Drop does not deliver the image: see [Batch.Drop].
func (r *Row) Drop() { r.batch.Drop(r.index) }

// Reject refuses the row: see [Batch.Reject].
func (r *Row) Reject(message string) { r.batch.Reject(r.index, message) }

// Fail fails the whole batch: see [Batch.Fail].
func (r *Row) Fail(message string) { r.batch.Fail(message) }

// IsBefore says whether it is the image before the change; the plan has to ask for Images.
func (r *Row) IsBefore() bool {
	return r.asked(len(r.batch.Images), "Images") && r.batch.Images[r.index] == 0
}

// Operation is what happened to it; the plan has to ask for Operations.
func (r *Row) Operation() Operation {
	if !r.asked(len(r.batch.Operations), "Operations") {
		return Snapshot
	}
	return r.batch.Operations[r.index]
}

// Time is when the source executed the change, in microseconds since 1970-01-01 UTC; the plan has to ask for Times.
func (r *Row) Time() int64 {
	if !r.asked(len(r.batch.Times), "Times") {
		return 0
	}
	return r.batch.Times[r.index]
}

// Other is the other image of the same change, or nil; the plan has to ask for Partners. It is for reading.
func (r *Row) Other() *Row {
	if !r.asked(len(r.batch.Partners), "Partners") {
		return nil
	}
	partner := r.batch.Partners[r.index]
	if partner == 1<<32-1 {
		return nil
	}
	return &Row{r.batch, int(partner)}
}

func (r *Row) asked(given int, context string) bool {
	if given != r.batch.Count {
		r.batch.Fail("the plan does not ask for that: call table.Ask(sluicegate." + context + ")")
		return false
	}
	return true
}
