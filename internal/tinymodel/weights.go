package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// The data types that the model's tensors have.
const (
	bf16 = "BF16"
	f32  = "F32"
)

// tensor is one named array of weights.
type tensor struct {
	name  string
	dtype string
	shape []int
}

// tensors are a llama's, in the order in which they lie in the file: by the size of their elements, then by name.
func tensors() []tensor {
	all := []tensor{{"model.norm.weight", f32, []int{hidden}}}
	matrices := []tensor{
		{"lm_head.weight", bf16, []int{vocabSize(), hidden}},
		{"model.embed_tokens.weight", bf16, []int{vocabSize(), hidden}},
	}
	for i := range layers {
		in := fmt.Sprintf("model.layers.%d.", i)
		all = append(all,
			tensor{in + "input_layernorm.weight", f32, []int{hidden}},
			tensor{in + "post_attention_layernorm.weight", f32, []int{hidden}})
		matrices = append(matrices,
			tensor{in + "mlp.down_proj.weight", bf16, []int{hidden, intermediate}},
			tensor{in + "mlp.gate_proj.weight", bf16, []int{intermediate, hidden}},
			tensor{in + "mlp.up_proj.weight", bf16, []int{intermediate, hidden}},
			tensor{in + "self_attn.k_proj.weight", bf16, []int{kvHeads * headDim, hidden}},
			tensor{in + "self_attn.o_proj.weight", bf16, []int{hidden, hidden}},
			tensor{in + "self_attn.q_proj.weight", bf16, []int{heads * headDim, hidden}},
			tensor{in + "self_attn.v_proj.weight", bf16, []int{kvHeads * headDim, hidden}})
	}
	return append(all, matrices...)
}

func (t tensor) elements() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// entry is what the header says of a tensor.
type entry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// safetensors is the file: the length of the header, the header padded to eight bytes, the data without gaps.
func safetensors(all []tensor) ([]byte, error) {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data bytes.Buffer
	random := rand.NewPCG(1, 2)
	for _, t := range all {
		from := data.Len()
		fill(&data, t, random)
		header[t.name] = entry{t.dtype, t.shape, [2]int{from, data.Len()}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	const align = 8
	text = append(text, strings.Repeat(" ", (align-len(text)%align)%align)...)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), data.Bytes()...), nil
}

// fill appends a tensor's elements: ones for a norm, else numbers evenly spread over ±1/8.
func fill(data *bytes.Buffer, t tensor, random *rand.PCG) {
	for range t.elements() {
		if t.dtype == f32 {
			data.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(1)))
			continue
		}
		data.Write(binary.LittleEndian.AppendUint16(nil, bfloat(weight(random))))
	}
}

// weight is made of integers and powers of two only, so that it is the same on every processor.
func weight(random *rand.PCG) float32 {
	const bits = 24 // a float32 holds every integer of so many bits
	return float32(int32(random.Uint64()>>(64-bits))-1<<(bits-1)) / (1 << (bits + 2))
}

// bfloat is the upper half of a float32, rounded to even.
func bfloat(f float32) uint16 {
	bits := math.Float32bits(f)
	const half = 0x7fff
	return uint16((bits + half + bits>>16&1) >> 16)
}
