package lab

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Wire connects two hosts by a cable. Each host has an interface called name, which is up and
// has checksum offload off.
func (h *Host) Wire(ctx context.Context, other *Host, name string) error {
	out, err := exec.CommandContext(ctx, "ip", "link", "add", "name", name, "netns", h.pid, "type", "veth", "peer", "name", name, "netns", other.pid).CombinedOutput()
	if err != nil {
		return fmt.Errorf("wire two hosts: %w: %s", err, strings.TrimSpace(string(out)))
	}
	for _, end := range []*Host{h, other} {
		if _, err := end.Run(ctx, "sh", "-ec", `ip link set dev "$1" up && ethtool -K "$1" tx off >/dev/null`, "sh", name); err != nil {
			return fmt.Errorf("wire two hosts: %w", err)
		}
	}
	return nil
}
