package main

// The shape of the model.
const (
	hidden       = 64
	intermediate = 176
	layers       = 2
	heads        = 4
	kvHeads      = 2
	headDim      = hidden / heads
	context      = 512
	normEpsilon  = 1e-5
	ropeTheta    = 10000.0
)

type config struct {
	Architectures    []string `json:"architectures"`
	AttentionBias    bool     `json:"attention_bias"`
	AttentionDropout float64  `json:"attention_dropout"`
	BOS              int      `json:"bos_token_id"`
	EOS              int      `json:"eos_token_id"`
	HeadDim          int      `json:"head_dim"`
	Act              string   `json:"hidden_act"`
	Hidden           int      `json:"hidden_size"`
	InitRange        float64  `json:"initializer_range"`
	Intermediate     int      `json:"intermediate_size"`
	Context          int      `json:"max_position_embeddings"`
	MLPBias          bool     `json:"mlp_bias"`
	ModelType        string   `json:"model_type"`
	Heads            int      `json:"num_attention_heads"`
	Layers           int      `json:"num_hidden_layers"`
	KVHeads          int      `json:"num_key_value_heads"`
	Pad              int      `json:"pad_token_id"`
	TP               int      `json:"pretraining_tp"`
	NormEpsilon      float64  `json:"rms_norm_eps"`
	RopeTheta        float64  `json:"rope_theta"`
	Tied             bool     `json:"tie_word_embeddings"`
	DType            string   `json:"torch_dtype"`
	UseCache         bool     `json:"use_cache"`
	Vocab            int      `json:"vocab_size"`
}

func newConfig() config {
	return config{
		Architectures: []string{"LlamaForCausalLM"},
		ModelType:     "llama",
		Act:           "silu",
		DType:         "bfloat16",
		BOS:           begin.id(), EOS: end.id(), Pad: pad.id(),
		Hidden: hidden, Intermediate: intermediate, Layers: layers, Heads: heads, KVHeads: kvHeads, HeadDim: headDim,
		Context: context, NormEpsilon: normEpsilon, RopeTheta: ropeTheta, InitRange: 0.02, TP: 1,
		UseCache: true,
		Vocab:    vocabSize(),
	}
}

type generation struct {
	BOS         int     `json:"bos_token_id"`
	Sample      bool    `json:"do_sample"`
	EOS         int     `json:"eos_token_id"`
	MaxNew      int     `json:"max_new_tokens"`
	Pad         int     `json:"pad_token_id"`
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p"`
}

func newGeneration() generation {
	return generation{
		BOS: begin.id(), EOS: end.id(), Pad: pad.id(),
		Sample: true, MaxNew: 64, Temperature: 0.7, TopP: 0.9,
	}
}

// params is how the first publisher of the architecture writes the same shape, in a folder of its own.
type params struct {
	Dim        int     `json:"dim"`
	Layers     int     `json:"n_layers"`
	Heads      int     `json:"n_heads"`
	KVHeads    int     `json:"n_kv_heads"`
	NormEps    float64 `json:"norm_eps"`
	RopeTheta  float64 `json:"rope_theta"`
	VocabSize  int     `json:"vocab_size"`
	MultipleOf int     `json:"multiple_of"`
}

func newParams() params {
	return params{
		Dim: hidden, Layers: layers, Heads: heads, KVHeads: kvHeads, NormEps: normEpsilon,
		RopeTheta: ropeTheta, VocabSize: vocabSize(), MultipleOf: 16,
	}
}
