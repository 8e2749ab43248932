package main

// special is a token that stands for no text. They come first, in this order.
type special int

const (
	pad special = iota
	begin
	end
	specials
)

func (s special) id() int { return int(s) }

func (s special) String() string {
	return [...]string{"<|pad|>", "<|begin|>", "<|end|>"}[s]
}

// merges are the pairs that byte-level BPE joins, most wanted first. Each half is a byte or an earlier product.
var merges = [][2]string{
	{"Ġ", "t"},
	{"h", "e"},
	{"i", "n"},
	{"r", "e"},
	{"o", "n"},
	{"Ġ", "a"},
	{"e", "r"},
	{"Ġt", "he"},
	{"a", "t"},
	{"o", "r"},
	{"e", "n"},
	{"e", "s"},
	{"Ġ", "s"},
	{"a", "n"},
	{"i", "s"},
	{"o", "u"},
	{"Ġ", "w"},
	{"i", "t"},
	{"Ġ", "o"},
	{"a", "l"},
	{"Ġ", "m"},
	{"in", "g"},
	{"Ġa", "n"},
	{"Ġan", "d"},
	{"l", "e"},
	{"Ġo", "f"},
	{"o", "d"},
	{"Ġm", "od"},
	{"e", "l"},
	{"Ġmod", "el"},
	{"Ġs", "t"},
	{"Ġst", "or"},
	{"Ġstor", "e"},
}

const bytesInAll = 256

func vocabSize() int { return int(specials) + bytesInAll + len(merges) }

// vocab gives each token its number: the special ones, the 256 bytes, the products of merges.
func vocab() map[string]int {
	v := map[string]int{}
	for s := range specials {
		v[s.String()] = s.id()
	}
	for _, r := range byteRunes() {
		v[string(r)] = len(v)
	}
	for _, m := range merges {
		v[m[0]+m[1]] = len(v)
	}
	return v
}

// byteRunes is a printable character for each byte, as byte-level BPE has them: itself where it can be seen, and
// else the next one free above 255. A space becomes Ġ.
func byteRunes() []rune {
	runes, next := make([]rune, 0, bytesInAll), rune(bytesInAll)
	for b := range rune(bytesInAll) {
		if '!' <= b && b <= '~' || '¡' <= b && b <= '¬' || '®' <= b {
			runes = append(runes, b)
			continue
		}
		runes = append(runes, next)
		next++
	}
	return runes
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type byteLevel struct {
	Type        string `json:"type"`
	PrefixSpace bool   `json:"add_prefix_space"`
	TrimOffsets bool   `json:"trim_offsets"`
	Regex       bool   `json:"use_regex"`
}

type bpe struct {
	Type         string         `json:"type"`
	Dropout      *float64       `json:"dropout"`
	Unknown      *string        `json:"unk_token"`
	Prefix       *string        `json:"continuing_subword_prefix"`
	Suffix       *string        `json:"end_of_word_suffix"`
	FuseUnknown  bool           `json:"fuse_unk"`
	ByteFallback bool           `json:"byte_fallback"`
	IgnoreMerges bool           `json:"ignore_merges"`
	Vocab        map[string]int `json:"vocab"`
	Merges       [][2]string    `json:"merges"`
}

type tokenizer struct {
	Version       string       `json:"version"`
	Truncation    *struct{}    `json:"truncation"`
	Padding       *struct{}    `json:"padding"`
	Added         []addedToken `json:"added_tokens"`
	Normalizer    *struct{}    `json:"normalizer"`
	PreTokenizer  byteLevel    `json:"pre_tokenizer"`
	PostProcessor byteLevel    `json:"post_processor"`
	Decoder       byteLevel    `json:"decoder"`
	Model         bpe          `json:"model"`
}

func newTokenizer() tokenizer {
	level := byteLevel{Type: "ByteLevel", TrimOffsets: true, Regex: true}
	t := tokenizer{
		Version: "1.0", PreTokenizer: level, PostProcessor: level, Decoder: level,
		Model: bpe{Type: "BPE", Vocab: vocab(), Merges: merges},
	}
	for s := range specials {
		t.Added = append(t.Added, addedToken{ID: s.id(), Content: s.String(), Special: true})
	}
	return t
}

type tokenizerConfig struct {
	Class     string `json:"tokenizer_class"`
	BOS       string `json:"bos_token"`
	EOS       string `json:"eos_token"`
	Pad       string `json:"pad_token"`
	MaxLength int    `json:"model_max_length"`
	Cleanup   bool   `json:"clean_up_tokenization_spaces"`
}

func newTokenizerConfig() tokenizerConfig {
	return tokenizerConfig{
		Class: "PreTrainedTokenizerFast", BOS: begin.String(), EOS: end.String(), Pad: pad.String(), MaxLength: context,
	}
}

func newSpecialTokens() map[string]string {
	return map[string]string{"bos_token": begin.String(), "eos_token": end.String(), "pad_token": pad.String()}
}
