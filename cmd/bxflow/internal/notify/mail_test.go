package notify_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/notify"
	"github.com/bxflow/bxflow/engine"
)

// postOffice is a small mail server. It takes one user's mails.
type postOffice struct {
	t      *testing.T
	tls    *tls.Config // nil: it has no STARTTLS
	smtps  bool
	refuse map[string]string // what it answers to a command
	drops  bool              // the connection, after a mail came
	addr   string

	mu       sync.Mutex
	sessions int
	log      []string // what it was told, without mails
	mails    []string
}

func (p *postOffice) start() {
	p.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	if p.smtps {
		listener = tls.NewListener(listener, p.tls)
	}
	p.addr = listener.Addr().String()
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { p.serve(c) })
		}
	})
	p.t.Cleanup(func() {
		listener.Close()
		sessions.Wait()
	})
}

func (p *postOffice) serve(c net.Conn) {
	defer func() { c.Close() }()
	p.mu.Lock()
	p.sessions++
	p.mu.Unlock()
	in := bufio.NewReader(c)
	fmt.Fprint(c, "220 post ready\r\n")
	for {
		line, err := textproto.NewReader(in).ReadLine()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.log = append(p.log, line)
		p.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		if answer := p.refuse[verb]; answer != "" {
			fmt.Fprint(c, answer+"\r\n")
			continue
		}
		switch verb {
		case "EHLO":
			fmt.Fprint(c, "250-post\r\n")
			if _, secure := c.(*tls.Conn); p.tls != nil && !secure {
				fmt.Fprint(c, "250-STARTTLS\r\n")
			}
			fmt.Fprint(c, "250 AUTH PLAIN LOGIN\r\n")
		case "STARTTLS":
			fmt.Fprint(c, "220 go on\r\n")
			c = tls.Server(c, p.tls)
			in = bufio.NewReader(c)
		case "AUTH":
			fmt.Fprint(c, "235 welcome\r\n")
		case "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			mail, err := textproto.NewReader(in).ReadDotBytes()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.mails = append(p.mails, string(mail))
			p.mu.Unlock()
			if p.drops {
				return
			}
			fmt.Fprint(c, "250 taken\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 well\r\n")
		}
	}
}

func (p *postOffice) notice(scheme string) *engine.Notice {
	u := &url.URL{Scheme: scheme, Host: p.addr, User: url.UserPassword("ops", secret)}
	return &engine.Notice{Email: &engine.Email{To: []string{"ops@example.com", "ana@example.com"}, From: "bxflow@example.com", Server: u}}
}

// certificate is that of a server of httptest, and a pool that trusts it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func TestSend_mail(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	tests := map[string]struct {
		office   *postOffice
		scheme   string
		trusts   bool
		mails    int
		sessions int
		log      string
	}{
		"by STARTTLS":              {&postOffice{tls: server}, "smtp", true, 1, 1, "told how the job ended"},
		"by smtps":                 {&postOffice{tls: server, smtps: true}, "smtps", true, 1, 1, "told how the job ended"},
		"whose name is not sure":   {&postOffice{tls: server}, "smtp", false, 1, 1, "told how the job ended"},
		"within this machine":      {&postOffice{}, "smtp", true, 1, 1, "told how the job ended"},
		"not to who seems another": {&postOffice{tls: server, smtps: true}, "smtps", false, 0, 4, "certificate"},
		"tried again":              {&postOffice{refuse: map[string]string{"MAIL": "451 later"}}, "smtp", true, 0, 4, "tries=4"},
		"refused for good":         {&postOffice{refuse: map[string]string{"RCPT": "550 no such user"}}, "smtp", true, 0, 1, "tries=1"},
		"a wrong password":         {&postOffice{refuse: map[string]string{"AUTH": "535 wrong"}}, "smtp", true, 0, 1, "tries=1"},
		"that may have arrived":    {&postOffice{drops: true}, "smtp", true, 1, 1, "no answer, so it may have arrived"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p := tt.office
			p.t = t
			p.start()
			s := notify.Sender{}
			if tt.trusts {
				s.TLS = client
			}
			if log := send(t, s, p.notice(tt.scheme)); !strings.Contains(log, tt.log) {
				t.Errorf("want %q in the log:\n%s", tt.log, log)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.mails) != tt.mails || p.sessions != tt.sessions {
				t.Errorf("%d mails in %d sessions, want %d in %d:\n%s", len(p.mails), p.sessions, tt.mails, tt.sessions, strings.Join(p.log, "\n"))
			}
			if tt.mails == 0 {
				return
			}
			for _, want := range []string{"To: <ops@example.com>, <ana@example.com>", "From: <bxflow@example.com>", "Subject: bxflow: onboarding finished", "5 created, 1 unchanged, 1 failed"} {
				if !strings.Contains(strings.ReplaceAll(p.mails[0], "=\n", ""), want) {
					t.Errorf("the mail lacks %q:\n%s", want, p.mails[0])
				}
			}
			password := base64.StdEncoding.EncodeToString([]byte("\x00ops\x00" + secret))
			if log := strings.Join(p.log, "\n"); !strings.Contains(log, "AUTH PLAIN "+password) {
				t.Errorf("signed in with\n%s", log)
			}
		})
	}
}
