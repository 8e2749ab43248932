// Package pack makes files smaller without loss, weights of models above all, so that any part can be read back alone.
//
// What general compressors find in text is not in weights: numbers do not repeat. But the high byte of each number, its
// exponent, takes few values. So a file is cut into frames of [FrameSize] bytes, and a sample of each frame says what is
// done with it: nothing, zstd, or its bytes are sorted into planes, the first byte of each element, then the second,
// and each plane is entropy-coded on its own. Where a frame gains nothing it costs some bytes in a thousand.
//
// A packed file is a series of zstd frames with a table at the end; spec/packed.md describes it. The package knows
// nothing of stores and digests. It finds what broke by accident, by a check of each frame; whoever needs to know that
// the bytes are the right ones compares their digest.
package pack
