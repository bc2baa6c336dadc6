package dsl

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// errUnknown says that a value is not known yet, which is no error while validating.
var errUnknown = errors.New("the value is not known yet")

var errSensitive = errors.New("a sensitive value cannot be used here, since it would be stored and shown; hand it to the task with secrets = { NAME = var.name }")

// present returns why v cannot be used: it is sensitive, not known, or null.
func present(v cty.Value) error {
	switch {
	case v.IsMarked():
		return errSensitive
	case !v.IsKnown():
		return errUnknown
	case v.IsNull():
		return errors.New("the value is null")
	}
	return nil
}

// typeName says what v is, for people.
func typeName(ty cty.Type) string {
	switch {
	case ty == cty.String:
		return "a text"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "true or false"
	case ty.IsListType(), ty.IsTupleType():
		return "a list"
	case ty.IsSetType():
		return "a set"
	case ty.IsMapType(), ty.IsObjectType():
		return "a map"
	}
	return ty.FriendlyName()
}

// primitive converts v to a primitive type. An unknown value of a type that can never
// be converted is an error other than errUnknown.
func primitive(v cty.Value, want cty.Type) (cty.Value, error) {
	if v.IsMarked() {
		return v, errSensitive
	}
	if ty := v.Type(); ty != cty.DynamicPseudoType && !ty.IsPrimitiveType() {
		return v, fmt.Errorf("this is %s, and %s is needed", typeName(ty), typeName(want))
	}
	if err := present(v); err != nil {
		return v, err
	}
	c, err := convert.Convert(v, want)
	if err != nil {
		return v, fmt.Errorf("this is %s, and %s is needed", typeName(v.Type()), typeName(want))
	}
	return c, nil
}

func toText(v cty.Value) (string, error) {
	if v.Type() == cty.Number && !v.IsMarked() && v.IsKnown() && !v.IsNull() {
		// Whole numbers are usual, and what big.Float does for them is slow.
		if n, acc := v.AsBigFloat().Int64(); acc == big.Exact {
			return strconv.FormatInt(n, 10), nil
		}
	}
	v, err := primitive(v, cty.String)
	if err != nil {
		return "", err
	}
	return v.AsString(), nil
}

func toTruth(v cty.Value) (bool, error) {
	v, err := primitive(v, cty.Bool)
	if err != nil {
		return false, err
	}
	return v.True(), nil
}

func toFloat(v cty.Value) (float64, error) {
	v, err := primitive(v, cty.Number)
	if err != nil {
		return 0, err
	}
	f, _ := v.AsBigFloat().Float64()
	if math.IsInf(f, 0) {
		return 0, errors.New("the number is too large")
	}
	return f, nil
}

// toInt returns v as a whole number from lo to hi.
func toInt(v cty.Value, lo, hi int) (int, error) {
	v, err := primitive(v, cty.Number)
	if err != nil {
		return 0, err
	}
	n, acc := v.AsBigFloat().Int64()
	if acc != big.Exact || n < int64(lo) || n > int64(hi) {
		if hi == math.MaxInt32 {
			return 0, fmt.Errorf("it must be a whole number, at least %d", lo)
		}
		return 0, fmt.Errorf("it must be a whole number from %d to %d", lo, hi)
	}
	return int(n), nil
}

// toElements returns the elements of a list, set or tuple.
func toElements(v cty.Value) ([]cty.Value, error) {
	if v.IsMarked() {
		return nil, errSensitive
	}
	ty := v.Type()
	if ty != cty.DynamicPseudoType && !ty.IsListType() && !ty.IsSetType() && !ty.IsTupleType() {
		return nil, fmt.Errorf("this is %s, and a list is needed", typeName(ty))
	}
	if err := present(v); err != nil {
		return nil, err
	}
	return elements(v), nil
}

// elements returns the elements of a known collection. (AsValueSlice does the same, and
// iterates twice.)
func elements(v cty.Value) []cty.Value {
	out := make([]cty.Value, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		out = append(out, e)
	}
	return out
}

// An entry is one entry of a map or object.
type entry struct {
	key   string
	value cty.Value
}

// toEntries returns the entries of a map or object, by key.
func toEntries(v cty.Value) ([]entry, error) {
	if v.IsMarked() {
		return nil, errSensitive
	}
	ty := v.Type()
	if ty != cty.DynamicPseudoType && !ty.IsMapType() && !ty.IsObjectType() {
		return nil, fmt.Errorf("this is %s, and a map is needed: { name = value }", typeName(ty))
	}
	if err := present(v); err != nil {
		return nil, err
	}
	out := make([]entry, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		out = append(out, entry{k.AsString(), e})
	}
	return out, nil
}

var sizePattern = lazily(`^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)$`)

// parseMiB reads a size such as "4 GiB", "512MiB" or "512" (MiB), and rounds it up to
// whole MiB.
func parseMiB(s string) (int, error) {
	m := sizePattern().FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, fmt.Errorf("%q is no size; write \"4 GiB\", \"512 MiB\" or a number of MiB", s)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: %w", s, err)
	}
	factor := 1.0
	switch m[2] {
	case "", "MiB":
	case "KiB":
		factor = 1.0 / 1024
	case "GiB":
		factor = 1024
	case "TiB":
		factor = 1024 * 1024
	default:
		hint := ""
		if unit := strings.ToUpper(m[2][:1]); strings.Contains("KMGT", unit) {
			hint = fmt.Sprintf(" Did you mean \"%s %siB\"?", m[1], unit)
		}
		return 0, fmt.Errorf("%q is no unit; there are KiB, MiB, GiB and TiB.%s", m[2], hint)
	}
	mib := math.Ceil(n * factor)
	if mib < 1 || mib > 1<<40 {
		return 0, fmt.Errorf("%q is out of range: at least 1 MiB", s)
	}
	return int(mib), nil
}

// toMiB returns a size in MiB: a number of MiB, or a text with a unit.
func toMiB(v cty.Value) (int, error) {
	s, err := toText(v)
	if err != nil {
		return 0, err
	}
	return parseMiB(s)
}

// toGiB returns a size in GiB, rounded up. Since disks are counted in GiB and memory in
// MiB, a bare number would be read both ways: a unit is needed.
func toGiB(v cty.Value) (int, error) {
	s, err := toText(v)
	if err != nil {
		return 0, err
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("say the unit: \"%s GiB\"", s)
	}
	mib, err := parseMiB(s)
	return (mib + 1023) / 1024, err
}

var durationPattern = lazily(`^(?:([0-9]+)d)?([0-9hms.µun]*)$`)

// parseDuration reads a duration as Go has it ("90s", "1h30m"), with days: "1d12h".
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration; write \"90s\", \"30m\", \"2h\", \"1h30m\" or \"1d\"", s)
	m := durationPattern().FindStringSubmatch(strings.TrimSpace(s))
	if m == nil || m[1] == "" && m[2] == "" {
		return 0, bad
	}
	var d time.Duration
	if m[1] != "" {
		days, err := strconv.Atoi(m[1])
		if err != nil || days > 3650 {
			return 0, fmt.Errorf("%q is too long: ten years at most", s)
		}
		d = time.Duration(days) * 24 * time.Hour
	}
	if m[2] != "" {
		rest, err := time.ParseDuration(m[2])
		if err != nil {
			if _, numErr := strconv.ParseFloat(m[2], 64); numErr == nil {
				return 0, fmt.Errorf("say the unit of %s: \"%ss\", \"%sm\" or \"%sh\"", s, s, s, s)
			}
			return 0, bad
		}
		d += rest
	}
	if d <= 0 {
		return 0, fmt.Errorf("a duration must be longer than zero")
	}
	return d, nil
}

func toDuration(v cty.Value) (time.Duration, error) {
	s, err := toText(v)
	if err != nil {
		return 0, err
	}
	return parseDuration(s)
}

// cutPercent takes a percent sign off the end of s.
func cutPercent(s string) (string, bool) {
	s = strings.TrimSpace(s)
	n, ok := strings.CutSuffix(s, "%")
	return strings.TrimSpace(n), ok
}
