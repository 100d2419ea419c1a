// A plugin that leans on Go's library and runtime, through the adapter that components of Go get. Its configuration says what it
// does; where it only looks around, it refuses with what it saw, so that a test can read it.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sluicegate"
)

var behaviour string

func init() {
	sluicegate.Export(sluicegate.Plugin{
		Name: "wasi-go", Version: "1.0.0", Summary: "uses Go's library", Configure: configure, Plan: plan, Row: row,
	})
}

func configure(config string) error {
	behaviour = strings.Trim(config, `"`)
	switch behaviour {
	case "surroundings":
		return errors.New(surroundings())
	case "time":
		start := time.Now()
		time.Sleep(90 * time.Second)
		return fmt.Errorf("start %v; slept %v; then %v", start.UTC().Format(time.RFC3339), time.Since(start).Round(time.Second), time.Now().Year())
	case "granted-time":
		return fmt.Errorf("%d", sluicegate.Now())
	case "random":
		bytes := make([]byte, 11)
		_, err := rand.Read(bytes)
		return fmt.Errorf("%x %v", bytes, err)
	case "lines":
		fmt.Println("a line on stdout")
		fmt.Fprint(os.Stderr, "a line on stderr\n"+strings.Repeat("x", 10_000)+"\n")
		sluicegate.Log(sluicegate.Error, "a line \xff of the log")
		return errors.New("that is all")
	case "exit":
		os.Exit(3)
	case "crash":
		go func() { panic("with its text") }()
		time.Sleep(time.Second)
	case "wait":
		select {}
	case "panic":
		panic("secret")
	case "index":
		return errors.New(config[len(config)+7:])
	}
	return nil
}

func surroundings() string {
	_, open := os.Open("/etc/passwd")
	_, list := os.ReadDir("/")
	write := os.WriteFile("new", []byte("x"), 0o600)
	input, end := os.Stdin.Read(make([]byte, 1))
	return fmt.Sprintf("%v; %v; %v; environment %v; arguments %v; stdin %v %v", open, list, write, os.Environ(), os.Args, input, end)
}

func plan(table *sluicegate.Table) error {
	table.Rewrite("id")
	return nil
}

// garbage is what a collection has to follow; a hundred pieces of it are kept.
type garbage struct {
	text string
	next *garbage
}

var kept *garbage

func row(row *sluicegate.Row) {
	switch behaviour {
	case "litter":
		id, _ := row.Int("id")
		kept = &garbage{strings.Repeat("x", 99), kept}
		if id%100 == 0 {
			kept = nil
		}
		row.SetInt("id", id+1)
	case "spin":
		for {
			time.Sleep(time.Second)
		}
	case "unread":
		row.Text("name")
	case "wrong":
		row.SetText("id", "7")
	}
}

func main() {}
