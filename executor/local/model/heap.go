package model

import "iter"

// A heap gives its least element first. (container/heap would box every element.)
type heap[T any] struct {
	less func(a, b T) bool
	all  []T
}

func (h *heap[T]) push(x T) {
	h.all = append(h.all, x)
	for i := len(h.all) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.less(h.all[i], h.all[up]) {
			return
		}
		h.all[i], h.all[up] = h.all[up], h.all[i]
		i = up
	}
}

func (h *heap[T]) pop() T {
	last := len(h.all) - 1
	x := h.all[0]
	h.all[0] = h.all[last]
	var zero T
	h.all[last] = zero // lets go of what it pointed to
	h.all = h.all[:last]
	h.down(0)
	return x
}

func (h *heap[T]) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h.all) {
			return
		}
		if right := least + 1; right < len(h.all) && h.less(h.all[right], h.all[least]) {
			least = right
		}
		if !h.less(h.all[least], h.all[i]) {
			return
		}
		h.all[i], h.all[least] = h.all[least], h.all[i]
		i = least
	}
}

// keep drops every element that ok does not want.
func (h *heap[T]) keep(ok func(T) bool) {
	kept := h.all[:0]
	for _, x := range h.all {
		if ok(x) {
			kept = append(kept, x)
		}
	}
	clear(h.all[len(kept):])
	h.all = kept
	for i := len(h.all)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// sorted yields the elements, the least first, and leaves the heap as it is. The first
// few of many cost little.
func (h *heap[T]) sorted() iter.Seq[T] {
	return func(yield func(T) bool) {
		if len(h.all) == 0 {
			return
		}
		next := heap[int]{less: func(a, b int) bool { return h.less(h.all[a], h.all[b]) }}
		for next.push(0); len(next.all) > 0; {
			i := next.pop()
			if !yield(h.all[i]) {
				return
			}
			for child := 2*i + 1; child <= 2*i+2 && child < len(h.all); child++ {
				next.push(child)
			}
		}
	}
}
