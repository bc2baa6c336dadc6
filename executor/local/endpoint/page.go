package endpoint

import (
	"encoding/base64"
	"iter"
	"strconv"
)

// The token of a page is the place of the last thing on the page before it, so that it
// can be used again and gives the same page: clients do that (AWS CLI, --starting-token).

// maxPage is the most that a page of a listing of resources holds, unless it says so.
const maxPage = 100

// A cursor is where a page begins and how much it holds.
type cursor struct {
	size  int
	after string // key of the last one before the page; "": from the start
}

// cursorOf reads maxResults and nextToken of a request.
func cursorOf(maxResults *int32, token *string) (cursor, error) {
	return cursorUpTo(maxPage, maxResults, token)
}

// cursorUpTo does so for pages that hold most things at the most.
func cursorUpTo(most int, maxResults *int32, token *string) (cursor, error) {
	c := cursor{size: most}
	if maxResults != nil {
		if int(*maxResults) < 1 || int(*maxResults) > most {
			return c, refuse("MaxResults should be between 1 and %d, got %d", most, *maxResults)
		}
		c.size = int(*maxResults)
	}
	if given(token) {
		key, err := base64.StdEncoding.DecodeString(*token)
		if err != nil || len(key) == 0 {
			return c, refuse("NextToken is not valid: %.100s", *token)
		}
		c.after = string(key)
	}
	return c, nil
}

// token returns the nextToken of the page that begins after key.
func token(key string) *string {
	return new(base64.StdEncoding.EncodeToString([]byte(key)))
}

// page returns the things of a page out of those that come after the one before it, and
// the token of the next page, or nil.
func page[T any](c cursor, rest iter.Seq2[string, T]) (out []T, next *string) {
	out, last := []T{}, ""
	for key, v := range rest {
		if len(out) == c.size {
			return out, token(last)
		}
		out, last = append(out, v), key
	}
	return out, nil
}

// since returns of all, which are in the order of their keys, what comes after one.
func since[T any](after string, all iter.Seq2[string, T]) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for key, v := range all {
			if key > after && !yield(key, v) {
				return
			}
		}
	}
}

// number returns the number that the cursor is behind; 0 from the start.
func (c cursor) number() (int64, error) {
	if c.after == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(c.after, 10, 64)
	if err != nil || n < 0 {
		return 0, refuse("NextToken is not valid: it is not from an earlier page of this list")
	}
	return n, nil
}

// notBoth refuses a list of names together with another parameter (text seen of the
// service).
func notBoth(list, other string, both bool) error {
	if both {
		return refuse("%s and %s cannot both be set", list, other)
	}
	return nil
}
