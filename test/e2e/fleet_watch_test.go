package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// unwrap returns the Ethernet frame and the VNI in a frame of the underlay. If f did not come
// through a tunnel, ok is false.
func unwrap(f lab.Frame) (inside lab.Frame, vni uint32, ok bool) {
	p := f.Packet()
	if g, is := p.Layer(layers.LayerTypeGeneve).(*layers.Geneve); is {
		return lab.Frame{Time: f.Time, Outgoing: f.Outgoing, Data: g.Payload}, g.VNI, true
	}
	if v, is := p.Layer(layers.LayerTypeVXLAN).(*layers.VXLAN); is {
		return lab.Frame{Time: f.Time, Outgoing: f.Outgoing, Data: v.Payload}, v.VNI, true
	}
	return lab.Frame{}, 0, false
}

// inTunnel is true for a frame of the underlay that carries a frame that matches.
func inTunnel(match condition) condition {
	return func(f lab.Frame) bool {
		inside, _, ok := unwrap(f)
		return ok && match(inside)
	}
}

// A lookout records the frames that match at all machines and at the links of all hosts.
type lookout struct {
	t        *testing.T
	fleet    *fleet
	machines map[string]*lab.Capture
	links    []*lab.Capture

	probes map[int][]sighting
	read   map[*lab.Capture]int // frames that are in probes
}

// watch returns a lookout that ends with the test.
func (f *fleet) watch(t *testing.T, match condition) *lookout {
	t.Helper()
	l := &lookout{t: t, fleet: f, machines: make(map[string]*lab.Capture), probes: make(map[int][]sighting), read: make(map[*lab.Capture]int)}
	for name, m := range f.machines {
		l.machines[name] = record(t, m, match)
	}
	for _, link := range f.links {
		c, err := link.Capture(match)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		l.links = append(l.links, c)
	}
	return l
}

// A sighting is one frame at one place.
type sighting struct {
	where string // "b11 sent" or "b11 got"; on the underlay, "h1 sent" or "h1 got"
	frame lab.Frame
}

// probeMark begins the payload of a probe. The number of the probe follows.
var probeMark = []byte("ofdvr-probe-")

// probe returns the payload of a probe.
func probe(number int) []byte { return fmt.Appendf(bytes.Clone(probeMark), "%06d", number) }

// isProbe is true for a frame with a probe, even inside a tunnel.
func isProbe(f lab.Frame) bool { return bytes.Contains(f.Data, probeMark) }

// sightings returns the sightings of each probe so far.
func (l *lookout) sightings() map[int][]sighting {
	l.t.Helper()
	add := func(c *lab.Capture, where string, outgoing bool) {
		if err := c.Sync(within(l.t)); err != nil {
			l.t.Fatal(err)
		}
		frames := c.Frames()
		for _, f := range frames[l.read[c]:] {
			var number int
			if _, err := fmt.Sscanf(string(f.Data[bytes.Index(f.Data, probeMark)+len(probeMark):]), "%06d", &number); err != nil {
				l.t.Fatal(err)
			}
			verb := " got"
			if f.Outgoing == outgoing {
				verb = " sent"
			}
			l.probes[number] = append(l.probes[number], sighting{where + verb, f})
		}
		l.read[c] = len(frames)
	}
	for name, c := range l.machines {
		add(c, name, true)
	}
	for i, c := range l.links {
		add(c, fmt.Sprint("h", i+1), false) // recorded at the far end of the link
	}
	return l.probes
}

// close ends the recording.
func (l *lookout) close() {
	for _, c := range l.machines {
		c.Close()
	}
	for _, c := range l.links {
		c.Close()
	}
}

// places returns the sorted places where the frames were seen.
func places(seen []sighting) []string {
	var out []string
	for _, s := range seen {
		out = append(out, s.where)
	}
	slices.Sort(out)
	return out
}

// arrive waits until each probe has arrived at its machine. at has the machine by the probe's
// number.
func (l *lookout) arrive(at map[int]string) {
	l.t.Helper()
	lab.Eventually(l.t, patience, "the probes to arrive", func() error {
		seen := l.sightings()
		for number, name := range at {
			if !slices.Contains(places(seen[number]), name+" got") {
				return fmt.Errorf("probe %d is missing at %s, and was seen at %v", number, name, places(seen[number]))
			}
		}
		return nil
	})
}
