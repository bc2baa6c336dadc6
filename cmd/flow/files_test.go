package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindStateDir(t *testing.T) {
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, found := findStateDir(deep); found || got != filepath.Join(deep, ".flow") {
		t.Errorf("without any .flow: %s, %v", got, found)
	}
	want := filepath.Join(top, ".flow")
	if err := makeStateDir(want); err != nil {
		t.Fatal(err)
	}
	if got, found := findStateDir(deep); !found || got != want {
		t.Errorf("got %s, %v, want %s", got, found, want)
	}
	ignore, err := os.ReadFile(filepath.Join(want, ".gitignore"))
	if err != nil || string(ignore) != "*\n" {
		t.Errorf(".gitignore: %q, %v", ignore, err)
	}
}

func TestLogTail(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := logTailOf(dir, 3); got != nil {
		t.Errorf("without a log: %q", got)
	}
	write("1.log", "of the first attempt\n")
	for text, want := range map[string][]string{
		"":                           nil,
		"one\n":                      {"one"},
		"one\ntwo\nthree\nfour\n":    {"two", "three", "four"},
		"one\ntwo\nthree\nno end":    {"two", "three", "no end"},
		strings.Repeat("x\n", 99999): {"x", "x", "x"},
		"a\n\n\n\n":                  {"", "", ""},
	} {
		write("2.log", text)
		got := logTailOf(dir, 3)
		if len(got) != len(want) {
			t.Errorf("of %.20q: %q, want %q", text, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("of %.20q: %q, want %q", text, got, want)
				break
			}
		}
	}
	write("2.log", strings.Repeat("y", 10<<20)+"\nlast\n")
	got := logTailOf(dir, 2)
	if len(got) != 2 || got[1] != "last" || len(got[0]) > longestTailLine+3 {
		t.Errorf("with a line of 10 MiB: %d lines", len(got))
	}
}
