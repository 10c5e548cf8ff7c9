// Command ggcr-registry serves go-containerregistry's registry, with its referrers API, for the tests: its content is
// in memory. It says on stderr where it listens, and writes a line for each answered request to stdout.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/registry"
)

// recorder remembers the status that was answered.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	serve := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	handler := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		recorded := &recorder{w, http.StatusOK}
		serve.ServeHTTP(recorded, request)
		fmt.Printf("%s %s %d\n", request.Method, request.URL.RequestURI(), recorded.status)
	})
	log.Printf("listening on %s", listener.Addr())
	log.Fatal(http.Serve(listener, handler))
}
