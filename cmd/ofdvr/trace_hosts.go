package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/ofdvr/ofdvr/controller/api"
)

// printArrival prints the part of a path on the host to which the packet comes by a tunnel.
func printArrival(w io.Writer, from string, a *api.ArrivalDocument, names *namer) {
	fmt.Fprintf(w, "  on host %s, to which it comes by a tunnel from host %s:\n", a.Host, from)
	if a.NoAnswer != "" {
		fmt.Fprintf(w, "  Host %s has not answered, so its part of the path is not known: %s.\n", a.Host, names.text(a.NoAnswer))
		return
	}
	rows := []table.Row{{"  BRIDGE", "TABLE", "PRIORITY", "PACKETS", "WHAT THE FLOW DOES"}}
	for i := range a.Steps {
		s := &a.Steps[i]
		rows = append(rows, table.Row{"  " + s.Bridge, s.Table, s.Priority, packetsText(&s.StepDocument, false), names.text(s.Does)})
	}
	if len(rows) > 1 {
		printTable(w, rows)
	}
	fmt.Fprintf(w, "  %s\n", upperFirst(names.text(a.Says)))
	printVerification(w, &a.VerificationDocument, names)
}

// packetsText returns the packets that have hit a flow. assumed means that the switch is not known.
func packetsText(s *api.StepDocument, assumed bool) string {
	switch {
	case s.Held:
		return strconv.FormatUint(s.Packets, 10)
	case assumed:
		return "?"
	}
	return "missing"
}

func printVerification(w io.Writer, v *api.VerificationDocument, names *namer) {
	if v.Verified && v.Disagrees == "" {
		fmt.Fprintf(w, "  Open vSwitch gives the same result%s.\n", betweenText(v))
	}
	if v.Remark != "" {
		fmt.Fprintf(w, "  %s.\n", upperFirst(names.text(v.Remark)))
	}
}

// disagreement returns an error if a part of a path differs from Open vSwitch's trace, or was not
// compared because its host has not answered.
func disagreement(d *api.TraceDocument) error {
	for i := range d.Paths {
		p := &d.Paths[i]
		about := fmt.Sprintf("from %s to %s", endText(p.From), endText(p.To))
		switch {
		case p.Disagrees != "":
			return fmt.Errorf("%s the result of Open vSwitch differs: %s", about, p.Disagrees)
		case p.NoAnswer != "":
			return fmt.Errorf("%s the result was not compared with Open vSwitch: host %s has not answered: %s", about, p.Host, p.NoAnswer)
		}
		for k := range p.Arrivals {
			a := &p.Arrivals[k]
			switch {
			case a.NoAnswer != "":
				return fmt.Errorf("%s the result was not compared with Open vSwitch: host %s has not answered: %s", about, a.Host, a.NoAnswer)
			case a.Disagrees != "":
				return fmt.Errorf("%s the result of Open vSwitch on host %s differs: %s", about, a.Host, a.Disagrees)
			}
		}
	}
	return nil
}
