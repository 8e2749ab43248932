package tags_test

import (
	"fmt"
	"testing"
)

func BenchmarkList10k(b *testing.B) {
	ts, root := open(b)
	plant(b, ts, root, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if list, err := ts.List(); err != nil || len(list) != 10_000 {
			b.Fatal(len(list), err)
		}
	}
}

func BenchmarkSetOneAmong(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ts, root := open(b)
			plant(b, ts, root, n)
			i := 0
			for b.Loop() {
				i++
				set(b, ts, tag("moving", fmt.Sprint(i)))
			}
		})
	}
}
