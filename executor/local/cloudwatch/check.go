package cloudwatch

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// checks collects what is wrong with the members of a request, in the words of AWS:
// "1 validation error detected: Value '5000' at 'limit' failed to satisfy constraint: …".
type checks []string

func (c *checks) fail(value, member, constraint string) {
	*c = append(*c, "Value "+value+" at '"+member+"' failed to satisfy constraint: Member must "+constraint)
}

func (c *checks) err() error {
	switch len(*c) {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: " + (*c)[0])
	}
	return invalid(fmt.Sprintf("%d validation errors detected: %s", len(*c), strings.Join(*c, "; ")))
}

// A shape is what the model says of a string.
type shape struct {
	min, max int                   // characters; max 0: no limit
	pattern  func() *regexp.Regexp // compiled when it is first asked for
	shown    string                // the pattern, as the model has it
}

func shapeOf(minimum, maximum int, pattern string) shape {
	compile := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:` + pattern + `)\z`) })
	return shape{minimum, maximum, compile, pattern}
}

var (
	groupName       = shapeOf(1, 512, `[\.\-_/#A-Za-z0-9]+`)
	groupPattern    = shapeOf(0, 512, `[\.\-_/#A-Za-z0-9]*`)
	groupIdentifier = shapeOf(1, 2048, `[\w#+=/:,.@-]*`)
	streamName      = shapeOf(1, 512, `[^:*]*`)
	filterPattern   = shapeOf(0, 1024, `(?s).*`)
	nextToken       = shapeOf(1, 0, `(?s).*`)
)

func (c *checks) text(member string, value *string, s shape) {
	if value == nil {
		return
	}
	quoted := "'" + *value + "'"
	if n := utf8.RuneCountInString(*value); n < s.min {
		c.fail(quoted, member, fmt.Sprint("have length greater than or equal to ", s.min))
	} else if s.max > 0 && n > s.max {
		c.fail(quoted, member, fmt.Sprint("have length less than or equal to ", s.max))
	}
	if !s.pattern().MatchString(*value) {
		c.fail(quoted, member, "satisfy regular expression pattern: "+s.shown)
	}
}

func (c *checks) required(member string, value *string, s shape) {
	if value == nil {
		c.fail("null", member, "not be null")
	}
	c.text(member, value, s)
}

func (c *checks) enum(member string, value *string, values ...string) {
	if value == nil {
		return
	}
	for _, v := range values {
		if *value == v {
			return
		}
	}
	c.fail("'"+*value+"'", member, "satisfy enum value set: ["+strings.Join(values, ", ")+"]")
}

// number checks an integer; maximum 0: no limit.
func number[N int | int64](c *checks, member string, value *N, minimum, maximum N) {
	if value == nil {
		return
	}
	quoted := fmt.Sprintf("'%d'", *value)
	if *value < minimum {
		c.fail(quoted, member, fmt.Sprint("have value greater than or equal to ", minimum))
	}
	if maximum > 0 && *value > maximum {
		c.fail(quoted, member, fmt.Sprint("have value less than or equal to ", maximum))
	}
}

// or returns what a pointer points to, or a default.
func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// groupOf returns the group that a request is about, which is given by its name or, with
// the name or the ARN, by its identifier.
func (h *Handler) groupOf(c *checks, name, identifier *string) (string, error) {
	c.text("logGroupName", name, groupName)
	c.text("logGroupIdentifier", identifier, groupIdentifier)
	if err := c.err(); err != nil {
		return "", err
	}
	switch {
	case name != nil && identifier != nil:
		return "", invalid("LogGroup name and LogGroup identifier are mutually exclusive: specify one of them")
	case name == nil && identifier == nil:
		return "", invalid("Either LogGroup name or LogGroup identifier must be specified")
	}
	group := or(name, "")
	if identifier != nil {
		group = h.nameOf(*identifier)
	}
	if _, ok := h.store.Group(group); !ok {
		return "", errNoGroup
	}
	return group, nil
}

// nameOf returns the name that an identifier of a group stands for; one of another region
// or account stands for none that exists.
func (h *Handler) nameOf(identifier string) string {
	return strings.TrimPrefix(identifier, h.arn)
}

// A position is a place in a listing, or in the events of several streams: they are in the
// order of their times, then streams, then offsets.
type position struct {
	time   int64
	stream string
	offset int64
}

func (p position) less(q position) bool {
	if p.time != q.time {
		return p.time < q.time
	}
	if p.stream != q.stream {
		return p.stream < q.stream
	}
	return p.offset < q.offset
}

// token makes an opaque token of a position; kind says which listing it is of.
func (p position) token(kind byte) *string {
	text := fmt.Sprintf("%c/%d/%d/%s", kind, p.time, p.offset, p.stream)
	token := base64.RawURLEncoding.EncodeToString([]byte(text))
	return &token
}

// positionOf returns what a token was made of.
func positionOf(token string) (kind byte, p position, err error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	parts := strings.SplitN(string(text), "/", 4)
	if err != nil || len(parts) < 4 || len(parts[0]) != 1 || parts[3] == "" {
		return 0, p, errToken
	}
	p.stream = parts[3]
	if p.time, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return 0, p, errToken
	}
	if p.offset, err = strconv.ParseInt(parts[2], 10, 64); err != nil || p.time < 0 || p.offset < 0 {
		return 0, p, errToken
	}
	return parts[0][0], p, nil
}
