// Package neutron runs a real Neutron on hosts of the lab: its server with a message queue, and on
// each host its unmodified L2 and L3 agents. The L3 agent has ofdvr's extension. Programs and
// configuration are Debian's.
package neutron

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A Cloud is a Neutron server with the objects that it manages.
type Cloud struct {
	host  *lab.Host
	addr  string // address on which the server and the queue listen
	tools string // directory of ofdvr's extension
}

// patience is the time limit for a part of Neutron to start or to process a change. On a busy
// machine a round of the L2 agent after a restart of ovs-vswitchd takes minutes.
const patience = 4 * time.Minute

// Start starts the queue and the server on a host, at one of its addresses. tools
// is the directory of ofdvr's extension, contrib/neutron.
func Start(ctx context.Context, h *lab.Host, addr, tools string) (*Cloud, error) {
	// Like an installed extension, it has the metadata by which the agent finds the entry
	// point.
	c := &Cloud{host: h, addr: addr, tools: filepath.Join(h.Dir(), "extension")}
	if err := os.CopyFS(c.tools, os.DirFS(tools)); err != nil {
		return nil, err
	}
	if out, err := h.Run(ctx, "sh", "-ec", `cd "$1" && exec /usr/bin/python3 setup.py -q egg_info`, "sh", c.tools); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	for _, part := range []func(context.Context) error{c.queue, c.database, c.server} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// queue starts RabbitMQ.
func (c *Cloud) queue(ctx context.Context) error {
	dir := filepath.Join(c.host.Dir(), "rabbitmq")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := c.host.WriteFile("rabbitmq/plugins", "[].\n"); err != nil {
		return err
	}
	// Debian's wrapper script changes the user and runs this program.
	_, err := c.host.Start("env", "HOME="+dir, "RABBITMQ_NODENAME=rabbit@localhost", "RABBITMQ_NODE_IP_ADDRESS="+c.addr,
		"RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir, "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+dir+"/plugins", "RABBITMQ_LOOPBACK_USERS=",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-rabbit loopback_users []",
		"/usr/lib/rabbitmq/bin/rabbitmq-server")
	if err != nil {
		return err
	}
	return c.await(ctx, "RabbitMQ to listen", func() error {
		conn, err := c.host.Dial(ctx, "tcp", c.addr+":5672")
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// database starts MariaDB with Neutron's tables. It makes the tables of the current version
// directly, because running all migrations takes a minute.
func (c *Cloud) database(ctx context.Context) error {
	dir := filepath.Join(c.host.Dir(), "mariadb")
	if _, err := c.host.Run(ctx, "mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir="+dir); err != nil {
		return fmt.Errorf("make a database: %w", err)
	}
	if _, err := c.host.Start("mariadbd", "--no-defaults", "--user=root", "--datadir="+dir, "--socket="+c.socket(), "--skip-networking", "--innodb-flush-log-at-trx-commit=0"); err != nil {
		return err
	}
	if err := c.await(ctx, "MariaDB to answer", func() error {
		_, err := c.host.Run(ctx, "mariadb", "--no-defaults", "--socket="+c.socket(), "-e", "CREATE DATABASE IF NOT EXISTS neutron CHARACTER SET utf8")
		return err
	}); err != nil {
		return err
	}
	if _, err := c.host.Run(ctx, "/usr/bin/python3", "-c", makeTables, c.url()); err != nil {
		return fmt.Errorf("make Neutron's tables: %w", err)
	}
	return nil
}

func (c *Cloud) socket() string { return filepath.Join(c.host.Dir(), "mariadb.sock") }

func (c *Cloud) url() string {
	return "mysql+pymysql://root@localhost/neutron?unix_socket=" + c.socket()
}

const makeTables = `
import sys
import sqlalchemy
from neutron.db.migration.models import head
head.get_metadata().create_all(sqlalchemy.create_engine(sys.argv[1]))
`

// server starts neutron-server.
func (c *Cloud) server(ctx context.Context) error {
	files, err := c.write(c.host, "server", map[string]string{"Name": "controller"})
	if err != nil {
		return err
	}
	if _, err := c.host.Start("neutron-server", files...); err != nil {
		return err
	}
	return c.await(ctx, "neutron-server to answer", func() error { return c.Do(ctx, "GET", "/networks", nil, nil) })
}

// await waits for a condition. Its error names the missing part.
func (c *Cloud) await(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return lab.Await(ctx, what, f)
}

// configs are the configuration files of each program.
var configs = map[string][]string{
	"server": {"neutron.conf", "ml2.ini"},
	"l2":     {"neutron.conf", "agent.ini"},
	"l3":     {"neutron.conf", "agent.ini", "l3.ini"},
}

// write writes the files of a program on a host, and returns the arguments that name
// them.
func (c *Cloud) write(h *lab.Host, program string, more map[string]string) ([]string, error) {
	values := map[string]string{"Dir": h.Dir(), "Server": c.addr, "Database": c.url()}
	for k, v := range more {
		values[k] = v
	}
	var args []string
	for _, name := range configs[program] {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, name, values); err != nil {
			return nil, err
		}
		path, err := h.WriteFile(program+"-"+name, b.String())
		if err != nil {
			return nil, err
		}
		args = append(args, "--config-file", path)
	}
	return args, nil
}

// Agents are the agents of one host.
type Agents struct {
	L2, L3 *lab.Process
	cloud  *Cloud
	host   *lab.Host
	values map[string]string
}

// Options configure a host's agents.
type Options struct {
	Name      string // name of the host in Neutron
	Address   string // address of its end of the tunnels
	Extension bool   // the L3 agent has ofdvr's extension
}

// Agents starts the L2 and the L3 agent on a host.
func (c *Cloud) Agents(h *lab.Host, o Options) (*Agents, error) {
	a := &Agents{cloud: c, host: h, values: map[string]string{"Name": o.Name, "Address": o.Address}}
	a.Extension(o.Extension)
	if err := a.StartL2(); err != nil {
		return nil, err
	}
	return a, a.StartL3()
}

// Extension sets whether the L3 agent loads ofdvr's extension at its next start.
func (a *Agents) Extension(on bool) {
	a.values["Extensions"] = ""
	if on {
		a.values["Extensions"] = "ofdvr"
	}
}

// StartL2 starts the L2 agent.
func (a *Agents) StartL2() (err error) {
	args, err := a.cloud.write(a.host, "l2", a.values)
	if err == nil {
		a.L2, err = a.host.Start("neutron-openvswitch-agent", args...)
	}
	return err
}

// StartL3 starts the L3 agent, which finds ofdvr's extension like an installed one.
func (a *Agents) StartL3() (err error) {
	args, err := a.cloud.write(a.host, "l3", a.values)
	if err == nil {
		a.L3, err = a.host.Start("env", append([]string{"PYTHONPATH=" + a.cloud.tools, "/usr/bin/neutron-l3-agent"}, args...)...)
	}
	return err
}

// Do sends a request to Neutron's REST API, and decodes the reply into out unless it is nil.
func (c *Cloud) Do(ctx context.Context, method, path string, body, out any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+":9696/v2.0"+path, r)
	if err != nil {
		return err
	}
	for key, v := range map[string]string{"Content-Type": "application/json", "X-Project-Id": "p1", "X-Tenant-Id": "p1", "X-User-Id": "u1", "X-Roles": "admin"} {
		req.Header.Set(key, v)
	}
	resp, err := c.host.HTTP().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

var templates = template.Must(template.New("").Parse(`
{{define "neutron.conf"}}[DEFAULT]
host = {{.Name}}
debug = True
auth_strategy = noauth
core_plugin = ml2
service_plugins = router
router_distributed = True
transport_url = rabbit://guest:guest@{{.Server}}:5672/
bind_host = {{.Server}}
bind_port = 9696
api_workers = 0
rpc_workers = 1
rpc_state_report_workers = 0
state_path = {{.Dir}}/state
notify_nova_on_port_status_changes = False
notify_nova_on_port_data_changes = False
agent_down_time = 30
[agent]
report_interval = 2
root_helper = env
[database]
connection = {{.Database}}
max_retries = -1
[oslo_concurrency]
lock_path = {{.Dir}}/lock
{{end}}
{{define "ml2.ini"}}[ml2]
type_drivers = vxlan,flat
tenant_network_types = vxlan
mechanism_drivers = openvswitch,l2population
extension_drivers = port_security
[ml2_type_vxlan]
vni_ranges = 1:1000
[ml2_type_flat]
flat_networks = public
{{end}}
{{define "agent.ini"}}[ovs]
integration_bridge = br-int
local_ip = {{.Address}}
bridge_mappings = public:br-ex
datapath_type = netdev
[agent]
tunnel_types = vxlan
l2_population = True
enable_distributed_routing = True
[securitygroup]
firewall_driver = openvswitch
{{end}}
{{define "l3.ini"}}[DEFAULT]
interface_driver = openvswitch
agent_mode = dvr
[agent]
extensions = {{.Extensions}}
{{end}}`))

// AwaitAgents waits until the server shows the given number of agents as alive. Each must have
// reported after the call.
func (c *Cloud) AwaitAgents(ctx context.Context, want int) error {
	list := func() (map[string]string, error) {
		var out struct {
			Agents []struct {
				ID        string
				Alive     bool
				Heartbeat string `json:"heartbeat_timestamp"`
				Started   string `json:"started_at"`
			}
		}
		err := c.Do(ctx, "GET", "/agents", nil, &out)
		alive := make(map[string]string)
		for _, a := range out.Agents {
			if a.Alive {
				alive[a.ID] = a.Heartbeat
			}
		}
		return alive, err
	}
	before, err := list()
	if err != nil {
		return err
	}
	return c.await(ctx, "Neutron's agents to report", func() error {
		now, err := list()
		if err != nil {
			return err
		}
		n := 0
		for id, beat := range now {
			if before[id] != beat {
				n++
			}
		}
		if n < want {
			return fmt.Errorf("%d of %d have", n, want)
		}
		return nil
	})
}
