package main

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

var buffers = sync.Pool{New: func() any { return make([]byte, 256*1024) }}

type payload struct {
	size     int64
	etag     string
	checksum map[string]string // the headers with checked checksums, as the client sent them
	code     string            // error code, empty if there is no error
}

// sentDigest is a digest that a client may send, and the digest of its content.
type sentDigest struct {
	header string
	start  func() hash.Hash
	sum    hash.Hash
	text   func([]byte) string
	code   string // error code if the two differ
}

var known = []sentDigest{
	{header: "Content-Md5", start: md5.New, text: base64.StdEncoding.EncodeToString, code: "BadDigest"},
	{header: "X-Amz-Checksum-Crc32", start: newCrc32, text: base64.StdEncoding.EncodeToString, code: "BadDigest"},
	{header: "X-Amz-Checksum-Sha256", start: sha256.New, text: base64.StdEncoding.EncodeToString, code: "BadDigest"},
	{header: "X-Amz-Content-Sha256", start: sha256.New, text: hex.EncodeToString, code: "XAmzContentSHA256Mismatch"},
}

func newCrc32() hash.Hash { return crc32.NewIEEE() }

func sentDigests(r *http.Request) []sentDigest {
	var found []sentDigest
	for _, each := range known {
		value := r.Header.Get(each.header)
		if value != "" && (each.header != "X-Amz-Content-Sha256" || len(value) == 64) {
			each.sum = each.start()
			found = append(found, each)
		}
	}
	return found
}

// read reads the body of a request and checks its length and, if requested, its digests.
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
	var checked []sentDigest
	var sums []hash.Hash
	if s.digest {
		checked = sentDigests(r)
	}
	for _, each := range checked {
		sums = append(sums, each.sum)
	}
	size, err := drain(body, sums)
	if err != nil || size != expected {
		return payload{code: "IncompleteBody"}
	}
	sent := payload{size: size, etag: etagOf(r.Header)}
	for _, each := range checked {
		value := r.Header.Get(each.header)
		if each.text(each.sum.Sum(nil)) != value {
			return payload{code: each.code}
		}
		if strings.HasPrefix(each.header, "X-Amz-Checksum-") {
			sent.checksum = map[string]string{each.header: value}
		}
	}
	return sent
}

// etagOf returns the MD5 that the client sent. If it sent none, the ETag is obviously not a digest, like that of an
// object that is encrypted with AWS KMS. Only real stores compute one.
func etagOf(header http.Header) string {
	if raw, err := base64.StdEncoding.DecodeString(header.Get("Content-Md5")); err == nil && len(raw) == md5.Size {
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

// chunked decodes the aws-chunked encoding. Signatures of chunks and trailers are read but not checked.
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
