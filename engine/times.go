package engine

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
)

// Times are points in time in milliseconds since 1970 (UTC), one for each task of an
// event; 0 is never. In JSON a few of them are an array of numbers. More are text: the
// differences between neighbours, the first from 0, as varints (encoding/binary, zigzag)
// in standard base64. An array of any length can be read.
type Times []int64

// timesInArray is how many times at most are written as an array.
const timesInArray = 16

// Amounts are numbers, one for each task of an event; 0 is not known. They are written as
// Times are.
type Amounts []int64

// MarshalJSON writes the amounts.
func (a Amounts) MarshalJSON() ([]byte, error) { return Times(a).MarshalJSON() }

// UnmarshalJSON reads both forms.
func (a *Amounts) UnmarshalJSON(b []byte) error { return (*Times)(a).UnmarshalJSON(b) }

// known returns the amounts, or nil if none is known.
func (a Amounts) known() Amounts {
	for _, n := range a {
		if n != 0 {
			return a
		}
	}
	return nil
}

// MarshalJSON writes the times.
func (t Times) MarshalJSON() ([]byte, error) {
	if len(t) <= timesInArray {
		out := []byte{'['}
		for i, ms := range t {
			if i > 0 {
				out = append(out, ',')
			}
			out = strconv.AppendInt(out, ms, 10)
		}
		return append(out, ']'), nil
	}
	raw := make([]byte, 0, 2*len(t)+binary.MaxVarintLen64)
	last := int64(0)
	for _, ms := range t {
		raw = binary.AppendVarint(raw, ms-last)
		last = ms
	}
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(raw))+2)
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, raw)
	return append(out, '"'), nil
}

// UnmarshalJSON reads both forms.
func (t *Times) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' {
		return json.Unmarshal(b, (*[]int64)(t))
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, b[1:len(b)-1])
	if err != nil {
		return fmt.Errorf("times: %w", err)
	}
	n := 0 // each varint ends with a byte below 0x80
	for _, c := range raw {
		if c < 0x80 {
			n++
		}
	}
	out := make(Times, 0, n)
	last := int64(0)
	for len(raw) > 0 {
		d, size := binary.Varint(raw)
		if size <= 0 {
			return fmt.Errorf("times: damaged at number %d", len(out))
		}
		raw = raw[size:]
		last += d
		out = append(out, last)
	}
	*t = out
	return nil
}
