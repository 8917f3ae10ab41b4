package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// An environment is a version of Open vSwitch with a datapath.
type environment struct {
	suite    string // the Debian release that the Open vSwitch is from; "" for this machine's Open vSwitch
	datapath string // netdev or system, as in datapath_type
}

// environments are the columns of the page.
var environments = []environment{
	{"bullseye", "netdev"}, {"bullseye", "system"},
	{"", "netdev"}, {"", "system"},
	{"trixie", "netdev"}, {"trixie", "system"},
	{"forky", "netdev"}, {"forky", "system"},
}

// name returns the name of the environment's file of results.
func (e environment) name() string {
	datapath := "userspace"
	if e.datapath == "system" {
		datapath = "kernel"
	}
	return cmp.Or(e.suite, "machine") + "-" + datapath
}

// run runs all features' tests in the environment. Their output goes to a file in the directory logs.
func (e environment) run(ctx context.Context, logs string) (result, error) {
	root, err := os.Getwd()
	if err != nil {
		return result{}, err
	}
	env := append(os.Environ(), "CGO_ENABLED=0", "OFDVR_BINARY="+filepath.Join(root, "bin/ofdvr"), "OFDVR_LAB_DATAPATH="+e.datapath)
	vswitchd := "ovs-vswitchd"
	if e.suite != "" {
		dir := filepath.Join(root, "bin/openvswitch", e.suite)
		if err := command(ctx, nil, "scripts/openvswitch.sh", e.suite, dir).Run(); err != nil {
			return result{}, err
		}
		vswitchd = filepath.Join(dir, "bin/ovs-vswitchd")
		env = append(env, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "OVS_PKGDATADIR="+filepath.Join(dir, "root/usr/share/openvswitch"))
	}
	version, err := exec.CommandContext(ctx, vswitchd, "--version").Output()
	if err != nil {
		return result{}, fmt.Errorf("ask %s for its version: %w", vswitchd, err)
	}
	line, _, _ := strings.Cut(string(version), "\n")
	release, err := e.release()
	if err != nil {
		return result{}, err
	}
	r := result{
		Name:     e.name(),
		Version:  line[strings.LastIndex(line, " ")+1:],
		Release:  release,
		Datapath: e.datapath,
		Date:     time.Now().UTC().Format(time.DateOnly),
		Tests:    map[string]outcome{},
	}
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return result{}, err
	}
	log, err := os.Create(filepath.Join(logs, r.Name+".log"))
	if err != nil {
		return result{}, err
	}
	defer log.Close()
	fmt.Printf("compat: %s: %d tests on Open vSwitch %s, datapath %s\n", r.Name, len(tests(e.datapath)), r.Version, e.datapath)
	args := []string{"test", "-json", "-count=1", "-timeout=60m", "-run", pattern(tests("system"))}
	if e.datapath == "system" {
		args = append(args, "-tags=kernel", "-exec", filepath.Join(root, "bin/guest")+" -timeout=15m")
	}
	cmd := command(ctx, env, "go", append(args, "./test/e2e")...)
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	readErr := r.read(out, log, os.Stdout)
	waitErr := cmd.Wait() // failed tests are results, not errors
	if readErr != nil {
		return result{}, readErr
	}
	for _, t := range tests(e.datapath) {
		if r.Tests[t].Result == "" {
			return result{}, fmt.Errorf("%s did not run or did not end (%v); what go test printed is in %s", t, waitErr, log.Name())
		}
	}
	return r, nil
}

// release returns the distribution's release that has the environment's Open vSwitch.
func (e environment) release() (string, error) {
	if e.suite != "" {
		return "Debian " + e.suite, nil
	}
	file, err := os.Open("/etc/os-release") // os-release(5)
	if err != nil {
		return "", err
	}
	defer file.Close()
	values := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		values[key] = strings.Trim(value, `"`)
	}
	if values["ID"] == "debian" {
		return "Debian " + values["VERSION_CODENAME"], nil
	}
	return values["PRETTY_NAME"], lines.Err()
}

// command returns a command that writes to this program's output.
func command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}
