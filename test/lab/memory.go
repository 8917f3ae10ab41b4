package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory returns the resident memory of the process in bytes. now is the current memory, and peak
// is the maximum since the last call of [Process.ForgetPeak] (proc(5), status).
func (p *Process) Memory() (now, peak int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "VmRSS":
			now = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return now, peak, nil
}

// ForgetPeak resets the peak of the process's memory to the current value (proc(5), clear_refs).
func (p *Process) ForgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid), []byte("5"), 0)
}
