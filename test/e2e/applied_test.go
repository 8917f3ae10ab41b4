package e2e

import (
	"fmt"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// When a write is answered as applied, the taps of its routers are in their namespaces and have their
// addresses. This holds for a new router and for an interface that is added later.
func TestAppliedMeansTapsAreInPlace(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	const wait = "?wait=applied&timeout=60s"
	s.must(201, "PUT", "/v1/networks/blue"+wait, `{"vlan": 1}`)
	s.must(201, "PUT", "/v1/networks/green"+wait, `{"vlan": 2}`)
	const leg = `{"id": "r%[1]d-%[2]s", "network": "%[2]s", "mac": "02:00:00:00:%02[3]x:%02[1]x", "addresses": ["10.%[1]d.%[3]d.1/24"]}`
	for i := 1; i <= 5; i++ {
		router := fmt.Sprintf("/v1/routers/r%d%s", i, wait)
		blue, green := fmt.Sprintf(leg, i, "blue", 1), fmt.Sprintf(leg, i, "green", 2)
		s.must(201, "PUT", router, `{"interfaces": [`+blue+`]}`)
		for n, name := range []string{"blue", "green"} {
			if name == "green" {
				s.must(200, "PUT", router, `{"interfaces": [`+blue+`,`+green+`]}`)
			}
			got := lab.Run(t, s, "ip", "-n", fmt.Sprint("qrouter-r", i), "-4", "-brief", "address", "show", "dev", fmt.Sprintf("qr-r%d-%s", i, name))
			mustHave(t, got, fmt.Sprintf(" 10.%d.%d.1/24", i, n+1))
		}
	}
}
