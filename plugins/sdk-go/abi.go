//go:build wasip1

package sluicegate

// The interface `sluicegate:plugin/transform@1.0.0` (wit/plugin.wit) in the component model's canonical ABI, written out by hand:
// how each record lies in memory is what the structs here say, because Go lays out such fields (8- and 32-bit numbers) by the
// same rules. Pointers have 32 bits there and 64 in Go, so they are numbers here, and `held` keeps what they point to.

import (
	"strings"
	"structs"
	"unsafe"
)

// ---- shapes ----

// list is a list, or a string: where it begins, and how many items (bytes) it has.
type list struct {
	_          structs.HostLayout
	at, length uint32
}

type optionalString struct {
	_     structs.HostLayout
	some  uint8
	value list
}

type optionalIndex struct {
	_     structs.HostLayout
	some  uint8
	index uint32
}

type wireColumn struct {
	_                           structs.HostLayout
	name                        list
	data                        uint8
	nativeType                  list
	nullable, primaryKey, place uint8
}

type wireTable struct {
	_           structs.HostLayout
	database    list
	schema      optionalString
	name        list
	destination optionalString
	columns     list
}

type wirePlan struct {
	_                structs.HostLayout
	delivers         wireTable
	origins          list
	operations       uint8
	reads            list
	context, filters uint8
}

// wireVector has the offsets and the bytes of texts in `values` and `data`, and all else in `values`.
type wireVector struct {
	_            structs.HostLayout
	kind         uint8
	values, data list
	nulls        list
}

type wireRejection struct {
	_       structs.HostLayout
	row     uint32
	message list
}

type wireDescription struct {
	_                              structs.HostLayout
	name, version, summary, schema list
}

// The answers: `failed` decides what follows, an error's text or these.

type configured struct {
	_      structs.HostLayout
	failed uint8
	err    list
}

type planned struct {
	_      structs.HostLayout
	failed uint8
	_      [3]uint8
	some   uint8
	plan   wirePlan
}

type applied struct {
	_                        structs.HostLayout
	failed                   uint8
	keep, computed, rejected list
}

// The sizes and places that the canonical ABI gives them; a difference does not compile.
var (
	_ [24]struct{} = [unsafe.Sizeof(wireColumn{})]struct{}{}
	_ [22]struct{} = [unsafe.Offsetof(wireColumn{}.place)]struct{}{}
	_ [48]struct{} = [unsafe.Sizeof(wireTable{})]struct{}{}
	_ [72]struct{} = [unsafe.Sizeof(wirePlan{})]struct{}{}
	_ [69]struct{} = [unsafe.Offsetof(wirePlan{}.filters)]struct{}{}
	_ [28]struct{} = [unsafe.Sizeof(wireVector{})]struct{}{}
	_ [12]struct{} = [unsafe.Sizeof(wireRejection{})]struct{}{}
	_ [12]struct{} = [unsafe.Sizeof(optionalString{})]struct{}{}
	_ [8]struct{}  = [unsafe.Sizeof(optionalIndex{})]struct{}{}
	_ [32]struct{} = [unsafe.Sizeof(wireDescription{})]struct{}{}
	_ [12]struct{} = [unsafe.Sizeof(configured{})]struct{}{}
	_ [80]struct{} = [unsafe.Sizeof(planned{})]struct{}{}
	_ [4]struct{}  = [unsafe.Offsetof(planned{}.some)]struct{}{}
	_ [8]struct{}  = [unsafe.Offsetof(planned{}.plan)]struct{}{}
	_ [28]struct{} = [unsafe.Sizeof(applied{})]struct{}{}
)

// ---- memory ----

// What the host was given a pointer to: arguments until the call has answered, an answer until the host begins the next call.
var (
	held     []unsafe.Pointer
	answered bool
	nothing  uint64
)

func begin() {
	if answered {
		clear(held)
		held, answered = held[:0], false
	}
}

func hold(pointer unsafe.Pointer) uint32 {
	held = append(held, pointer)
	return uint32(uintptr(pointer))
}

// allocate is where the host puts arguments. No memory is ever handed out twice while something still points to it: texts may
// be kept without a copy.
//
//go:wasmexport cabi_realloc
func allocate(old unsafe.Pointer, oldSize, _, size uint32) unsafe.Pointer {
	begin()
	if size == 0 {
		return unsafe.Pointer(&nothing) // anything else that is no address of Go's would end in a panic
	}
	memory := unsafe.Pointer(unsafe.SliceData(make([]uint64, (uint64(size)+7)/8)))
	copy(unsafe.Slice((*byte)(memory), size), unsafe.Slice((*byte)(old), oldSize))
	hold(memory)
	return memory
}

func given[T any](at unsafe.Pointer, length uint32) []T {
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*T)(at), length)
}

func items[T any](l list) []T {
	return given[T](unsafe.Add(nil, l.at), l.length)
}

func (l list) text() string {
	if l.length == 0 {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Add(nil, l.at)), l.length)
}

func listOf[T any](values []T) list {
	if len(values) == 0 {
		return list{at: uint32(uintptr(unsafe.Pointer(&nothing)))}
	}
	return list{at: hold(unsafe.Pointer(unsafe.SliceData(values))), length: uint32(len(values))}
}

func textOf(text string) list {
	return listOf(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// messageOf is a text for the operator: what is not UTF-8 in it is replaced.
func messageOf(text string) list {
	return textOf(strings.ToValidUTF8(text, "\uFFFD"))
}

func optional(text string, some bool) optionalString {
	if !some {
		return optionalString{}
	}
	return optionalString{some: 1, value: textOf(text)}
}

func bit(set bool) uint8 {
	if set {
		return 1
	}
	return 0
}

// answer ends a call: the host reads what `shape` points to.
func answer[T any](shape *T) unsafe.Pointer {
	hold(unsafe.Pointer(shape))
	answered = true
	return unsafe.Pointer(shape)
}
