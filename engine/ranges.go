package engine

import (
	"encoding/json"
	"fmt"
	"iter"
	"sort"
	"strconv"
	"strings"
)

// Ranges is a set of task indices in ascending order, kept as inclusive intervals:
// 10,000 neighbours cost as much as one. In JSON it is text: "0-99,105".
type Ranges []Range

// A Range is the indices From to To, both included.
type Range struct{ From, To int }

// Upto returns the indices 0 to n-1.
func Upto(n int) Ranges {
	if n <= 0 {
		return nil
	}
	return Ranges{{0, n - 1}}
}

// RangesOf returns the indices in ix, which need not be sorted.
func RangesOf(ix ...int) Ranges {
	if !sort.IntsAreSorted(ix) {
		ix = append([]int(nil), ix...)
		sort.Ints(ix)
	}
	var r Ranges
	for _, i := range ix {
		r = r.Add(i)
	}
	return r
}

// Add appends index i, which must not be below the last one, and returns the result.
func (r Ranges) Add(i int) Ranges {
	if n := len(r); n > 0 {
		switch last := &r[n-1]; {
		case i == last.To+1:
			last.To = i
			return r
		case i <= last.To:
			if i >= last.From {
				return r
			}
			panic(fmt.Sprintf("engine: Ranges.Add(%d) after %d", i, last.To))
		}
	}
	return append(r, Range{i, i})
}

// Len returns how many indices there are.
func (r Ranges) Len() int {
	n := 0
	for _, x := range r {
		n += x.To - x.From + 1
	}
	return n
}

// All yields the indices in ascending order.
func (r Ranges) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, x := range r {
			for i := x.From; i <= x.To; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// At returns the k-th index, counted from 0.
func (r Ranges) At(k int) int {
	for _, x := range r {
		if n := x.To - x.From + 1; k >= n {
			k -= n
			continue
		}
		return x.From + k
	}
	panic("engine: Ranges.At past the end")
}

// Rank returns how many of the indices are below i.
func (r Ranges) Rank(i int) int {
	n := 0
	for _, x := range r {
		if i <= x.To {
			return n + max(i-x.From, 0)
		}
		n += x.To - x.From + 1
	}
	return n
}

// First returns the first n indices, or all if there are fewer.
func (r Ranges) First(n int) Ranges {
	for k, x := range r {
		size := x.To - x.From + 1
		if n < size {
			if n <= 0 {
				return r[:k:k]
			}
			return append(r[:k:k], Range{x.From, x.From + n - 1})
		}
		n -= size
	}
	return r
}

// After returns the indices above i.
func (r Ranges) After(i int) Ranges {
	for k, x := range r {
		if x.From > i {
			return r[k:]
		}
		if x.To > i {
			return append(Ranges{{i + 1, x.To}}, r[k+1:]...)
		}
	}
	return nil
}

// Contains reports whether i is one of the indices.
func (r Ranges) Contains(i int) bool {
	at := sort.Search(len(r), func(k int) bool { return r[k].To >= i })
	return at < len(r) && r[at].From <= i
}

// Equal reports whether r and o hold the same indices.
func (r Ranges) Equal(o Ranges) bool {
	if len(r) != len(o) {
		return false
	}
	for i := range r {
		if r[i] != o[i] {
			return false
		}
	}
	return true
}

func (r Ranges) String() string {
	var b strings.Builder
	for i, x := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(x.From))
		if x.To > x.From {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(x.To))
		}
	}
	return b.String()
}

// MarshalJSON writes "0-99,105".
func (r Ranges) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Ranges) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*r = nil
	if s == "" {
		return nil
	}
	last := -1
	for part := range strings.SplitSeq(s, ",") {
		from, to, two := strings.Cut(part, "-")
		f, err := strconv.Atoi(from)
		t := f
		if err == nil && two {
			t, err = strconv.Atoi(to)
		}
		if err != nil || f <= last || t < f {
			return fmt.Errorf("bad index ranges %q", s)
		}
		*r = append(*r, Range{f, t})
		last = t
	}
	return nil
}
