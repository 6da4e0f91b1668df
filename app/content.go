package app

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

// Content is an encoded answer in the codings in which it is sent. Its bytes
// belong to all readers: they must not be changed.
type Content struct {
	// Tag changes with the content.
	Tag string
	// Plain is the answer. It is nil where only Gzip is kept: see [Content.Expand].
	Plain []byte
	// Gzip is the same compressed, or nil where that saves nothing.
	Gzip []byte
	// Next is the cursor of the page that follows, empty on the last and where
	// there are no pages.
	Next string
}

// NewContent returns the answer with its tag, compressed if that pays.
func NewContent(plain []byte, next string) Content {
	return Content{Tag: TagOf(plain), Plain: plain, Gzip: compress(plain), Next: next}
}

// TagOf makes a tag of the bytes.
func TagOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16])
}

// Expand returns Plain, decompressed from Gzip where only that is kept.
func (c *Content) Expand() ([]byte, error) {
	if c.Plain != nil || c.Gzip == nil {
		return c.Plain, nil
	}
	unzip, err := gzip.NewReader(bytes.NewReader(c.Gzip))
	if err != nil {
		return nil, fmt.Errorf("decompress an answer: %w", err)
	}
	plain, err := io.ReadAll(unzip)
	if err != nil {
		return nil, fmt.Errorf("decompress an answer: %w", err)
	}
	return plain, nil
}

// minCompressed is the length in bytes from which compressing is worth it.
const minCompressed = 1 << 10

var compressors = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// compress returns the body in gzip, or nil when that is not worth it.
func compress(body []byte) []byte {
	if len(body) < minCompressed {
		return nil
	}
	var buffer bytes.Buffer
	zip, _ := compressors.Get().(*gzip.Writer)
	defer compressors.Put(zip)
	zip.Reset(&buffer)
	// Writing to memory cannot fail.
	_, _ = zip.Write(body)
	_ = zip.Close()
	if buffer.Len() >= len(body) {
		return nil
	}
	return bytes.Clone(buffer.Bytes())
}
