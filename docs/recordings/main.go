// Command recordings makes a recording of frames of a terminal, as docs/record.sh takes them:
// a .cast for asciinema, an .svg that moves by itself, and a .txt of the frame in
// the middle and the last one.
//
// Each frame on stdin is a line with its time in microseconds, the lines of the screen with their
// colours (SGR sequences), and a form feed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A frame is what a terminal shows from some moment on.
type frame struct {
	at    float64 // seconds since the first
	lines []string
}

// A recording is the frames of a terminal of a size.
type recording struct {
	columns, lines int
	title          string
	frames         []frame
}

func main() {
	log.SetFlags(0)
	r := &recording{}
	flag.IntVar(&r.columns, "columns", 80, "width of the terminal")
	flag.IntVar(&r.lines, "lines", 24, "height of the terminal")
	flag.StringVar(&r.title, "title", "", "what is shown")
	out := flag.String("out", "recording", "path of the files, without .cast and so on")
	flag.Parse()
	if err := r.read(os.Stdin); err != nil {
		log.Fatal(err)
	}
	for ext, text := range map[string]string{".cast": r.cast(), ".svg": r.svg(), ".txt": r.text()} {
		if err := os.WriteFile(*out+ext, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// read reads frames, and leaves out those that are like the one before.
func (r *recording) read(in io.Reader) error {
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		at, err := strconv.ParseFloat(scan.Text(), 64)
		if err != nil {
			return fmt.Errorf("the time of a frame: %w", err)
		}
		f := frame{at: at / 1e6}
		for scan.Scan() && scan.Text() != "\f" {
			f.lines = append(f.lines, strings.TrimRight(scan.Text(), " "))
		}
		if n := len(r.frames); n == 0 || !slices.Equal(f.lines, r.frames[n-1].lines) {
			r.frames = append(r.frames, f)
		}
	}
	if len(r.frames) == 0 {
		return fmt.Errorf("there are no frames")
	}
	return scan.Err()
}

// cast returns the recording as asciinema has it.
// https://docs.asciinema.org/manual/asciicast/v2/
func (r *recording) cast() string {
	var b strings.Builder
	put := func(v any) {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v) // a strings.Builder takes everything
	}
	put(map[string]any{"version": 2, "width": r.columns, "height": r.lines, "title": r.title})
	for _, f := range r.frames {
		put([]any{f.at, "o", "\x1b[H\x1b[2J" + strings.Join(f.lines, "\r\n")})
	}
	return b.String()
}

// text returns the frame in the middle and the last one, without colours.
func (r *recording) text() string {
	var b strings.Builder
	for _, f := range []frame{r.frames[len(r.frames)/2], r.frames[len(r.frames)-1]} {
		var screen strings.Builder
		for _, line := range f.lines {
			for _, s := range spans(line) {
				screen.WriteString(s.text)
			}
			screen.WriteString("\n")
		}
		b.WriteString(strings.TrimSpace(screen.String()) + "\n\n")
	}
	return strings.TrimSpace(b.String()) + "\n"
}
