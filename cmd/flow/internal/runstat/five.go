package runstat

import "slices"

// A Five is how values are spread: the least, the quartiles and the greatest of N, and their
// sum. With N 0 all is 0.
type Five struct {
	N      int   `json:"n"`
	Min    int64 `json:"min"`
	Low    int64 `json:"q1"`
	Median int64 `json:"median"`
	High   int64 `json:"q3"`
	Max    int64 `json:"max"`
	Sum    int64 `json:"sum"`
}

// FiveOf returns how values are spread, and sorts them. A quartile between two values is
// interpolated, as R and NumPy do unless told otherwise (type 7 of Hyndman and Fan, 1996).
func FiveOf(values []int64) Five {
	n := len(values)
	if n == 0 {
		return Five{}
	}
	slices.Sort(values)
	f := Five{N: n, Min: values[0], Max: values[n-1], Low: quantile(values, 1), Median: quantile(values, 2), High: quantile(values, 3)}
	for _, v := range values {
		f.Sum += v
	}
	return f
}

// Mean returns the mean, rounded down.
func (f Five) Mean() int64 {
	if f.N == 0 {
		return 0
	}
	return f.Sum / int64(f.N)
}

// quantile returns the value below which a number of quarters of sorted values are.
func quantile(sorted []int64, quarters int) int64 {
	at := (len(sorted) - 1) * quarters
	low, rest := sorted[at/4], int64(at%4)
	if rest == 0 {
		return low
	}
	return low + (sorted[at/4+1]-low)*rest/4
}
