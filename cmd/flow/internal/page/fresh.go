package page

import (
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Fresh says how new what is shown of a run is whose jobs are on AWS Batch.
type Fresh struct {
	At  time.Time // as of then
	Why string    // why it is not newer; "": it is looked at again and again
	// Looking says that it is being looked at for the first time.
	Looking bool
}

// words is when it was looked at.
func (f *Fresh) words() g.Node {
	if f.Looking {
		return g.Group{Moment(f.At), g.Text(", being looked at")}
	}
	return Moment(f.At)
}

// behind adds to a line of what is known of something as of when that is. f may be nil.
func (f *Fresh) behind() g.Node {
	if f == nil {
		return nil
	}
	return g.Group{g.Text(" · as of "), f.words()}
}

// trouble says why nothing newer is shown. f may be nil.
func (f *Fresh) trouble() g.Node {
	if f == nil || f.Why == "" {
		return nil
	}
	return Notice("warn", h.P(g.Text(f.Why)), h.P(h.Class("dim"), g.Text("What is shown is as of "), Moment(f.At), g.Text(".")))
}
