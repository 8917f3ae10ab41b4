package etcd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Fleet has the users of etcd. The name of a user is the common name of its certificate.
type Fleet struct {
	Hosts      []string // IDs of hosts
	Writers    []string // users that may write the intent; they may be hosts
	Remove     []string // users that lose the roles of this prefix
	EnableAuth bool     // let etcd check users and roles
}

// A Step is a change that prepares etcd.
type Step struct {
	Text string
	run  func(context.Context) error
}

// Run carries out the step.
func (t Step) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := t.run(ctx); err != nil {
		return fmt.Errorf("%s: %w", t.Text, explained(err))
	}
	return nil
}

// root is the name of etcd's user and role that may do everything.
const root = "root"

// Setup returns the steps that prepare etcd for a fleet, and whether etcd checks users and roles
// already. There are no steps if all is prepared.
func (s *Store) Setup(ctx context.Context, f Fleet) (steps []Step, authenticates bool, err error) {
	for _, name := range slices.Concat(f.Hosts, f.Writers, f.Remove) {
		if name == "" || name == root {
			return nil, false, fmt.Errorf("%q cannot be a host or a writer", name)
		}
	}
	p := setup{Store: s}
	if err := p.read(ctx); err != nil {
		return nil, false, fmt.Errorf("read users and roles of %s: %w", s.Name(), explained(err))
	}
	if f.EnableAuth && !p.authenticates {
		if err := p.mayEnable(); err != nil {
			return nil, false, fmt.Errorf("authentication is not enabled: %w", err)
		}
	}
	if err := p.keys(ctx); err != nil {
		return nil, false, err
	}
	p.role(s.readers(), grant{clientv3.PermissionType(clientv3.PermRead), s.cfg.Prefix, clientv3.GetPrefixRangeEnd(s.cfg.Prefix)})
	p.role(s.writers(), s.grants(writerKeys...)...)
	for _, h := range f.Hosts {
		p.role(s.hostRole(h), s.grants(hostKeys(h)...)...)
		p.user(h, s.readers(), s.hostRole(h))
	}
	for _, w := range f.Writers {
		p.user(w, s.readers(), s.writers())
	}
	for _, name := range f.Remove {
		p.remove(name)
	}
	if f.EnableAuth && !p.authenticates {
		p.user(root, root)
		p.add("enable authentication", s.enable)
	}
	return p.steps, p.authenticates, nil
}

// Roles. Their names begin with the prefix, so that fleets with different prefixes have different
// roles.
func (s *Store) readers() string             { return s.cfg.Prefix + "reader" }
func (s *Store) writers() string             { return s.cfg.Prefix + "writer" }
func (s *Store) hostRole(host string) string { return s.cfg.Prefix + hostDir + url.PathEscape(host) }

// writerKeys are the keys of the intent, and those of questions to hosts. A directory ends with a
// slash.
var writerKeys = []string{metaKey, layoutKey, importKey, hostDir, networkDir, routerDir, portDir, ownDir, syncKey, syncKey + "/", askKey, askKey + "/"}

// hostKeys returns the keys that only the given host writes.
func hostKeys(host string) []string {
	id := url.PathEscape(host)
	return []string{hostDir + id, aliveDir + id, ackDir + id, onDir + id + "/", saidDir + id + "/"}
}

// A grant is a permission for the keys from key to end. An end of "" means only key.
type grant struct {
	kind     clientv3.PermissionType
	key, end string
}

// grants returns the permissions to write keys and directories below the prefix.
func (s *Store) grants(keys ...string) (all []grant) {
	for _, k := range keys {
		g := grant{kind: clientv3.PermissionType(clientv3.PermWrite), key: s.cfg.Prefix + k}
		if strings.HasSuffix(k, "/") {
			g.end = clientv3.GetPrefixRangeEnd(g.key)
		}
		all = append(all, g)
	}
	return all
}

// setup collects steps.
type setup struct {
	*Store
	authenticates bool
	roles         map[string][]grant  // permissions of each role that exists
	users         map[string][]string // roles of each user that exists
	steps         []Step
}

func (p *setup) add(text string, run func(context.Context) error) {
	p.steps = append(p.steps, Step{text, run})
}

// read reads the users and roles that exist.
func (p *setup) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*requestTimeout)
	defer cancel()
	p.roles, p.users = make(map[string][]grant), make(map[string][]string)
	status, err := p.client.AuthStatus(ctx)
	if err != nil {
		return err
	}
	p.authenticates = status.Enabled
	roles, err := p.client.RoleList(ctx)
	if err != nil {
		return err
	}
	for _, name := range roles.Roles {
		p.roles[name] = nil
		if !strings.HasPrefix(name, p.cfg.Prefix) {
			continue
		}
		role, err := p.client.RoleGet(ctx, name)
		if err != nil {
			return err
		}
		for _, g := range role.Perm {
			p.roles[name] = append(p.roles[name], grant{clientv3.PermissionType(g.PermType), string(g.Key), string(g.RangeEnd)})
		}
	}
	users, err := p.client.UserList(ctx)
	if err != nil {
		return err
	}
	for _, name := range users.Users {
		user, err := p.client.UserGet(ctx, name)
		if err != nil {
			return err
		}
		p.users[name] = user.Roles
	}
	return nil
}

// keys adds the steps for the keys meta and cluster.
func (p *setup) keys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := p.client.Get(ctx, p.cfg.Prefix+metaKey)
	if err != nil {
		return explained(err)
	}
	if len(resp.Kvs) > 0 {
		if _, err := parseMeta(resp.Kvs[0].Value); err != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
	} else {
		m, _ := json.Marshal(meta{Schema: schema}) // cannot fail
		p.create(metaKey, string(m), fmt.Sprintf("create the key %s%s: schema version %d", p.cfg.Prefix, metaKey, schema))
	}
	if resp, err = p.client.Get(ctx, p.cfg.Prefix+clusterKey); err != nil {
		return explained(err)
	}
	if len(resp.Kvs) == 0 {
		id := make([]byte, 16)
		rand.Read(id) // never fails
		p.create(clusterKey, hex.EncodeToString(id), fmt.Sprintf("create the key %s%s: a new cluster ID", p.cfg.Prefix, clusterKey))
	}
	return nil
}

// create adds the step that creates a key, unless it exists.
func (p *setup) create(key, value, text string) {
	key = p.cfg.Prefix + key
	p.add(text, func(ctx context.Context) error {
		_, err := p.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(clientv3.OpPut(key, value)).Commit()
		return err
	})
}

// role adds the steps after which a role exists with exactly these permissions.
func (p *setup) role(name string, want ...grant) {
	have, exists := p.roles[name]
	if !exists {
		p.add("add role "+name, ignoring(rpctypes.ErrRoleAlreadyExist, func(ctx context.Context) error {
			_, err := p.client.RoleAdd(ctx, name)
			return err
		}))
	}
	p.roles[name] = want
	for _, g := range have {
		if !slices.Contains(want, g) {
			p.add(fmt.Sprintf("revoke from role %s: %s", name, g), func(ctx context.Context) error {
				_, err := p.client.RoleRevokePermission(ctx, name, g.key, g.end)
				return err
			})
		}
	}
	for _, g := range want {
		if !slices.Contains(have, g) {
			p.add(fmt.Sprintf("grant to role %s: %s", name, g), func(ctx context.Context) error {
				_, err := p.client.RoleGrantPermission(ctx, name, g.key, g.end, g.kind)
				return err
			})
		}
	}
}

func (g grant) String() string {
	text := "read "
	if g.kind == clientv3.PermissionType(clientv3.PermWrite) {
		text = "write "
	}
	if g.end != "" {
		return text + g.key + "*"
	}
	return text + g.key
}

// user adds the steps after which a user exists and has roles.
func (p *setup) user(name string, roles ...string) {
	have, exists := p.users[name]
	if !exists {
		p.add(fmt.Sprintf("add user %s, without a password", name), ignoring(rpctypes.ErrUserAlreadyExist, func(ctx context.Context) error {
			_, err := p.client.UserAddWithOptions(ctx, name, "", &clientv3.UserAddOptions{NoPassword: true})
			return err
		}))
	}
	for _, role := range roles {
		if !slices.Contains(have, role) {
			have = append(have, role)
			p.add(fmt.Sprintf("grant to user %s: role %s", name, role), func(ctx context.Context) error {
				_, err := p.client.UserGrantRole(ctx, name, role)
				return err
			})
		}
	}
	p.users[name] = have
}

// remove adds the steps after which a user has no roles of this prefix. A user without other roles is
// deleted.
func (p *setup) remove(name string) {
	have, exists := p.users[name]
	ours := func(role string) bool { return strings.HasPrefix(role, p.cfg.Prefix) }
	switch {
	case !exists:
	case !slices.ContainsFunc(have, func(role string) bool { return !ours(role) }):
		p.add("delete user "+name, ignoring(rpctypes.ErrUserNotFound, func(ctx context.Context) error {
			_, err := p.client.UserDelete(ctx, name)
			return err
		}))
	default:
		for _, role := range have {
			if ours(role) {
				p.add(fmt.Sprintf("revoke from user %s: role %s", name, role), func(ctx context.Context) error {
					_, err := p.client.UserRevokeRole(ctx, name, role)
					return err
				})
			}
		}
	}
	if role := p.hostRole(name); p.roles[role] != nil {
		p.add("delete role "+role, ignoring(rpctypes.ErrRoleNotFound, func(ctx context.Context) error {
			_, err := p.client.RoleDelete(ctx, role)
			return err
		}))
	}
}

// ignoring returns run without the error that the change was made by an earlier attempt.
func ignoring(done error, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := run(ctx); !errors.Is(err, done) {
			return err
		}
		return nil
	}
}

// mayEnable returns an error if this program could not administer etcd with authentication.
func (p *setup) mayEnable() error {
	for _, e := range p.cfg.Endpoints {
		if !strings.HasPrefix(e, "https:") {
			return fmt.Errorf("the server %s has no TLS, so it cannot know its clients by their certificates", e)
		}
	}
	name, err := p.identity()
	if err != nil {
		return err
	}
	if name != root {
		return fmt.Errorf("afterwards only the user %s may administer etcd, so use a certificate with the common name %s. This one has %q", root, root, name)
	}
	return nil
}
