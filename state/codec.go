package state

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"flow/engine"
)

// An event's payload is the JSON of engine.Event: text while it is small, so that
// anybody can read it, else a blob:
//
//	1 byte    format: 1
//	uvarint   length of the JSON
//	rest      the JSON, deflated (RFC 1951)
//
// Stored events are read for ever; testdata/events.jsonl has one of each kind.
const (
	deflateFrom    = 4 << 10
	formatDeflated = 1
	maxPayload     = 1 << 30 // what SQLite stores in a row, and more than any event has
)

// row is an event as it is stored.
type row struct {
	at   int64
	kind string
	data any // string or []byte
	crc  int64
}

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic("state: " + err.Error()) // the level is not one of flate's
	}
	return w
}}

func encode(e *engine.Event, seq int64) (row, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return row{}, fmt.Errorf("event %d (%s): %w", seq, e.Kind, err)
	}
	r := row{at: e.At.UnixMilli(), kind: string(e.Kind)}
	if len(text) < deflateFrom {
		r.data = string(text)
	} else {
		r.data = deflate(text)
	}
	r.crc = checksum(seq, &r)
	return r, nil
}

func deflate(text []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(text)/2 + 16)
	b.WriteByte(formatDeflated)
	b.Write(binary.AppendUvarint(nil, uint64(len(text))))
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	_, _ = w.Write(text) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func inflate(data []byte) ([]byte, error) {
	if len(data) == 0 || data[0] != formatDeflated {
		return nil, fmt.Errorf("unknown format of payload")
	}
	size, n := binary.Uvarint(data[1:])
	if n <= 0 || size > maxPayload {
		return nil, fmt.Errorf("bad length of payload")
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(data[1+n:])), text); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return text, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(seq int64, r *row) int64 {
	head := make([]byte, 0, 64)
	head = binary.BigEndian.AppendUint64(head, uint64(seq))
	head = binary.BigEndian.AppendUint64(head, uint64(r.at))
	head = append(head, r.kind...)
	sum := crc32.Checksum(head, castagnoli)
	switch data := r.data.(type) {
	case string:
		sum = crc32.Update(sum, castagnoli, []byte(data))
	case []byte:
		sum = crc32.Update(sum, castagnoli, data)
	}
	return int64(sum)
}

// payload returns the JSON of a stored event, after a look at its checksum.
func (r *row) payload(seq int64) ([]byte, error) {
	if checksum(seq, r) != r.crc {
		return nil, fmt.Errorf("event %d (%s) is not what was stored: its checksum differs", seq, r.kind)
	}
	var text []byte
	var err error
	switch data := r.data.(type) {
	case string:
		text = []byte(data)
	case []byte:
		text, err = inflate(data)
	default:
		err = fmt.Errorf("payload of type %T", data)
	}
	if err != nil {
		return nil, fmt.Errorf("event %d (%s): %w", seq, r.kind, err)
	}
	return text, nil
}

func decode(seq int64, r *row) (e engine.Event, err error) {
	text, err := r.payload(seq)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("event %d (%s): %w", seq, r.kind, err)
	}
	e.Seq, e.Kind, e.At = seq, engine.Kind(r.kind), time.UnixMilli(r.at).UTC()
	return e, nil
}

type scanner interface{ Scan(dest ...any) error }

// scanEvent reads an event from a row of seq, at, kind, data, crc.
func scanEvent(s scanner) (engine.Event, error) {
	var seq int64
	var r row
	if err := s.Scan(&seq, &r.at, &r.kind, &r.data, &r.crc); err != nil {
		return engine.Event{}, err
	}
	return decode(seq, &r)
}
