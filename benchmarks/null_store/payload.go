package main

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

var buffers = sync.Pool{New: func() any { return make([]byte, 256*1024) }}

type payload struct {
	size int64
	etag string
	code string // of the error, empty where all is well
}

// read takes in the body of a request and checks its length and, if so wanted, its digests.
func (s *server) read(r *http.Request) payload {
	declared := r.Header.Get("X-Amz-Content-Sha256")
	var body io.Reader = r.Body
	expected := r.ContentLength
	if strings.HasPrefix(declared, "STREAMING-") || strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
		body = &chunked{in: bufio.NewReaderSize(r.Body, 64*1024)}
		decoded, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil {
			return payload{code: "MissingContentLength"}
		}
		expected = decoded
	}
	if expected < 0 {
		return payload{code: "MissingContentLength"}
	}
	said := r.Header.Get("Content-Md5")
	var sums []hash.Hash
	var md5sum, sha256sum hash.Hash
	if s.digest && said != "" {
		md5sum = md5.New()
		sums = append(sums, md5sum)
	}
	if s.digest && len(declared) == 64 {
		sha256sum = sha256.New()
		sums = append(sums, sha256sum)
	}
	size, err := drain(body, sums)
	if err != nil || size != expected {
		return payload{code: "IncompleteBody"}
	}
	if md5sum != nil && base64.StdEncoding.EncodeToString(md5sum.Sum(nil)) != said {
		return payload{code: "BadDigest"}
	}
	if sha256sum != nil && hex.EncodeToString(sha256sum.Sum(nil)) != declared {
		return payload{code: "XAmzContentSHA256Mismatch"}
	}
	return payload{size: size, etag: etagOf(said)}
}

// etagOf returns the MD5 that the client sent or, since nothing else is known of the content, what is visibly no MD5.
func etagOf(said string) string {
	if raw, err := base64.StdEncoding.DecodeString(said); err == nil && len(raw) == md5.Size {
		return hex.EncodeToString(raw)
	}
	return "null-store"
}

func drain(body io.Reader, sums []hash.Hash) (int64, error) {
	buffer := buffers.Get().([]byte)
	defer buffers.Put(buffer)
	var size int64
	for {
		count, err := body.Read(buffer)
		for _, sum := range sums {
			sum.Write(buffer[:count])
		}
		size += int64(count)
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}

// chunked decodes the aws-chunked encoding; signatures of chunks and trailers are read and not checked.
type chunked struct {
	in   *bufio.Reader
	left int64
	open bool
	end  bool
}

func (c *chunked) Read(into []byte) (int, error) {
	if c.end {
		return 0, io.EOF
	}
	if c.left == 0 {
		if c.open {
			if _, err := c.line(); err != nil {
				return 0, err
			}
		}
		head, err := c.line()
		if err != nil {
			return 0, err
		}
		length, _, _ := strings.Cut(head, ";")
		c.left, err = strconv.ParseInt(strings.TrimSpace(length), 16, 64)
		if err != nil {
			return 0, err
		}
		c.open = true
		if c.left == 0 {
			c.end = true
			_, err = io.Copy(io.Discard, c.in)
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
	}
	if int64(len(into)) > c.left {
		into = into[:c.left]
	}
	count, err := c.in.Read(into)
	c.left -= int64(count)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return count, err
}

func (c *chunked) line() (string, error) {
	line, err := c.in.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimRight(line, "\r\n"), err
}
