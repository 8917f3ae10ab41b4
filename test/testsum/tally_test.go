package main

import (
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		events                  string // as go test -json prints them
		passed, failed, skipped int
		shows                   []string
		hides                   []string
		why                     string // what is repeated at the end
	}{
		{
			name: "a package that passes",
			events: `
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestQuick"}
{"Action":"output","Package":"p","Test":"TestQuick","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestQuick","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestSlow"}
{"Action":"run","Package":"p","Test":"TestSlow/part"}
{"Action":"pass","Package":"p","Test":"TestSlow/part","Elapsed":3}
{"Action":"pass","Package":"p","Test":"TestSlow","Elapsed":3}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"pass","Package":"p","Elapsed":3.1}`,
			passed: 3,
			shows:  []string{"  pass TestSlow (3.0s)\n", "ok   p (3.1s): 3 passed, 0 failed\n"},
			hides:  []string{"chatter", "TestQuick", "part", "PASS"},
		},
		{
			name: "a failure in a subtest, told in full",
			events: `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"before\n"}
{"Action":"run","Package":"p","Test":"TestA/sub"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    a_test.go:3: wrong\n"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"        in two lines\n"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    testing.go:44: the host:\n"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"        x.go:3: its log\n"}
{"Action":"fail","Package":"p","Test":"TestA/sub","Elapsed":0}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"fail","Package":"p","Elapsed":0.1}`,
			failed: 2,
			shows:  []string{"FAIL TestA (0.0s)\nbefore\n    a_test.go:3: wrong\n", "FAIL p (0.1s): 0 passed, 2 failed\n"},
			why:    "FAIL p TestA\n    a_test.go:3: wrong\n    in two lines",
		},
		{
			name: "a skip, with its reason",
			events: `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: needs the lab: no root\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":0.1}`,
			skipped: 1,
			shows:   []string{"  skip TestA: needs the lab: no root\n", "1 skipped"},
		},
		{
			name: "a package that does not build",
			events: `
{"Action":"build-output","ImportPath":"p","Output":"./p.go:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p"}`,
			failed: 1,
			shows:  []string{"./p.go:1: syntax error\n", "[build failed]"},
			why:    "FAIL p",
		},
		{
			name: "a crash",
			events: `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestB/sub"}
{"Action":"output","Package":"p","Test":"TestB/sub","Output":"panic: oh\n"}
{"Action":"fail","Package":"p","Elapsed":0.1}`,
			passed: 1, failed: 2,
			shows: []string{"FAIL TestB (did not end)\npanic: oh\n"},
			why:   "FAIL p TestB (did not end)\n    panic: oh",
		},
		{
			name:   "go test that ends early",
			events: `{"Action":"run","Package":"p","Test":"TestA"}`,
			failed: 1,
			shows:  []string{"FAIL p"},
			why:    "FAIL p TestA (did not end)",
		},
		{
			name: "a package without tests",
			events: `
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}
{"Action":"skip","Package":"p","Elapsed":0}`,
			hides: []string{"p"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			tl := newTally(&out)
			if err := read(strings.NewReader(tt.events), tl); err != nil {
				t.Fatal(err)
			}
			tl.finish()
			if tl.passed != tt.passed || tl.failed != tt.failed || tl.skipped != tt.skipped {
				t.Errorf("%d passed, %d failed, %d skipped; want %d, %d, %d",
					tl.passed, tl.failed, tl.skipped, tt.passed, tt.failed, tt.skipped)
			}
			if why := strings.Join(tl.why, "\n"); why != tt.why {
				t.Errorf("at the end: %s\nwant %s", why, tt.why)
			}
			for _, s := range tt.shows {
				if !strings.Contains(out.String(), s) {
					t.Errorf("output lacks %q:\n%s", s, &out)
				}
			}
			for _, s := range tt.hides {
				if strings.Contains(out.String(), s) {
					t.Errorf("output has %q:\n%s", s, &out)
				}
			}
		})
	}
}
