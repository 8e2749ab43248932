package tags_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/manifest/tags"
)

func TestDecode(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("", 3600))
	bare := tags.Tag{Name: "a", Created: created}
	bare.Descriptor.Digest = "sha256:x"
	full := tag("ghcr.io/Org/é:v1", "x")
	full.Created, full.Source.PlainHTTP, full.Source.Validator = created.UTC(), true, "etag"
	full.Source.Platform = "linux/arm64"
	only := bare
	only.Source.Validator = "etag"
	plain := bare
	plain.Source.PlainHTTP = true
	huge := bare
	huge.Bytes, huge.Descriptor.Size, huge.Files = math.MaxInt64, -1, -5
	escapes := full
	escapes.Source.Validator, escapes.Name = `W/"x"\`, "a<b>&\u2028"
	annotated := full
	annotated.Descriptor.Annotations = map[string]string{"k": "v"}
	tests := map[string]struct {
		tag   tags.Tag
		usual bool
	}{
		"bare": {bare, true}, "full": {full, true}, "only": {only, true}, "plain": {plain, true}, "huge": {huge, true},
		"escapes": {escapes, false}, "annotated": {annotated, false}, "zero": {tags.Tag{}, true},
	}
	for name, test := range tests {
		data, err := tags.Encode(test.tag)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tags.Decode(data)
		if diff := cmp.Diff(test.tag, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		if _, usual := tags.DecodeUsual(string(data)); usual != test.usual {
			t.Errorf("%s: the short way taken: %v, want %v", name, usual, test.usual)
		}
	}
}

// FuzzDecode: the short way takes nothing but JSON, and reads it as encoding/json does.
func FuzzDecode(f *testing.F) {
	for _, one := range []tags.Tag{{}, tag("a", "b"), tag(`"`, "b")} {
		data, err := tags.Encode(one)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
		f.Add(strings.Replace(string(data), `"created"`, `,"created"`, 1))
		f.Add(strings.Replace(string(data), `},"bytes"`, `,"size":2},"bytes"`, 1))
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := tags.DecodeUsual(s)
		if !ok {
			return
		}
		var want tags.Tag
		if err := json.Unmarshal([]byte(s), &want); err != nil {
			t.Fatalf("encoding/json does not take it: %v", err)
		}
		if !got.Created.Equal(want.Created) {
			t.Fatalf("created %v, want %v", got.Created, want.Created)
		}
		got.Created = want.Created
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nwant %+v", got, want)
		}
	})
}
