package hub_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/hubtest"
)

// repoOf runs a hub with one repository of the paths.
func repoOf(t *testing.T, paths ...string) *hubtest.Hub {
	t.Helper()
	return hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: named(paths...)})
}

// TestFormats: of weights that are there several times, safetensors are taken.
func TestFormats(t *testing.T) {
	for name, c := range map[string]struct{ take, leave []string }{
		"a model in every format": {
			[]string{"README.md", "config.json", "model.safetensors", "tokenizer.json"},
			[]string{
				"pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "model.onnx", "model.onnx_data", "onnx/config.json",
				"onnx/model.onnx", "openvino/openvino_model.bin", "openvino/openvino_model.xml", "openvino_model.xml", "coreml/m/weight.bin",
				"model.gguf", "q/model.Q8_0.gguf", "tflite/64.tflite", "consolidated.00.pth", "consolidated.safetensors", "original/consolidated.00.pth",
			},
		},
		"shards": {
			[]string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "original/params.json"},
			[]string{"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json", "original/consolidated.00.pth"},
		},
		"a pipeline": {
			[]string{"model_index.json", "text_encoder/model.fp16.safetensors", "text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors"},
			[]string{
				"text_encoder/pytorch_model.bin", "text_encoder/pytorch_model.fp16.bin", "text_encoder/flax_model.msgpack",
				"unet/diffusion_pytorch_model.bin", "unet/diffusion_flax_model.msgpack",
			},
		},
		"files of one name":      {[]string{"v1-5.safetensors"}, []string{"v1-5.ckpt", "v1-5.pt", "v1-5.pth"}},
		"an adapter":             {[]string{"adapter_model.safetensors"}, []string{"adapter_model.bin"}},
		"other weights":          {[]string{"adapter_model.safetensors", "onnx/model.onnx", "pytorch_model.bin", "training_args.bin"}, nil},
		"another variant":        {[]string{"model.safetensors", "pytorch_model.fp16.bin"}, nil},
		"another folder":         {[]string{"a/model.safetensors", "b/pytorch_model.bin", "pytorch_model.bin"}, nil},
		"no safetensors":         {[]string{"pytorch_model.bin", "tf_model.h5"}, nil},
		"safetensors of no name": {[]string{"llama.gguf", "vae.safetensors"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := repoOf(t, append(c.take, c.leave...)...)
			var log bytes.Buffer
			wantPaths(t, resolve(t, client(t, h, logging(&log)), id), c.take...)
			if said := strings.Contains(log.String(), "--include"); said != (len(c.leave) > 0) {
				t.Errorf("%d files were left out, and the log says:\n%s", len(c.leave), &log)
			}
			if m := resolve(t, client(t, h), id, including("**")); len(m.Files) != len(c.take)+len(c.leave) {
				t.Errorf("--include '**' takes %d files, want all %d", len(m.Files), len(c.take)+len(c.leave))
			}
		})
	}
}

var quants = []string{
	"README.md", "config.json", "imatrix.dat", "m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf", "m-IQ2_XXS.gguf",
	"m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-UD-Q4_K_XL.gguf", "m.fp16.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf",
	"Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf", "sub/odd-name-tuned.gguf", "m_q3_k.gguf",
}

func TestQuantisations(t *testing.T) {
	h := repoOf(t, quants...)
	for selector, want := range map[string][]string{
		"":                                 {"m-Q4_K_M.gguf"},
		":latest":                          {"m-Q4_K_M.gguf"},
		":q4_k_m":                          {"m-Q4_K_M.gguf"},
		":Q4_0":                            {"m-Q4_0.gguf"},
		":Q3_K":                            {"m_q3_k.gguf"},
		":IQ2_XXS":                         {"m-IQ2_XXS.gguf"},
		":UD-Q4_K_XL":                      {"m-UD-Q4_K_XL.gguf"},
		":Q4_K_XL":                         {"m-UD-Q4_K_XL.gguf"}, // by its words: none is called so
		":F16":                             {"m.fp16.gguf"},
		":BF16":                            {"m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf"},
		":Q8_0":                            {"Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"},
		":tuned":                           {"sub/odd-name-tuned.gguf"},
		":m-Q4_0.gguf":                     {"m-Q4_0.gguf"},
		":sub/odd-name-tuned.gguf":         {"sub/odd-name-tuned.gguf"},
		":odd-name-tuned.gguf":             {"sub/odd-name-tuned.gguf"},
		":m-BF16-00002-of-00002.gguf":      {"m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf"},
		":Q8_0/m-Q8_0-00001-of-00002.gguf": {"Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"},
	} {
		t.Run(selector, func(t *testing.T) {
			var log bytes.Buffer
			m := resolve(t, client(t, h, logging(&log)), id+selector)
			want = append(want, "README.md", "config.json", "mmproj-F16.gguf")
			if selector == "" || selector == ":latest" {
				want = append(want, "imatrix.dat") // which is no GGUF file
				if !strings.Contains(log.String(), "UD-Q4_K_XL") || !strings.Contains(log.String(), "QUANTISATION") {
					t.Errorf("the log does not say what there is:\n%s", &log)
				}
			}
			wantPaths(t, m, want...)
		})
	}
}

func TestTheFirstOfSeveral(t *testing.T) {
	for name, c := range map[string]struct {
		ref        string
		paths      []string
		want, says string
	}{
		"no preferred one":     {id, []string{"m-Q8_0.gguf", "m-Q5_K_M.gguf"}, "m-Q5_K_M.gguf", "Q8_0"},
		"no names":             {id, []string{"b.gguf", "a.gguf"}, "a.gguf", "a, b"},
		"the second preferred": {id, []string{"m-F16.gguf", "m-Q4_0.gguf"}, "m-Q4_0.gguf", "F16"},
		"two of one":           {id + ":Q8_0", []string{"b-Q8_0.gguf", "a-Q8_0.gguf"}, "a-Q8_0.gguf", "b-Q8_0"},
		"whole before parts":   {id + ":Q8_0", []string{"a-Q8_0-00001-of-00002.gguf", "a-Q8_0-00002-of-00002.gguf", "b-Q8_0.gguf"}, "b-Q8_0.gguf", "a-Q8_0"},
		"top before below":     {id, []string{"a/m-Q4_K_M.gguf", "m-Q4_K_M.gguf"}, "m-Q4_K_M.gguf", "Q4_K_M"},
		"only one":             {id, []string{"m-Q2_K.gguf"}, "m-Q2_K.gguf", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			m := resolve(t, client(t, repoOf(t, c.paths...), logging(&log)), c.ref)
			wantPaths(t, m, c.want)
			if !strings.Contains(log.String(), c.says) || (log.Len() > 0) != (c.says != "") {
				t.Errorf("the log does not say %q:\n%s", c.says, &log)
			}
		})
	}
}

func TestIncludeAndExclude(t *testing.T) {
	h := repoOf(t, quants...)
	c := client(t, h)
	wantPaths(t, resolve(t, c, id, including("*Q4*")), "m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-UD-Q4_K_XL.gguf")
	wantPaths(t, resolve(t, c, id, excluding("*Q4_K_M*", "*.dat", "mmproj*", "*.md")), "config.json", "m-Q4_0.gguf")
	wantPaths(t, resolve(t, c, id+":Q4_0", including("*.gguf", "*.md")), "README.md", "m-Q4_0.gguf", "mmproj-F16.gguf")

	h = repoOf(t, "model.safetensors", "pytorch_model.bin")
	wantPaths(t, resolve(t, client(t, h), id, excluding("*.safetensors")), "pytorch_model.bin")
	_, err := client(t, h).Resolve(t.Context(), id, source.Options{Include: []string{"*.none"}})
	if !errors.Is(err, source.ErrNotFound) {
		t.Errorf("nothing is taken: %v, want ErrNotFound", err)
	}
	_, err = client(t, h).Resolve(t.Context(), id, source.Options{Include: []string{"[a"}})
	if !errors.Is(err, source.ErrPattern) {
		t.Errorf("a bad pattern: %v, want ErrPattern", err)
	}
}

func TestWhatIsNotThereIsListed(t *testing.T) {
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf("m-Q%d_K.gguf", i))
	}
	for name, c := range map[string]struct {
		paths []string
		ref   string
		says  string
	}{
		"a quantisation":  {quants, id + ":Q6_K", "BF16, F16, IQ2_XXS, Q3_K, Q4_0, Q4_K_M, Q4_K_S, Q8_0, UD-Q4_K_XL, sub/odd-name-tuned"},
		"no GGUF at all":  {[]string{"model.safetensors"}, id + ":Q4_K_M", "no GGUF files"},
		"a file":          {[]string{"a.gguf", "README.md"}, id + ":b.gguf", "a.gguf"},
		"too many to say": {many, id + ":Q99_K", "and 30 more"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, repoOf(t, c.paths...)).Resolve(t.Context(), c.ref, options())
			if !errors.Is(err, source.ErrNotFound) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 1000 {
				t.Errorf("Resolve = %v, want ErrNotFound that lists %s", err, c.says)
			}
		})
	}
}
