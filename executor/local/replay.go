package local

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"flow/engine"
	"flow/executor/local/model"
)

// A record is a line of the journal. Which fields are set depends on its kind.
type record struct {
	kind byte
	ms   int64

	instance string // o
	pid      int    // o, c
	capacity model.Capacity
	shared   bool // o: g lines say what started

	id   engine.JobID // s, n
	spec *engine.JobSpec

	op   string // a
	body []byte // a, c

	saved []byte // c, j

	job, index, attempt int // r, x, f; g and t without attempt; c: how many jobs
	exit                Exit
	reason              string // t
}

// replay hands the lines of a journal to apply, up to the first that is torn or makes
// no sense, as a crash may leave it at the end. It returns how many bytes are good. An
// error of apply ends it.
func replay(f *os.File, apply func(*record) error) (int64, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(f, 1<<16)
	line, err := in.ReadBytes('\n')
	switch {
	case err == io.EOF:
		return 0, nil // nothing, or less than its first line
	case err != nil:
		return 0, err
	case string(line) != journalHeader+"\n":
		return 0, fmt.Errorf("%s is no journal of this version of flow: it begins with %q", f.Name(), line[:min(len(line), 40)])
	}
	good := int64(len(line))
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return good, nil
		}
		if err != nil {
			return good, err
		}
		r, ok := parseRecord(string(line[:len(line)-1]))
		if !ok {
			return good, nil
		}
		if err := apply(r); err != nil {
			return good, err
		}
		good += int64(len(line))
	}
}

// parseRecord reads a line, without its newline.
func parseRecord(line string) (*record, bool) {
	in := fields{rest: line}
	kind := in.text()
	if len(kind) != 1 {
		return nil, false
	}
	r := &record{kind: kind[0], ms: int64(in.int())}
	switch r.kind {
	case 'o':
		r.instance, r.pid = in.text(), in.int()
		r.capacity = model.Capacity{VCPUs: in.float(), MemoryMiB: in.int(), GPUs: in.int()}
		if in.rest == sharedMark {
			r.shared, in.rest = true, ""
		}
	case 's':
		r.id = engine.JobID(in.text())
		if r.spec = readJournaled(in.rest); r.spec == nil {
			return nil, false
		}
		in.rest = ""
	case 'n':
		r.id = engine.JobID(in.text())
	case 'a':
		r.op = in.text()
		r.body = in.body()
	case 'g':
		r.job, r.index = in.int(), in.int()
	case 'r', 'x', 'f':
		r.job, r.index, r.attempt = in.int(), in.int(), in.int()
		if r.kind != 'r' {
			r.exit = in.exit()
		}
	case 't':
		r.job, r.index, r.reason = in.int(), in.int(), in.quoted()
	case 'c':
		r.pid, r.job, r.body = in.int(), in.int(), []byte(in.quoted())
		r.saved, in.rest = []byte(in.rest), ""
	case 'j':
		r.saved, in.rest = []byte(in.rest), ""
	case 'k', 'm':
	default:
		return nil, false
	}
	return r, !in.bad && in.rest == ""
}

// fields are what is left of a line.
type fields struct {
	rest string
	bad  bool // something was not what it should be
}

func (f *fields) text() string {
	var s string
	s, f.rest, _ = strings.Cut(f.rest, " ")
	f.bad = f.bad || s == ""
	return s
}

func (f *fields) int() int {
	n, err := strconv.Atoi(f.text())
	f.bad = f.bad || err != nil
	return n
}

func (f *fields) float() float64 {
	n, err := strconv.ParseFloat(f.text(), 64)
	f.bad = f.bad || err != nil
	return n
}

func (f *fields) quoted() string {
	q, err := strconv.QuotedPrefix(f.rest)
	if err != nil {
		f.bad = true
		return ""
	}
	s, err := strconv.Unquote(q)
	f.bad = f.bad || err != nil
	f.rest = strings.TrimPrefix(f.rest[len(q):], " ")
	return s
}

// body returns the rest of the line, which may be quoted.
func (f *fields) body() []byte {
	if strings.HasPrefix(f.rest, `"`) {
		return []byte(f.quoted())
	}
	body := []byte(f.rest)
	f.rest = ""
	return body
}

func (f *fields) exit() Exit {
	var e Exit
	if code := f.text(); code != "-" {
		n, err := strconv.Atoi(code)
		f.bad = f.bad || err != nil
		e.ExitCode = &n
	}
	e.Reason, e.StatusReason = f.quoted(), f.quoted()
	if rest, ok := strings.CutPrefix(f.rest, "u "); ok {
		f.rest = rest
		e.Used = engine.UsedOf(int64(f.int()), int64(f.int()))
	}
	if f.rest != "" {
		f.bad = f.bad || json.Unmarshal([]byte(f.rest), &e.Containers) != nil
		f.rest = ""
	}
	return e
}
