package manifest_test

import (
	"testing"

	"github.com/mstore/mstore/manifest"
)

// BenchmarkParse: a collector parses every manifest of a store, so that 10,000 of them must be far from a second.
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{3, 30, 1000} {
		m, _, err := manifest.Build(draft(n))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(map[int]string{3: "small", 30: "sharded", 1000: "large"}[n], func(b *testing.B) {
			b.SetBytes(int64(len(m.Raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := manifest.Parse("", m.Raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSafePath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.SafePath("text_encoder/model-00001-of-00030.safetensors"); err != nil {
			b.Fatal(err)
		}
	}
}
