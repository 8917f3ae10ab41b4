// Client uses the generated client with a daemon whose API is at the Unix socket that
// its argument names. It prints "ok", or what went wrong.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/ofdvr/ofdvr/test/openapi/client/api"
)

func main() {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", os.Args[1])
	}}
	c, err := api.NewClientWithResponses("http://ofdvr", api.WithHTTPClient(&http.Client{Transport: transport}))
	if err == nil {
		err = use(context.Background(), c)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func of[T any](v T) *T { return &v }

// is returns an error unless an answer has the wanted status, and holds is true.
func is(what string, err error, status, want int, body []byte, holds bool) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case status != want:
		return fmt.Errorf("%s: got status %d, want %d: %s", what, status, want, body)
	case !holds:
		return fmt.Errorf("%s is answered with %s", what, body)
	}
	return nil
}

func use(ctx context.Context, c *api.ClientWithResponses) error {
	network, err := c.PutNetworkWithResponse(ctx, "blue", nil, api.Network{Id: "blue", Vlan: of(int32(1)), Name: of("Office")})
	if err := is("PUT network", err, network.StatusCode(), 201, network.Body, network.JSON201 != nil && network.JSON201.Revision == 1); err != nil {
		return err
	}
	host, err := c.PutHostWithResponse(ctx, "h1", nil, api.Host{Id: "h1", Tunnel: &api.Tunnel{Address: "192.0.2.1"}})
	if err := is("PUT host", err, host.StatusCode(), 201, host.Body, host.JSON201 != nil && (*host.JSON201.Objects)[0].Kind == "host"); err != nil {
		return err
	}
	hosts, err := c.ListHostsWithResponse(ctx, nil)
	if err := is("GET hosts", err, hosts.StatusCode(), 200, hosts.Body, hosts.JSON200 != nil && len(*hosts.JSON200.Items) == 1 && (*hosts.JSON200.Items)[0].Tunnel.Address == "192.0.2.1"); err != nil {
		return err
	}
	router, err := c.PutRouterWithResponse(ctx, "r1", nil, api.Router{Id: "r1", Interfaces: &[]api.Interface{
		{Id: "r1-blue", Network: "blue", Mac: "02:00:00:00:01:01", Addresses: &[]string{"10.0.1.1/24"}}}})
	if err := is("PUT router", err, router.StatusCode(), 201, router.Body, router.JSON201 != nil); err != nil {
		return err
	}
	port := api.Port{Id: "vm/1", Network: "blue", Mac: "02:00:00:00:01:10", Addresses: &[]string{"10.0.1.10"}}
	put, err := c.PutPortWithResponse(ctx, port.Id, nil, port)
	if err := is("PUT port", err, put.StatusCode(), 201, put.Body, put.JSON201 != nil && (*put.JSON201.Objects)[0].Op == "created"); err != nil {
		return err
	}
	pending, err := c.PutPortWithResponse(ctx, port.Id, &api.PutPortParams{Wait: of(api.PutPortParamsWait("applied")), Timeout: of("1ms")},
		api.Port{Id: port.Id, Network: "blue", Mac: "02:00:00:00:01:11"})
	if err := is("PUT port?wait=applied", err, pending.StatusCode(), 202, pending.Body, pending.JSON202 != nil && !*pending.JSON202.Applied && len(*pending.JSON202.Pending) > 0); err != nil {
		return err
	}
	patch, err := c.PatchPortWithApplicationMergePatchPlusJSONBodyWithResponse(ctx, port.Id, nil, map[string]any{
		"name": "web", "labels": map[string]string{"tier": "web"}, "addresses": nil, "mac": port.Mac})
	if err := is("PATCH port", err, patch.StatusCode(), 200, patch.Body, patch.JSON200 != nil); err != nil {
		return err
	}
	list, err := c.ListPortsWithResponse(ctx, &api.ListPortsParams{Labels: of("tier=web,!old")})
	if err := is("GET ports", err, list.StatusCode(), 200, list.Body, list.JSON200 != nil && len(*list.JSON200.Items) == 1 && *(*list.JSON200.Items)[0].Name == "web"); err != nil {
		return err
	}
	got, err := c.GetPortWithResponse(ctx, port.Id, nil)
	if err := is("GET port", err, got.StatusCode(), 200, got.Body, got.JSON200 != nil && got.JSON200.Mac == port.Mac && (*got.JSON200.Labels)["tier"] == "web" && got.JSON200.Addresses == nil); err != nil {
		return err
	}
	tag := got.HTTPResponse.Header.Get("ETag")
	again, err := c.GetPortWithResponse(ctx, port.Id, &api.GetPortParams{IfNoneMatch: &tag})
	if err := is("GET port that the client has", err, again.StatusCode(), 304, again.Body, len(again.Body) == 0); err != nil {
		return err
	}
	stale, err := c.PutPortWithResponse(ctx, port.Id, &api.PutPortParams{IfMatch: of(`"old"`)}, port)
	if err := is("PUT port with an old ETag", err, stale.StatusCode(), 412, stale.Body, stale.ApplicationproblemJSON412 != nil && strings.Contains(stale.ApplicationproblemJSON412.Detail, tag)); err != nil {
		return err
	}
	bad, err := c.PutPortWithResponse(ctx, port.Id, nil, api.Port{Id: port.Id, Network: "blue", Mac: "x"})
	if err := is("PUT port with a mistake", err, bad.StatusCode(), 422, bad.Body, bad.ApplicationproblemJSON422 != nil && *(*bad.ApplicationproblemJSON422.Errors)[0].Pointer == "/mac"); err != nil {
		return err
	}
	route, err := c.PutRouterRouteWithResponse(ctx, "r1", "10.9.0.0/16", nil, api.Route{Destination: "10.9.0.0/16", Nexthop: of("10.0.1.9")})
	if err := is("PUT route", err, route.StatusCode(), 201, route.Body, route.JSON201 != nil); err != nil {
		return err
	}
	face, err := c.GetRouterInterfaceWithResponse(ctx, "r1", "blue", nil)
	if err := is("GET interface", err, face.StatusCode(), 200, face.Body, face.JSON200 != nil && face.JSON200.Id == "r1-blue"); err != nil {
		return err
	}
	status, err := c.GetPortStatusWithResponse(ctx, port.Id)
	if err := is("GET status of port", err, status.StatusCode(), 200, status.Body, status.JSON200 != nil && len(*status.JSON200.Conditions) == 3 && (*status.JSON200.Conditions)[0].Type == "Accepted"); err != nil {
		return err
	}
	all, err := c.StatusWithResponse(ctx)
	if err := is("GET status", err, all.StatusCode(), 200, all.Body, all.JSON200 != nil && all.JSON200.Intent.Ports == 1 && len(*all.JSON200.Intent.Hash) == 64); err != nil {
		return err
	}
	for what, ask := range map[string]func() (status int, body []byte, err error){
		"status": func() (int, []byte, error) {
			r, err := c.AllHostsStatusWithResponse(ctx)
			return r.StatusCode(), r.Body, err
		},
		"examination": func() (int, []byte, error) {
			r, err := c.AllHostsExamineWithResponse(ctx)
			return r.StatusCode(), r.Body, err
		},
		"events": func() (int, []byte, error) {
			r, err := c.AllHostsEventsWithResponse(ctx, &api.AllHostsEventsParams{Limit: of(int64(10))})
			return r.StatusCode(), r.Body, err
		},
	} {
		code, body, err := ask()
		if err := is("GET "+what+" of all hosts, without etcd", err, code, 409, body, strings.Contains(string(body), "--etcd")); err != nil {
			return err
		}
	}
	topology, err := c.GetTopologyWithResponse(ctx, nil)
	if err := is("GET topology", err, topology.StatusCode(), 200, topology.Body, topology.JSON200 != nil && len(*topology.JSON200.Routers) == 1); err != nil {
		return err
	}
	plan, err := c.PlanTopologyWithResponse(ctx, &api.PlanTopologyParams{DryRun: of(true)}, api.Topology{Networks: &[]api.Network{{Id: "red"}}})
	if err := is("POST topology", err, plan.StatusCode(), 200, plan.Body, plan.JSON200 != nil && plan.JSON200.Plan != nil); err != nil {
		return err
	}
	used, err := c.DeleteNetworkWithResponse(ctx, "blue", nil)
	if err := is("DELETE network in use", err, used.StatusCode(), 409, used.Body, used.ApplicationproblemJSON409 != nil && len(*used.ApplicationproblemJSON409.InUseBy) == 2); err != nil {
		return err
	}
	none, err := c.GetRouterWithResponse(ctx, "none", nil)
	if err := is("GET router that does not exist", err, none.StatusCode(), 404, none.Body, none.ApplicationproblemJSON404 != nil); err != nil {
		return err
	}
	gone, err := c.DeletePortWithResponse(ctx, port.Id, nil)
	return is("DELETE port", err, gone.StatusCode(), 200, gone.Body, gone.JSON200 != nil)
}
