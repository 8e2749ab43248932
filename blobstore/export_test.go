package blobstore

// Extents gives the tests the set that an ingest keeps its ranges in.
type Extents struct{ set extents }

func (x *Extents) Add(start, end int64)    { x.set.add(start, end) }
func (x *Extents) Remove(start, end int64) { x.set.remove(start, end) }
func (x *Extents) Front() int64            { return x.set.front() }
func (x *Extents) End() int64              { return x.set.end() }
func (x *Extents) Total() int64            { return x.set.total() }

// Ranges are the extents of the set, as they are kept.
func (x *Extents) Ranges() [][2]int64 { return pairs(x.set) }

// Gaps is what of [start, end) is not in the set.
func (x *Extents) Gaps(start, end int64) [][2]int64 { return pairs(x.set.gaps(start, end)) }

func pairs(set []extent) [][2]int64 {
	var all [][2]int64
	for _, e := range set {
		all = append(all, [2]int64{e.start, e.end})
	}
	return all
}

// ParseJournal gives the ranges that a journal claims of the first length bytes.
func ParseJournal(raw []byte, length int64) [][2]int64 { return pairs(parseJournal(raw, length)) }
