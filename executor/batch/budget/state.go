package budget

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

const (
	// Burst is how many calls of a class may be made at once after it was quiet; with the
	// rate of Submit they are the 50 of a second that AWS Batch allows.
	Burst = 5
	// Lowest is the rate below which none falls, in calls a second.
	Lowest = 0.5
	// Recovery is the time in which a rate rises from nothing to its highest.
	Recovery = 30 * time.Second
	// totalBurst is the same as Burst for all classes of AWS Batch.
	totalBurst = 2 * Burst
	// calm is the time between two changes of a rate.
	calm = time.Second
)

// limits are the highest rates, in calls a second.
type limits struct {
	highest [classes]float64
	total   float64
}

// early is how long before its time a token of class c may be spent, in nanoseconds. It is
// that of the highest rate: what is throttled has no bursts.
func (l *limits) early(c Class) int64 { return (Burst - 1) * gap(l.highest[c]) }

func (l *limits) earlyTotal() int64 { return (totalBurst - 1) * gap(l.total) }

// A state is what all processes have spent. Times are nanoseconds since 1970.
type state struct {
	Magic   [8]byte
	Seen    int64 // when it was changed last
	Classes [classes]classState
	// Levels count the calls of the classes up to and with their own against the total
	// rate, as Next does: a class waits for its own level. Logs has none.
	Levels [Logs]int64
}

type classState struct {
	// Next is when the next token would be due if they were spent evenly (the theoretical
	// arrival time of the generic cell rate algorithm, ITU-T I.371).
	Next int64
	Rate float64
	// Cut is when the rate was halved last, Moved when it changed last, either way.
	Cut, Moved int64
}

var magic = [8]byte{'f', 'l', 'o', 'w', 'b', 'd', 'g', '1'}

// size is that of an encoded state with its checksum, in bytes.
var size = binary.Size(state{}) + crc32.Size

func (s *state) encode() []byte {
	content, err := binary.Append(make([]byte, 0, size), binary.LittleEndian, s)
	if err != nil {
		panic(err) // a struct of fixed size
	}
	return binary.LittleEndian.AppendUint32(content, crc32.ChecksumIEEE(content))
}

// decode reports whether content is a whole state. What was torn, or is of another program
// or version, is none.
func (s *state) decode(content []byte) bool {
	if len(content) != size {
		return false
	}
	body, sum := content[:size-crc32.Size], content[size-crc32.Size:]
	if binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return false
	}
	_, err := binary.Decode(body, binary.LittleEndian, s)
	return err == nil && s.Magic == magic
}

// reset begins anew, at the highest rates but without a burst: nobody knows what was spent
// a moment ago.
func (s *state) reset(now int64, l *limits) {
	*s = state{Magic: magic, Seen: now}
	for c := range s.Classes {
		s.Classes[c] = classState{Next: now + l.early(Class(c)), Rate: l.highest[c], Cut: now - int64(calm), Moved: now}
	}
	for i := range s.Levels {
		s.Levels[i] = now + l.earlyTotal()
	}
}

// settle makes the state one of now and of these limits. A clock that was set back takes all
// times with it, or nobody could make a call until it has caught up.
func (s *state) settle(now int64, l *limits) {
	if back := s.Seen - now; back > 0 {
		for c := range s.Classes {
			k := &s.Classes[c]
			k.Next, k.Cut, k.Moved = k.Next-back, k.Cut-back, k.Moved-back
		}
		for i := range s.Levels {
			s.Levels[i] -= back
		}
	}
	s.Seen = now
	for c := range s.Classes {
		k := &s.Classes[c]
		k.Rate = min(max(k.Rate, Lowest), l.highest[c])
	}
}

// take takes a token of class c and returns when it is due, now or later.
func (s *state) take(now int64, c Class, l *limits) (due int64) {
	k := &s.Classes[c]
	due = max(now, k.Next-l.early(c))
	if c != Cancel && c != Logs {
		due = max(due, s.Levels[c]-l.earlyTotal())
	}
	k.Next = max(k.Next, due) + gap(k.Rate)
	if c != Logs {
		for i := c; i < Logs; i++ {
			s.Levels[i] = max(s.Levels[i], now) + gap(l.total)
		}
	}
	return due
}

// cut halves the rate of class c, unless that was done a moment ago. The next call waits for
// its turn at the new rate.
func (s *state) cut(now int64, c Class, l *limits) {
	k := &s.Classes[c]
	if now-k.Cut < int64(calm) {
		return
	}
	k.Rate = max(k.Rate/2, Lowest)
	k.Cut, k.Moved = now, now
	k.Next = max(k.Next, now+l.early(c)+gap(k.Rate))
}

// raise lets the rate of class c rise by as much as the time since it changed is worth.
func (s *state) raise(now int64, c Class, l *limits) {
	k := &s.Classes[c]
	passed := now - k.Moved
	if passed < int64(calm) {
		return
	}
	k.Rate = min(k.Rate+l.highest[c]*float64(passed)/float64(Recovery), l.highest[c])
	k.Moved = now
}
