package blobstore

import (
	"cmp"
	"slices"
)

// extent is a half-open range of bytes.
type extent struct{ start, end int64 }

// extents is a set of bytes, kept as sorted extents that do not touch.
type extents []extent

// add puts [start, end) into the set.
func (x *extents) add(start, end int64) {
	if start >= end {
		return
	}
	s := *x
	i, _ := slices.BinarySearchFunc(s, start, func(e extent, at int64) int { return cmp.Compare(e.end, at) })
	j := i
	for ; j < len(s) && s[j].start <= end; j++ {
		start, end = min(start, s[j].start), max(end, s[j].end)
	}
	*x = slices.Replace(s, i, j, extent{start, end})
}

// remove takes [start, end) out of the set.
func (x *extents) remove(start, end int64) {
	if start >= end {
		return
	}
	var rest extents
	for _, e := range *x {
		if e.start < start {
			rest = append(rest, extent{e.start, min(e.end, start)})
		}
		if e.end > end {
			rest = append(rest, extent{max(e.start, end), e.end})
		}
	}
	*x = rest
}

// gaps gives what of [start, end) is not in the set, lowest first.
func (x extents) gaps(start, end int64) []extent {
	var gaps []extent
	i, _ := slices.BinarySearchFunc(x, start, func(e extent, at int64) int { return cmp.Compare(e.end, at) })
	for ; i < len(x) && x[i].start < end; i++ {
		if start < x[i].start {
			gaps = append(gaps, extent{start, x[i].start})
		}
		start = max(start, x[i].end)
	}
	if start < end {
		gaps = append(gaps, extent{start, end})
	}
	return gaps
}

// gap is the lowest of the gaps of [start, end); ok is false when there is none.
func (x extents) gap(start, end int64) (gap extent, ok bool) {
	i, _ := slices.BinarySearchFunc(x, start, func(e extent, at int64) int { return cmp.Compare(e.end, at) })
	for ; i < len(x) && x[i].start <= start; i++ { // two at most: one may end where start is
		start = max(start, x[i].end)
	}
	if i < len(x) {
		end = min(end, x[i].start)
	}
	return extent{start, end}, start < end
}

// front is the end of what is whole from byte 0 on.
func (x extents) front() int64 {
	if len(x) == 0 || x[0].start > 0 {
		return 0
	}
	return x[0].end
}

// end is where the last of them ends.
func (x extents) end() int64 {
	if len(x) == 0 {
		return 0
	}
	return x[len(x)-1].end
}

// total is how many bytes the set has.
func (x extents) total() int64 {
	var n int64
	for _, e := range x {
		n += e.end - e.start
	}
	return n
}
