package agent

import (
	"context"
	"strconv"
	"testing"

	"flow/engine"
)

// BenchmarkGather stages a list of 10,000 results in.
func BenchmarkGather(b *testing.B) {
	dir := b.TempDir()
	in := engine.Input{Name: "all", List: true}
	for i := range 10_000 {
		task := engine.TaskDir(dir, "run", "s", strconv.Itoa(i))
		write(b, task+"/1/x.txt", "x")
		link(b, "1", task+"/result")
		in.Paths = append(in.Paths, engine.ResultPath(task, "x.txt"))
	}
	task := newTask(b, engine.TaskSpec{Inputs: []engine.Input{in}})
	var a Agent
	for b.Loop() {
		task.Attempt++
		begin(b, &a, task)
	}
}

// BenchmarkHash is the rate at which outputs are read.
func BenchmarkHash(b *testing.B) {
	path := write(b, b.TempDir()+"/big", string(make([]byte, 256<<20)))
	b.SetBytes(256 << 20)
	for b.Loop() {
		if _, err := (&Files{}).Identify(context.Background(), path); err != nil {
			b.Fatal(err)
		}
	}
}
