package schedule

// Fields are a cron expression as sets: bit n of each is whether n is in it.
type Fields struct {
	Minute, Hour, Dom, Month uint64
	Dow                      uint64 // Sunday is 0
	// Either: a day in Dom or in Dow matches. Else it has to be in both.
	Either bool
}

// Fields returns the expressions of the schedule, in their order.
func (t *Times) Fields() []Fields {
	out := make([]Fields, len(t.crons))
	for i, c := range t.crons {
		const members = 1<<63 - 1 // the highest bit is the library's own
		w := c.walls
		out[i] = Fields{w.Minute & members, w.Hour & members, w.Dom & members, w.Month & members, w.Dow & members, w.DowOrDom}
	}
	return out
}
