package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/history"
)

type historyInput struct {
	Router string `query:"router" doc:"Return the interfaces of this router, instead of the busiest routers"`
	Limit  int    `query:"limit" default:"20" minimum:"0" maximum:"100" doc:"Number of the busiest routers to return"`
}

func (s *service) registerHistory(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "history", Method: http.MethodGet, Path: "/v1/history", Summary: "The rates of the last 15 minutes",
		Description: "The daemon reads the counters every 15 seconds and keeps the rates of 10,000 interfaces in memory. A restart of the daemon clears them.",
		Tags:        []string{"status"}, Errors: []int{422},
	}, func(_ context.Context, in *historyInput) (*struct{ Body HistoryDocument }, error) {
		if in.Router != "" {
			return &struct{ Body HistoryDocument }{historyDocument(s.switches.Of(in.Router))}, nil
		}
		return &struct{ Body HistoryDocument }{historyDocument(s.switches.Busiest(in.Limit))}, nil
	})
}

func historyDocument(w history.Window) HistoryDocument {
	out := HistoryDocument{At: w.At, Interval: history.Interval / time.Second, Left: w.Left, Total: seriesDocument(w.Total), Routers: []SeriesDocument{}, Interfaces: []SeriesDocument{}}
	for _, s := range w.Routers {
		out.Routers = append(out.Routers, seriesDocument(s))
	}
	for _, s := range w.Interfaces {
		out.Interfaces = append(out.Interfaces, seriesDocument(s))
	}
	return out
}

func seriesDocument(s history.Series) SeriesDocument {
	return SeriesDocument{Router: s.Router, Interface: s.Interface, In: rounded(s.In, 1), Out: rounded(s.Out, 1), Kernel: rounded(s.Kernel, 10)}
}

// rounded rounds rates to multiples of 1/parts, and replaces unknown rates by -1.
func rounded(rates []float64, parts float64) []float64 {
	out := make([]float64, len(rates))
	for i, r := range rates {
		out[i] = -1
		if !math.IsNaN(r) {
			out[i] = math.Round(r*parts) / parts
		}
	}
	return out
}
