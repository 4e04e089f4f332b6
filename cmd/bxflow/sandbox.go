package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// sandboxFlags are the flags of the sandbox that are not its own options.
type sandboxFlags struct {
	addr        string
	allowRemote bool
	costs       []string
	cert, key   string
}

func newSandboxCommand(a *app) *cobra.Command {
	var flags sandboxFlags
	options := sandbox.Defaults()
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve a local portal to try jobs on",
		Long: `Serve a local portal with the real one's methods, quirks, limits and failures.
The first line of standard output is its webhook URL; it serves until a signal.
What it has seen is at /_sandbox/stats, what it holds at /_sandbox/dump.
POST /_sandbox/authorize authorises its application and answers the credentials
and tokens, which are renewed at /oauth/token/; POST /_sandbox/expire lets access
tokens expire.`,
		Example: `  bxflow sandbox --seed demo,contacts=1000 --data portal.data
  bxflow sandbox --fault drop-after:p=0.05,seed=1 --latency 150ms`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			costs, err := parseCosts(flags.costs)
			if err != nil {
				return err
			}
			options.Cost = costs
			return a.serveSandbox(c.Context(), flags, options)
		},
	}
	f := c.Flags()
	f.StringVar(&flags.addr, "addr", "127.0.0.1:0", "`address` to listen on; port 0 takes a free one")
	f.BoolVar(&flags.allowRemote, "allow-remote", false, "serve other machines too")
	f.StringVar(&options.DataFile, "data", "", "`file` that keeps the contents; without it they are in memory")
	f.StringVar(&options.Seed, "seed", options.Seed, "what it holds at first: demo, empty, or demo,contacts=N,items=N; with names=pt stages, lists and options have Portuguese names")
	f.Float64Var(&options.Rate, "rate", options.Rate, "requests a second; 0: no bucket")
	f.IntVar(&options.Burst, "burst", options.Burst, "requests at once")
	f.StringVar(&options.Drain, "drain", options.Drain, "how the bucket drains: continuous, or step, once a second")
	f.DurationVar(&options.OperatingLimit, "operating-limit", options.OperatingLimit, "execution time of a method in the window; 0: none")
	f.DurationVar(&options.OperatingWindow, "operating-window", options.OperatingWindow, "the window of the execution time")
	f.StringVar(&options.Charge, "charge", options.Charge, "what pays for a batch's execution time: nested, its commands, or batch itself")
	f.DurationVar(&options.Latency, "latency", 0, "added to every request")
	f.StringArrayVar(&flags.costs, "cost", nil, "`METHOD=DURATION` that a command takes; * for all; may be repeated")
	f.DurationVar(&options.RequestLimit, "request-limit", options.RequestLimit, "how long a request may run")
	f.StringArrayVar(&options.Faults, "fault", nil, "`KIND[:KEY=VALUE,…]`: drop-before, drop-after, error-500, html-502, truncate, slow, late, lag, limit-503, limit-429, expired, moved; may be repeated")
	f.StringSliceVar(&options.Scopes, "scopes", nil, "what the webhook and the application were given, such as crm,user; everything without it")
	f.DurationVar(&options.Ahead, "clock", 0, "how far the portal's clock is ahead; negative: behind")
	f.DurationVar(&options.TokenLife, "token-life", time.Hour, "how long an access token of the application serves")
	f.StringVar(&flags.cert, "tls-cert", "", "`file` of a certificate: serves https")
	f.StringVar(&flags.key, "tls-key", "", "`file` of its key")
	return c
}

// parseCosts reads METHOD=DURATION pairs.
func parseCosts(pairs []string) (map[string]time.Duration, error) {
	costs := make(map[string]time.Duration, len(pairs))
	for _, pair := range pairs {
		method, text, _ := strings.Cut(pair, "=")
		d, err := time.ParseDuration(text)
		if method == "" || err != nil || d < 0 {
			return nil, usage("--cost %q is not METHOD=DURATION, such as crm.item.add=200ms", pair)
		}
		costs[method] = d
	}
	return costs, nil
}

// serveSandbox serves until the context is done.
func (a *app) serveSandbox(ctx context.Context, flags sandboxFlags, options sandbox.Options) (err error) {
	if err := checkListen(flags); err != nil {
		return err
	}
	if err := checkData(options.DataFile); err != nil {
		return err
	}
	box, err := sandbox.New(options)
	if errors.Is(err, sandbox.ErrInUse) {
		return err
	}
	if err != nil {
		return usage("sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", flags.addr)
	if err != nil {
		return usage("--addr: %w; choose another address", err)
	}
	scheme := "http"
	if flags.cert != "" {
		scheme = "https"
	}
	if _, err := fmt.Fprintf(a.stdout, "%s://%s%s\n", scheme, listener.Addr(), box.WebhookPath()); err != nil {
		return err
	}
	return listenUntil(ctx, &http.Server{Handler: box, ReadHeaderTimeout: 10 * time.Second}, func(s *http.Server) error {
		if flags.cert != "" {
			return s.ServeTLS(listener, flags.cert, flags.key)
		}
		return s.Serve(listener)
	})
}

// checkData refuses a file in a folder that there is not: it is more likely
// mistyped than wanted.
func checkData(file string) error {
	if file == "" {
		return nil
	}
	dir := filepath.Dir(file)
	if info, err := os.Stat(dir); err != nil {
		return usage("--data: %w; make the folder first", err)
	} else if !info.IsDir() {
		return usage("--data: %s is not a folder", dir)
	}
	return nil
}

// checkListen refuses to serve other machines by accident: whoever reaches a
// sandbox may do anything to it.
func checkListen(flags sandboxFlags) error {
	if (flags.cert == "") != (flags.key == "") {
		return usage("--tls-cert and --tls-key go together; give both")
	}
	host, _, err := net.SplitHostPort(flags.addr)
	if err != nil {
		return usage("--addr %q is not host:port, such as 127.0.0.1:8025", flags.addr)
	}
	ip := net.ParseIP(host)
	if host == "localhost" || (ip != nil && ip.IsLoopback()) || flags.allowRemote {
		return nil
	}
	return usage("--addr %q is not on this machine only; add --allow-remote to serve others", flags.addr)
}

// listenUntil runs a server until the context is done, then lets the requests in
// hand end for a short while.
func listenUntil(ctx context.Context, s *http.Server, listen func(*http.Server) error) error {
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		if s.Shutdown(grace) != nil {
			_ = s.Close() // listen says why the server ended
		}
	})
	err := listen(s)
	if !cancel() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
