// Command null_store is an S3 server that keeps only metadata in memory: sizes, ETags, types and ACLs.
//
// It answers the requests of S3 clients (PUT, HEAD, LIST, multipart uploads, DELETE, ACLs) as fast as possible, so that a
// benchmark measures the client. It always checks Content-Length, with -verify=digest also the checksums that a client
// sends, and with -verify=all also signatures. With -delay it waits before each response.
//
// It prints the address that it listens on, and exits when its standard input is closed.
//
// GET /-/count returns, as JSON, the number of requests by method, and the objects and bytes of each bucket. POST
// /-/count also resets the number of requests.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

type server struct {
	store     *store
	delay     time.Duration
	digest    bool
	signature bool
	accessKey string
	secretKey string
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to bind")
	delay := flag.Duration("delay", 0, "wait this long before each response")
	verify := flag.String("verify", "digest", "what to check beside the length: none, digest (of the payload), all (the signature, too)")
	flag.Parse()
	if *verify != "none" && *verify != "digest" && *verify != "all" {
		log.Fatalf("-verify=%s: choose none, digest or all", *verify)
	}
	handler := &server{
		store:     newStore(),
		delay:     *delay,
		digest:    *verify != "none",
		signature: *verify == "all",
		accessKey: os.Getenv("NULL_STORE_ACCESS_KEY"),
		secretKey: os.Getenv("NULL_STORE_SECRET_KEY"),
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal((&http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}).Serve(listener))
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/-/count" {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.store.counts(r.Method == http.MethodPost))
		return
	}
	answer := s.answer(r)
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	answer.write(w, r)
}
