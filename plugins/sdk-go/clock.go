//go:build wasip1

package sluicegate

// Now is the time of day, in microseconds since 1970-01-01 UTC. The pipeline file has to grant it: `grants: [clock]`; only a
// plugin that calls it needs the grant. What the package time says is virtual: it begins at 2020-01-01 in each instance.
//
//go:wasmimport sluicegate:plugin/clock@1.0.0 now
func Now() int64
