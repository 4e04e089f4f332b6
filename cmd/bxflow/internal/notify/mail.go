package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"strconv"

	"github.com/wneessen/go-mail"

	"github.com/bxflow/bxflow/engine"
)

// permanent is the first of the codes by which a mail server refuses for good.
const permanent = 500

// mail sends a message by a mail server. Its password travels encrypted, or
// within this machine. No error has it.
func (s *Sender) mail(ctx context.Context, e *engine.Email, m Message) error {
	letter := mail.NewMsg()
	if err := errors.Join(letter.From(e.From), letter.To(e.To...)); err != nil {
		return err
	}
	letter.Subject("bxflow: " + m.Subject())
	letter.SetDate()
	letter.SetMessageID()
	letter.SetBodyString(mail.TypeTextPlain, m.Text+"\n")
	client, err := s.mailClient(e.Server)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, letter)
	fault, answered := errors.AsType[*mail.SendError](err)
	switch {
	case err == nil || letter.IsDelivered(): // what fails after that is the good-bye
		return nil
	case !answered: // there was no connection yet, or none that may be used
		if refusal, ok := errors.AsType[*textproto.Error](err); ok && refusal.Code >= permanent {
			return err
		}
		return &Temporary{err}
	case fault.Reason == mail.ErrSMTPDataClose && fault.ErrorCode() == 0:
		return fmt.Errorf("no answer, so it may have arrived: %w", err)
	case fault.IsTemp() || fault.ErrorCode() == 0:
		return &Temporary{err}
	}
	return err
}

// mailClient is how a server is spoken to: smtps is TLS from the beginning,
// smtp turns to it by STARTTLS, without which only a server of this machine goes.
func (s *Sender) mailClient(server *url.URL) (*mail.Client, error) {
	host := server.Hostname()
	options := []mail.Option{mail.WithTimeout(longestTry), mail.WithoutNoop()}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	config.ServerName = host
	port := mail.DefaultPortTLS
	switch ip := net.ParseIP(host); {
	case server.Scheme == "smtps":
		port = mail.DefaultPortSSL
		options = append(options, mail.WithSSL())
	case host == "localhost" || ip != nil && ip.IsLoopback():
		// Its certificate says nothing: it goes without one, too.
		config.InsecureSkipVerify = true
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if server.Port() != "" {
		n, err := strconv.Atoi(server.Port())
		if err != nil {
			return nil, errors.New("the port of the mail server is not a number")
		}
		port = n
	}
	options = append(options, mail.WithPort(port), mail.WithTLSConfig(config))
	if password, given := server.User.Password(); given {
		options = append(options, mail.WithUsername(server.User.Username()), mail.WithPassword(password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return mail.NewClient(host, options...)
}
