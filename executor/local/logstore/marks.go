package logstore

import (
	"encoding/binary"
	"io"
	"math"
	"os"
	"sort"
)

// A mark says that a stream had so many bytes when it was last written, at a time.
type mark struct{ size, time int64 }

// A file of marks has markSize bytes for each, both numbers with their low bytes first. The
// first mark has size 0, and the time when the stream was made. Neither sizes nor times
// ever go down.
const markSize = 16

func (m mark) append(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, uint64(m.size))
	return binary.LittleEndian.AppendUint64(to, uint64(m.time))
}

func readMark(b []byte) mark {
	return mark{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
}

// marks are those of one stream, as they were at one moment. Only a part of them is in
// memory.
type marks struct {
	few   []mark   // all of them, or
	file  *os.File // where they are,
	n     int      // how many,
	page  []byte   // and some of them, from
	first int
	at    int   // the one that was found last
	tail  int64 // the time of what is behind the last mark
	err   error // the first one that reading met
}

// pageMarks is how many marks are read at a time.
const pageMarks = 256

func newMarks(f *os.File, size int64) marks { return marks{file: f, n: int(size / markSize)} }

func (m *marks) get(i int) mark {
	if m.file == nil {
		return m.few[i]
	}
	if i < m.first || i >= m.first+len(m.page)/markSize {
		m.load(i / pageMarks * pageMarks)
	}
	if m.err != nil {
		return mark{size: math.MaxInt64}
	}
	return readMark(m.page[(i-m.first)*markSize:])
}

func (m *marks) load(first int) {
	if m.page == nil {
		m.page = make([]byte, 0, pageMarks*markSize)
	}
	size := min(pageMarks, m.n-first) * markSize
	if n, err := m.file.ReadAt(m.page[:size], int64(first)*markSize); n < size {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		m.err = err
		return
	}
	m.page, m.first = m.page[:size], first
}

// time returns that of a line that ends there.
func (m *marks) time(end int64) int64 {
	for _, i := range []int{m.at, m.at + 1} { // lines are asked for in turn
		if i < m.n && m.get(i).size >= end && (i == 0 || m.get(i-1).size < end) {
			m.at = i
			return m.get(i).time
		}
	}
	m.at = sort.Search(m.n, func(i int) bool { return m.get(i).size >= end })
	if m.at == m.n {
		return m.tail
	}
	return m.get(m.at).time
}

// before returns how many bytes had been written before a time.
func (m *marks) before(t int64) int64 {
	if t > m.tail {
		return math.MaxInt64
	}
	i := sort.Search(m.n, func(i int) bool { return m.get(i).time >= t })
	if i == 0 {
		return 0
	}
	return m.get(i - 1).size
}
