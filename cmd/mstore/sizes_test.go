package main

import (
	"testing"
)

func TestSizesThatPeopleType(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "4096": 4096, "10MB": 10_000_000, "10mb": 10_000_000, "1GiB": 1 << 30, "1gi": 1 << 30, "500K": 500_000,
		"1.5GB": 1_500_000_000, "0.5KiB": 512, "7 MB": 7_000_000, "12b": 12, "8E": 8_000_000_000_000_000_000, "1.9": 1,
	} {
		var b byteSize
		if err := b.Set(text); err != nil || int64(b) != want {
			t.Errorf("%q is %d (%v), want %d", text, b, err, want)
		}
		var r byteRate
		if err := r.Set(text + "/s"); err != nil || int64(r) != want {
			t.Errorf("%q/s is %d (%v), want %d", text, r, err, want)
		}
	}
}

func TestSizesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "0", "-1", "MB", "1XB", "1 000", "1e6", "1e400", "NaN", "Inf", "0x10", "10MBB", "10Bi", "9E99", "10E", "1..5", "1,5GB", "5/s",
		"0.4", "1_0", "+5", "٣", "i", "ib",
	} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q is taken as %d", text, n)
		}
	}
	var r byteRate
	if err := r.Set("fast"); err == nil || err.Error() != `wants a rate such as 50MB/s, not "fast"` {
		t.Errorf("err = %v", err)
	}
}
