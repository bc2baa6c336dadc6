// Package web serves pages about runs on this machine: who may ask, what is sent, and how
// a page that is open follows what it shows. What the pages say it does not know.
package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	g "maragu.dev/gomponents"
)

// A View is what a page shows at one moment. It is made anew whenever what it shows may
// have changed; browsers that have the page open get the regions that differ.
type View struct {
	Title   string   // of the page, without "flow"
	Crumbs  []Crumb  // the way to it, from the runs on
	Regions []Region // from top to bottom; their number and their IDs are the same each time
	Data    []Datum  // for scripts
	Scripts []string // names of assets that the page needs beside those of every page
	Live    bool     // it may change: browsers listen
}

// A Crumb is a link on the way to a page.
type Crumb struct{ Text, URL string }

// A Region is a part of a page that is replaced as a whole when it changes. ID is its
// element's; Body is inside of that element.
type Region struct {
	ID   string
	Body g.Node
}

// A Datum is data for a script of the page. Its JSON is in the page as
// <script type="application/json" id=ID>; what changes later reaches scripts as a CustomEvent
// "flow:data" of document, whose detail is {id: ID, delta: ...}.
type Datum struct {
	ID    string
	Value Value
}

// A Value is data that can say what is new in it.
type Value interface {
	json.Marshaler
	// Since returns what has changed since before, an earlier value of the same datum, as what
	// is marshalled; nil: nothing. Without an earlier value it is all of it.
	Since(before Value) any
}

// A Request is a page that somebody asks for.
type Request struct {
	Path  map[string]string // wildcards of the route
	Query url.Values
	// Token is what each form of a page that posts must have, as the hidden field TokenField.
	Token string
	// Open says that it is asked for on behalf of a browser that has the page open, as it is
	// again and again.
	Open bool
}

// TokenField is the name of the field of a form that shows that the form is one of ours.
const TokenField = "token"

// A Page makes a view. An error that is engine.ErrNotFound becomes the page that says so, a
// *MovedError a redirect; any other is shown as what went wrong.
type Page func(ctx context.Context, r Request) (*View, error)

// An Action does what a form asks for, which was posted by a page of ours, and returns the
// URL to go to. Its error is for the person who pressed the button; an *InvalidError has the
// page with the form again.
type Action func(ctx context.Context, r Request, form url.Values) (location string, err error)

// A File answers with something else than a page: a log, a report, JSON.
type File func(w http.ResponseWriter, r *http.Request, q Request) error

// Routes is what a server serves. Patterns are paths as http.ServeMux has them, without a
// method: "/runs/{run}".
type Routes struct {
	Pages   map[string]Page
	Actions map[string]Action // POST
	Files   map[string]File   // GET
	// Version returns a number that changes when what pages show may have changed. It is asked
	// four times a second while a page is open, and must cost next to nothing.
	Version func(ctx context.Context) (int64, error)
}

// A MovedError says that a page has another URL than the one that was asked for.
type MovedError struct{ To string }

func (e *MovedError) Error() string { return "it is at " + e.To }

// An InvalidError says that a form was not filled in as it must be: View is the page with the
// form as it was filled in, and what is wrong beside the fields.
type InvalidError struct{ View *View }

func (e *InvalidError) Error() string { return "the form has mistakes" }

// A BadRequestError says that a URL asks for what cannot be.
type BadRequestError struct{ Why string }

func (e *BadRequestError) Error() string { return e.Why }
