package draw

import (
	"bytes"
	"fmt"
)

// Area draws values, each over an equal part of the width, as an area below a line of
// steps. It fills the width there is; its class is plot and what kind says.
func Area(values []float64, kind string, height int) []byte {
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="plot %s" width="100%%" height="%d" viewBox="0 0 %d 100" preserveAspectRatio="none" aria-hidden="true">`, kind, height, max(len(values), 1))
	if top > 0 {
		b.WriteString(`<path class="area" d="M0 100`)
		for i, v := range values {
			fmt.Fprintf(&b, " V%s H%d", num(100-100*max(v, 0)/top), i+1)
		}
		b.WriteString(` V100 z"/>`)
	}
	b.WriteString("</svg>")
	return b.Bytes()
}

// A Spread is how values are spread on a scale from 0 to Scale, and beside it what was
// asked for; 0 is nothing.
type Spread struct {
	Min, Low, Median, High, Max float64
	Asked                       float64
	Scale                       float64
}

// Box draws a spread as a box plot that fills the width there is: the whiskers reach from
// the least to the greatest value, a line of its own shows what was asked for.
func (s *Spread) Box(height int) []byte {
	at := func(v float64) string {
		if s.Scale <= 0 {
			return "0"
		}
		return pct(min(max(100*v/s.Scale, 0), 100))
	}
	width := func(from, to float64) string {
		if s.Scale <= 0 {
			return "0"
		}
		return pct(max(min(100*(to-from)/s.Scale, 100), 0.4))
	}
	middle := num(float64(height) / 2)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="spread" width="100%%" height="%d" aria-hidden="true">`, height)
	fmt.Fprintf(&b, `<line class="whisker" x1="%s%%" x2="%s%%" y1="%s" y2="%[3]s"/>`, at(s.Min), at(s.Max), middle)
	fmt.Fprintf(&b, `<rect class="quartiles" x="%s%%" width="%s%%" y="3" height="%d"/>`, at(s.Low), width(s.Low, s.High), max(height-6, 1))
	fmt.Fprintf(&b, `<line class="median" x1="%s%%" x2="%[1]s%%" y1="2" y2="%d"/>`, at(s.Median), height-2)
	if s.Asked > 0 {
		fmt.Fprintf(&b, `<line class="asked" x1="%s%%" x2="%[1]s%%" y1="0" y2="%d"/>`, at(s.Asked), height)
	}
	b.WriteString("</svg>")
	return b.Bytes()
}
