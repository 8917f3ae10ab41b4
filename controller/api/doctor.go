package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/doctor"
)

// examineTimeout is the time limit of an examination. It is long because an examination reads
// everything again.
const examineTimeout = time.Minute

func (s *service) registerExamination(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "examine", Method: http.MethodGet, Path: "/v1/examination", Summary: "An examination of the whole installation",
		Tags: []string{"status"}, Errors: []int{503},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body ExaminationDocument }, error) {
		ctx, cancel := context.WithTimeout(ctx, examineTimeout)
		defer cancel()
		findings, err := s.switches.Examine(ctx)
		if err != nil {
			return nil, failure(err)
		}
		out := ExaminationDocument{Findings: []FindingDocument{}}
		for _, f := range findings {
			d := FindingDocument{f.Level.String(), f.About, f.Says, f.Remedy}
			switch f.Level {
			case doctor.Problem:
				out.Problems++
			case doctor.Warning:
				out.Warnings++
			}
			out.Findings = append(out.Findings, d)
		}
		return &struct{ Body ExaminationDocument }{out}, nil
	})
}
