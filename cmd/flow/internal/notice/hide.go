package notice

import (
	"errors"
	"net/url"
	"strings"
	"sync"
)

// A vault reads secrets, and remembers what they are for as long as a message is tried: whoever
// answers may send them back.
type vault struct {
	read func(ref string) (string, error)

	mu    sync.Mutex
	parts []string
}

// partLength is how many characters of a secret in a row tell too much of it. What is shorter
// than leastSecret is in any text.
const (
	partLength  = 12
	leastSecret = 4
)

func (v *vault) secret(ref string) (string, error) {
	value, err := v.read(ref)
	if err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.parts = append(v.parts, partsOf(value)...)
	}
	return value, err
}

// partsOf returns the pieces of a secret that must not be seen. Which host an address is of may be.
func partsOf(value string) (parts []string) {
	value = strings.TrimSpace(value)
	if u, err := url.Parse(value); err == nil && u.Host != "" {
		for _, text := range []string{u.User.String(), strings.TrimLeft(u.RequestURI(), "/")} {
			parts = append(parts, pieces(text)...)
		}
		return parts
	}
	return pieces(value)
}

func pieces(text string) (out []string) {
	if len(text) < leastSecret {
		return nil
	}
	if len(text) <= partLength {
		return []string{text}
	}
	for i := range len(text) - partLength + 1 {
		out = append(out, text[i:i+partLength])
	}
	return out
}

// hide returns err, or one in its place that says less if a secret is in it.
func (v *vault) hide(err error) error {
	if err == nil || !v.in(err.Error()) {
		return err
	}
	plain := errors.New("the answer is not shown, since it has a secret in it")
	var later *LaterError
	switch {
	case errors.Is(err, ErrGone):
		return ErrGone
	case errors.As(err, &later):
		return &LaterError{After: later.After, Err: plain}
	}
	return plain
}

func (v *vault) in(text string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, part := range v.parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
