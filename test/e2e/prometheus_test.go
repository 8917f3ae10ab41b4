package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A prometheus is a real Prometheus that scrapes the daemon of a site.
type prometheus struct{ s *site }

// prometheus starts a Prometheus with ofdvr's rules.
func (s *site) prometheus() prometheus {
	s.t.Helper()
	lab.Needs(s.t, "prometheus")
	rules, err := filepath.Abs("../../contrib/prometheus/ofdvr.rules.yml")
	if err != nil {
		s.t.Fatal(err)
	}
	config, err := s.WriteFile("prometheus.yml", `
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [`+rules+`]
scrape_configs:
  - job_name: ofdvr
    static_configs: [{targets: ["127.0.0.1:9476"]}]
`)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.Start("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(s.Dir(), "prometheus"), "--web.listen-address=127.0.0.1:9090")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("--- prometheus.log\n%s", p.Log())
		}
	})
	return prometheus{s}
}

// ask returns the data of the reply to a request of Prometheus' HTTP API.
func (p prometheus) ask(path string, data any) error {
	req, err := http.NewRequestWithContext(p.s.t.Context(), http.MethodGet, "http://127.0.0.1:9090/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	resp, err := p.s.HTTP().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// query returns a query's values, by the values of some labels.
func (p prometheus) query(expr string, labels ...string) (map[string]float64, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := p.ask("query?query="+url.QueryEscape(expr), &data); err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	out := make(map[string]float64)
	for _, r := range data.Result {
		var key []string
		for _, l := range labels {
			key = append(key, r.Metric[l])
		}
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", expr, err)
		}
		out[strings.Join(key, " ")] += v
	}
	return out, nil
}

// counted sums n_packets and n_bytes of the flows of a role in the output of ovs-ofctl dump-flows.
// The keys are the texts that the first group of re matches.
func counted(dump string, role int, re string) (packets, bytes map[string]float64) {
	packets, bytes = make(map[string]float64), make(map[string]float64)
	find, number := regexp.MustCompile(re), regexp.MustCompile(`n_packets=(\d+), n_bytes=(\d+)`)
	for line := range strings.Lines(dump) {
		m, n := find.FindStringSubmatch(line), number.FindStringSubmatch(line)
		if !strings.Contains(line, fmt.Sprintf("cookie=0xfd%02x", role)) || m == nil || n == nil {
			continue
		}
		p, _ := strconv.ParseFloat(n[1], 64) // of digits
		b, _ := strconv.ParseFloat(n[2], 64)
		packets[m[len(m)-1]] += p
		bytes[m[len(m)-1]] += b
	}
	return packets, bytes
}

// Expressions for the part of a flow that names its interface.
const (
	cameBy = `in_port="pr-([^"]+)"`
	goesTo = `actions=.*output:"pr-([^"]+)"`
)

// Roles in cookies, as in docs/flow-program.md.
const (
	roleARP        = 0x01
	roleTTL        = 0x02
	roleIn         = 0x03
	roleFallback   = 0x04
	roleFromKernel = 0x05
	roleException  = 0x07
	roleNoRoute    = 0x08
	roleDeliver    = 0x09
	roleUnknown    = 0x0a
	roleDrop       = 0x0b
	roleExtra      = 0x0c
	roleEcho       = 0x0e
	roleBlackhole  = 0x14
	roleKernel     = 0x16
)

// A source describes the flows of a role, and the part of a flow that names its object.
type source struct {
	role int
	re   string
}

func of(role int, re string) []source { return []source{{role, re}} }

// comparisons has queries, and the parts of the switch's flows that must have the same values, by
// labels ("none" has no value).
var comparisons = []struct {
	expr   string
	labels []string
	bytes  bool
	flows  []source
}{
	{"ofdvr_interface_received_packets_total", []string{"interface"}, false, of(roleIn, cameBy)},
	{"ofdvr_interface_received_bytes_total", []string{"interface"}, true, of(roleIn, cameBy)},
	{"ofdvr_interface_routed_packets_total", []string{"interface"}, false, append(of(roleDeliver, goesTo), of(roleExtra, goesTo)...)},
	{"ofdvr_interface_routed_bytes_total", []string{"interface"}, true, append(of(roleDeliver, goesTo), of(roleExtra, goesTo)...)},
	{"ofdvr_interface_kernel_packets_total", []string{"interface"}, false, of(roleFromKernel, goesTo)},
	{"ofdvr_interface_kernel_bytes_total", []string{"interface"}, true, of(roleFromKernel, goesTo)},
	{"ofdvr_interface_arp_replies_total", []string{"interface"}, false, of(roleARP, cameBy)},
	{"ofdvr_interface_ttl_expired_packets_total", []string{"interface"}, false, of(roleTTL, cameBy)},
	{`ofdvr_interface_echo_replies_total{interface="r1-blue"}`, []string{"none"}, false, of(roleEcho, `nw_dst=10.0.1.1\b()`)},
	{`ofdvr_interface_fallback_packets_total{reason="ttl"}`, []string{"interface"}, false, of(roleTTL, cameBy)},
	{`ofdvr_interface_fallback_packets_total{reason="no_route"}`, []string{"interface"}, false, of(roleNoRoute, cameBy)},
	{`ofdvr_interface_fallback_packets_total{reason="unknown"}`, []string{"interface"}, false, of(roleUnknown, cameBy)},
	{`ofdvr_interface_fallback_packets_total{reason="other"}`, []string{"interface"}, false, of(roleFallback, cameBy)},
	{`ofdvr_interface_fallback_packets_total{reason="exception"}`, []string{"interface"}, false, append(of(roleException, cameBy), of(roleKernel, cameBy)...)},
	{`ofdvr_router_dropped_packets_total{reason="unmatched"}`, []string{"none"}, false, of(roleDrop, `()drop`)},
	{`ofdvr_router_dropped_packets_total{reason="blackhole"}`, []string{"none"}, false, of(roleBlackhole, `()drop`)},
	{`ofdvr_route_packets_total{action="routed"} > 0`, []string{"destination"}, false, of(roleExtra, `nw_dst=(\S+) `)},
	{`ofdvr_route_packets_total{action="dropped"} > 0`, []string{"destination"}, false, of(roleBlackhole, `nw_dst=(\S+) `)},
	{`ofdvr_port_delivered_packets_total{port="vm1"}`, []string{"none"}, false, of(roleDeliver, `nw_dst=10.0.1.10\b()`)},
	{`ofdvr_port_delivered_bytes_total{port="vm2"}`, []string{"none"}, true, of(roleDeliver, `nw_dst=10.0.2.10\b()`)},
}

// The counters in a real Prometheus equal the counters of the switch's flows. Prometheus can
// answer every query of the dashboard and evaluate every rule.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	s := ready(t, with("ports:", `    routes:
      - {destination: 10.9.0.0/16, nexthop: 10.0.2.10}
      - {destination: 10.8.0.0/16, type: blackhole}
ports:`))
	prom := s.prometheus()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.sh("vm2", "ip addr add 10.9.0.5/32 dev lo")
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 7})
	ping(t, vm2, vm1.IP(), lab.PingOptions{Count: 3, Size: 1000})
	ping(t, vm1, "10.9.0.5", lab.PingOptions{Count: 4})
	ping(t, vm1, "10.0.1.1", lab.PingOptions{Count: 2})
	ping(t, vm1, "10.0.1.1", lab.PingOptions{Size: 2000})
	for _, to := range []string{"10.8.0.1", "203.0.113.1", "10.0.2.77"} {
		unreachable(t, vm1, to)
	}
	if _, err := vm1.Ping(t.Context(), vm2.IP(), lab.PingOptions{TTL: 1, Wait: patience}); !errors.Is(err, lab.ErrNoReply) {
		t.Error(err)
	}
	s.eventually("Prometheus to agree with the switch", func() error {
		dump, err := s.Ofctl(t.Context(), "--names", "dump-flows", bridge)
		if err != nil {
			return err
		}
		var wrong []error
		for _, c := range comparisons {
			got, err := prom.query(c.expr, c.labels...)
			if err != nil {
				return err
			}
			want := make(map[string]float64)
			for _, f := range c.flows {
				packets, bytes := counted(dump, f.role, f.re)
				if c.bytes {
					packets = bytes
				}
				for k, v := range packets {
					want[k] += v
				}
			}
			if !maps.Equal(got, want) {
				wrong = append(wrong, fmt.Errorf("query %s returned %v, but the sums of the flows are %v", c.expr, got, want))
			}
		}
		for expr, least := range map[string]float64{ // the last packets may not be counted yet
			`sum(ofdvr_interface_routed_packets_total)`: 2 * (7 + 3 + 4), `sum(ofdvr_interface_echo_replies_total)`: 2,
			`sum(ofdvr_interface_fallback_packets_total{reason="ttl"})`: 1, `sum(ofdvr_interface_fallback_packets_total{reason="unknown"})`: 1,
			`sum(ofdvr_interface_fallback_packets_total{reason="no_route"})`: 1, `sum(ofdvr_route_packets_total{destination="10.9.0.0/16"})`: 4,
			`sum(ofdvr_router_dropped_packets_total{reason="blackhole"})`: 1, `ofdvr_port_delivered_packets_total{port="vm1"}`: 7 + 3 + 4, `up`: 1, `count(ofdvr_router_counters_age_seconds)`: 1,
		} {
			if got, err := prom.query(expr); err != nil || got[""] < least {
				wrong = append(wrong, fmt.Errorf("query %s returned %v, error %v, want at least %v", expr, got, err, least))
			}
		}
		return errors.Join(wrong...)
	})
	prom.answers(t)
	prom.evaluates(t)
}

// answers fails the test unless Prometheus can answer the dashboard's queries.
func (p prometheus) answers(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("../../contrib/grafana/ofdvr.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	values := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$router", ".*")
	n := 0
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			n++
			if _, err := p.query(values.Replace(target.Expr)); err != nil {
				t.Error(err)
			}
		}
	}
	if n == 0 {
		t.Error("the dashboard has no queries")
	}
}

// evaluates waits until Prometheus has evaluated ofdvr's rules, and fails the test if it
// cannot, or if an alert is firing or pending.
func (p prometheus) evaluates(t *testing.T) {
	t.Helper()
	type rule struct {
		Name, Health, State, LastError string
	}
	p.s.eventually("the rules to be evaluated", func() error {
		var data struct{ Groups []struct{ Rules []rule } }
		if err := p.ask("rules", &data); err != nil {
			return err
		}
		n := 0
		for _, g := range data.Groups {
			n += len(g.Rules)
			if i := slices.IndexFunc(g.Rules, func(r rule) bool { return r.Health != "ok" }); i >= 0 {
				return fmt.Errorf("%+v", g.Rules[i])
			}
			if i := slices.IndexFunc(g.Rules, func(r rule) bool { return r.State != "" && r.State != "inactive" }); i >= 0 {
				return fmt.Errorf("an alert is pending or firing: %+v", g.Rules[i])
			}
		}
		if n == 0 {
			return errors.New("no rule groups")
		}
		return nil
	})
}
