//go:build !wasip1

package sluicegate

import "os"

// Outside of a component, in a test of a plugin's own functions say, there is no host: its log is standard error.
func writeLog(_ Level, message string) {
	os.Stderr.WriteString(message + "\n")
}
