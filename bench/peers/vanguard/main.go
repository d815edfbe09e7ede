// Command vanguard is vanguard-go as a proxy from RPC to REST.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"connectrpc.com/vanguard"

	_ "jwks-gateway/bench/peers/restpb"
)

func main() {
	upstream, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = 4096, 4096
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	proxy.Transport = transport
	service := vanguard.NewService("apinizer.apiops.v1.JwkService", proxy, vanguard.WithTargetProtocols(vanguard.ProtocolREST))
	transcoder, err := vanguard.NewTranscoder([]*vanguard.Service{service})
	if err != nil {
		log.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Addr: os.Args[1], Handler: transcoder, Protocols: protocols}
	log.Fatal(server.ListenAndServe())
}
