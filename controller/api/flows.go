package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller"
)

func (s *service) registerFlows(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-flows", Method: http.MethodGet, Path: "/v1/routers/{id}/flows", Summary: "The flows of a router's bridge, with their purpose",
		Tags: []string{"status"}, Errors: []int{404, 409, 503},
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Flows](), true, "Flows")}}}},
	}, s.flows)
}

// flows streams the flows, because a switch may have hundreds of thousands.
func (s *service) flows(ctx context.Context, in *struct {
	ID string `path:"id"`
}) (*huma.StreamResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	flows, err := s.switches.Flows(ctx, in.ID)
	if err != nil {
		return nil, failure(err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		w := bufio.NewWriter(ctx.BodyWriter())
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		w.WriteString(`{"flows":[`)
		first := true
		for f := range flows {
			if !first {
				w.WriteByte(',')
			}
			if first = false; enc.Encode(flowDocument(&f)) != nil {
				return // the client has disconnected
			}
		}
		w.WriteString("]}\n")
		w.Flush() // an error here means that the client has disconnected
	}}, nil
}

func flowDocument(f *controller.Flow) FlowDocument {
	d := FlowDocument{Table: uint8(f.Table), Priority: f.Priority, Packets: f.Packets, Bytes: f.Bytes,
		Age: float64(f.Seconds) + float64(f.Nanoseconds)/1e9, Does: f.Does, Flow: f.Text}
	if f.Object != nil {
		d.Kind, d.ID = f.Object.Kind.String(), f.Object.ID
	}
	return d
}
