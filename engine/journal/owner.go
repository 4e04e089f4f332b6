package journal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// Owner is the process that makes a draft or applies a run.
type Owner struct {
	Host string
	PID  int
	Boot string // id of the machine's boot; "" where the system tells none
	// Birth is when the process began, in the system's own unit, so that
	// another process with the same number is told apart; "" where unknown.
	Birth string
}

// String names the process in messages.
func (o Owner) String() string { return fmt.Sprintf("process %d on %s", o.PID, o.Host) }

// Gone says whether the process is known to have ended. It is false for a
// process of another host, of which nothing is known.
func (o Owner) Gone() bool {
	here := thisProcess()
	switch {
	case o.Host != here.Host:
		return false
	case o.Boot != here.Boot:
		return true
	case o.PID == here.PID:
		return o.Birth != here.Birth
	case !processExists(o.PID):
		return true
	}
	state, birth := processStat(o.PID)
	// A process whose parent didn't ask for its end yet is still listed.
	return state == "Z" || state == "X" || birth != "" && birth != o.Birth
}

// thisProcess is the owner that this process is.
func thisProcess() Owner {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	pid := os.Getpid()
	_, birth := processStat(pid)
	return Owner{Host: host, PID: pid, Boot: bootID(), Birth: birth}
}

// processExists says whether there is a process with the number.
func processExists(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false // as Windows tells it
	}
	defer p.Release() //nolint:errcheck // nothing depends on it
	if runtime.GOOS == "windows" {
		return true
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, syscall.EPERM)
}

// bootID changes with every start of the machine (Linux; see random(4)).
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// processStat is the state of a process, Z or X once it has ended, and its start
// time in ticks since boot: the 3rd and the 22nd field of /proc/PID/stat (Linux;
// see proc_pid_stat(5)).
func processStat(pid int) (state, birth string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", ""
	}
	// The second field, the name, may hold spaces and parentheses itself.
	_, rest, ok := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", ""
	}
	return fields[0], fields[19]
}
