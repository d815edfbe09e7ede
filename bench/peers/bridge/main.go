// Command bridge is what a team would write by hand in an afternoon: grpc-go, net/http and encoding/json.
// It leaves out most of what can go wrong.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"jwks-gateway/bench/peers/listpb"
)

type server struct {
	listpb.UnimplementedJwkServiceServer
	upstream string
	client   *http.Client
}

type list struct {
	Success    bool    `json:"success"`
	ResultList []entry `json:"resultList"`
}

type entry struct {
	Name        string  `json:"name"`
	Description *string `json:"description"`
	ProjectID   string  `json:"projectId"`
	SourceType  string  `json:"sourceType"`
	SourceID    *string `json:"sourceId"`
	SourceURL   *string `json:"sourceUrl"`
	Type        string  `json:"type"`
	Kid         *string `json:"kid"`
}

func (s *server) ListJwks(ctx context.Context, request *listpb.ListJwksRequest) (*listpb.ListJwksResponse, error) {
	target := s.upstream + "/apiops/projects/" + url.PathEscape(request.Project) + "/jwks/"
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if tokens := metadata.ValueFromIncomingContext(ctx, "authorization"); len(tokens) == 1 {
		get.Header.Set("Authorization", tokens[0])
	}
	response, err := s.client.Do(get)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	defer response.Body.Close()
	var list list
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil || response.StatusCode != http.StatusOK || !list.Success {
		return nil, status.Errorf(codes.Internal, "HTTP %d: %v", response.StatusCode, err)
	}
	jwks := make([]*listpb.Jwk, len(list.ResultList))
	for i, entry := range list.ResultList {
		jwks[i] = &listpb.Jwk{
			Name:        entry.Name,
			Description: entry.Description,
			ProjectId:   entry.ProjectID,
			SourceType:  listpb.JwkSourceType(listpb.JwkSourceType_value["JWK_SOURCE_TYPE_"+entry.SourceType]),
			SourceId:    entry.SourceID,
			SourceUrl:   entry.SourceURL,
			Type:        listpb.JwkType(listpb.JwkType_value["JWK_TYPE_"+entry.Type]),
			Kid:         entry.Kid,
		}
	}
	return &listpb.ListJwksResponse{Jwks: jwks}, nil
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// The default keeps two idle connections and opens a new one for every other call.
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = 4096, 4096
	grpcServer := grpc.NewServer()
	listpb.RegisterJwkServiceServer(grpcServer, &server{upstream: os.Args[2], client: &http.Client{Transport: transport}})
	log.Fatal(grpcServer.Serve(listener))
}
