package instances

import (
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"flow/engine"
)

// types.txt has one family a line: its name, "arm" if it is of Graviton, GiB of memory for
// each vCPU, the price of two vCPUs (those of a large) in millionths of a dollar for an
// hour, and its sizes. A size is a word with what is not as its name and the family say:
//
//	12xlarge:48/192*4=5672000   48 vCPUs, 192 GiB, 4 GPUs, $5.672 for an hour
//	large..24xlarge             the usual sizes from large to 24xlarge
//
// A family with price 0 has a price at each size; one with =0 is not in the price list.
// Sizes are those of the EC2 User Guide's list of instance types.
//
//go:embed types.txt
var text string

// ladder are the usual sizes.
var ladder = []string{"medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "32xlarge", "48xlarge", "96xlarge"}

// table returns the types of each family, from small to large.
var table = sync.OnceValue(func() map[string][]Type {
	all := map[string][]Type{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, list, err := parseFamily(strings.Fields(line))
		if err != nil {
			panic("instances: " + line + ": " + err.Error()) // a test reads all of it
		}
		all[name] = list
	}
	return all
})

// A family is what its line says of each size.
type family struct {
	name, arch string
	gib, price float64 // of a vCPU; of two, in millionths
	largest    int     // vCPUs so far
}

func parseFamily(words []string) (string, []Type, error) {
	f := family{arch: X86}
	if len(words) > 1 && words[1] == "arm" {
		f.arch = ARM
		words = append(words[:1:1], words[2:]...)
	}
	if len(words) < 4 {
		return "", nil, fmt.Errorf("%d words", len(words))
	}
	var err error
	f.name = words[0]
	if f.gib, err = parseRatio(words[1]); err != nil {
		return "", nil, err
	}
	if f.price, err = strconv.ParseFloat(words[2], 64); err != nil {
		return "", nil, err
	}
	var list []Type
	for _, word := range words[3:] {
		for _, size := range sizes(word) {
			t, err := f.parse(size)
			if err != nil {
				return "", nil, err
			}
			list = append(list, t)
		}
	}
	return f.name, list, nil
}

// parseRatio reads a number or a fraction, 32/3.
func parseRatio(s string) (float64, error) {
	up, down, _ := strings.Cut(s, "/")
	a, err := strconv.ParseFloat(up, 64)
	if err != nil || down == "" {
		return a, err
	}
	b, err := strconv.ParseFloat(down, 64)
	return a / b, err
}

// sizes returns the sizes that a word stands for.
func sizes(word string) []string {
	from, to, run := strings.Cut(word, "..")
	if !run {
		return []string{word}
	}
	var list []string
	for _, s := range ladder {
		if s == from || list != nil {
			list = append(list, s)
		}
		if s == to {
			break
		}
	}
	return list
}

// parse reads a size with its exceptions.
func (f *family) parse(word string) (Type, error) {
	t := Type{Arch: f.arch}
	size := word
	if i := strings.IndexAny(word, ":/*="); i >= 0 {
		size = word[:i]
	}
	t.Name, t.VCPUs = f.name+"."+size, f.vcpus(size)
	var gib, price float64 = -1, -1
	for rest := word[len(size):]; rest != ""; {
		sign := rest[0]
		value := rest[1:]
		if i := strings.IndexAny(value, ":/*="); i >= 0 {
			value = value[:i]
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return t, err
		}
		switch sign {
		case ':':
			t.VCPUs = int(n)
		case '/':
			gib = n
		case '*':
			t.GPUs = int(n)
		case '=':
			price = n
		}
		rest = rest[1+len(value):]
	}
	if gib < 0 {
		gib = f.gib * float64(t.VCPUs)
	}
	if price < 0 {
		price = f.price * float64(t.VCPUs) / 2
	}
	f.largest = max(f.largest, t.VCPUs)
	t.MemoryMiB, t.Hour = int(math.Round(gib*1024)), engine.Money(math.Floor(price+0.5))
	return t, nil
}

// vcpus returns what a size has by its name; 0: the name does not say.
func (f *family) vcpus(size string) int {
	switch size {
	case "medium":
		return 1
	case "large":
		return 2
	case "xlarge":
		return 4
	case "metal":
		return f.largest // it comes last
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(size, "metal-"), "xlarge"), "xl"))
	return 4 * n
}
