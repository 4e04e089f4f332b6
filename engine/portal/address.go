package portal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// masked stands where a secret would be shown.
const masked = "***"

// Secret is a webhook's password, an application's, or a token. It prints as ***, whatever the verb, and in
// JSON and logs too; only the transport reveals it.
type Secret struct{ text string }

// String masks the secret.
func (s Secret) String() string { return masked }

// GoString masks the secret for %#v.
func (s Secret) GoString() string { return masked }

// MarshalText masks the secret in JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue masks the secret in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// Address is where a portal's webhook answers, https://host/rest/1/secret/, or
// the portal for an application, https://host/rest/, with neither user nor
// secret.
type Address struct {
	Scheme string // https; http only on loopback
	Host   string // with a port where it isn't the scheme's own
	User   int64  // whose rights the webhook has
	Secret Secret
}

var _ slog.LogValuer = Address{}

// Parse reads a webhook URL, with or without a method at its end. Errors never
// repeat the URL: it holds the secret.
func Parse(raw string) (Address, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return Address{}, errors.New("the portal's address is not a URL; want https://host/rest/1/secret/")
	}
	if u.Host == "" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Address{}, errors.New("the portal's address is not a webhook; want https://host/rest/1/secret/")
	}
	host := strings.ToLower(u.Host)
	if err := checkScheme(u.Scheme, u.Hostname()); err != nil {
		return Address{}, fmt.Errorf("portal %q: %w", host, err)
	}
	user, secret, ok := webhookPath(u.Path)
	if !ok {
		return Address{}, fmt.Errorf("portal %q: the address has no webhook in it; want https://%s/rest/1/secret/", host, host)
	}
	return Address{Scheme: u.Scheme, Host: host, User: user, Secret: Secret{secret}}, nil
}

// checkScheme refuses to send a secret in the clear to another machine.
func checkScheme(scheme, hostname string) error {
	switch scheme {
	case "https":
		return nil
	case "http":
		if isLoopback(hostname) {
			return nil
		}
		return errors.New("http would send the secret in the clear; use https")
	}
	return fmt.Errorf("%q is not a way to reach a portal; use https", scheme)
}

// isLoopback says whether a host is this machine.
func isLoopback(hostname string) bool {
	ip := net.ParseIP(hostname)
	return hostname == "localhost" || strings.HasSuffix(hostname, ".localhost") || ip != nil && ip.IsLoopback()
}

// webhookPath takes /rest/1/secret/ apart; the name of a method may follow.
func webhookPath(path string) (user int64, secret string, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 3 || len(parts) > 4 || parts[0] != "rest" {
		return 0, "", false
	}
	user, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || user <= 0 || !isSecret(parts[2]) || (len(parts) == 4 && !isMethod(parts[3])) {
		return 0, "", false
	}
	return user, parts[2], true
}

// isSecret keeps anything out of a secret that could change the path.
func isSecret(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool { return r != '-' && !isWord(r) }) < 0
}

// isMethod says whether a name can be a method's: crm.item.list.
func isMethod(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.IndexFunc(part, func(r rune) bool { return !isWord(r) }) >= 0 {
			return false
		}
	}
	return len(name) <= 128
}

func isWord(r rune) bool {
	return r == '_' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
}

// isApplication says whether it is the address for an application.
func (a Address) isApplication() bool { return a.User == 0 }

// String shows the address without its secret: https://host/rest/1/***/.
func (a Address) String() string {
	if a.isApplication() {
		return a.Reveal()
	}
	return fmt.Sprintf("%s://%s/rest/%d/%s/", a.Scheme, a.Host, a.User, masked)
}

// GoString is String, so that %#v shows no more.
func (a Address) GoString() string { return a.String() }

// LogValue is String, for logs.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Reveal returns the address with its secret, for a child process or a store
// of secrets; never for output.
func (a Address) Reveal() string {
	if a.isApplication() {
		return fmt.Sprintf("%s://%s/rest/", a.Scheme, a.Host)
	}
	return fmt.Sprintf("%s://%s/rest/%d/%s/", a.Scheme, a.Host, a.User, a.Secret.text)
}

// ID tells one portal and user from another: host/rest/1.
func (a Address) ID() string { return identity(a.Host, a.User) }

func identity(host string, user int64) string { return fmt.Sprintf("%s/rest/%d", host, user) }

// call is the URL of a method.
func (a Address) call(method string) string { return a.Reveal() + url.PathEscape(method) + ".json" }

// scrub takes the secret out of a text that others wrote.
func (a Address) scrub(text string) string {
	if a.Secret.text == "" {
		return text
	}
	return strings.ReplaceAll(text, a.Secret.text, masked)
}

// scrubAnswer takes the secret out of addresses in an answer, such as those for
// programs of files. Elsewhere it may be a user's data, which stays.
func (a Address) scrubAnswer(answer []byte) []byte {
	if a.Secret.text == "" || !bytes.Contains(answer, []byte(a.Secret.text)) {
		return answer
	}
	for _, slash := range []string{"/", `\/`} {
		path := "rest" + slash + strconv.FormatInt(a.User, 10) + slash
		answer = bytes.ReplaceAll(answer, []byte(path+a.Secret.text), []byte(path+masked))
	}
	return answer
}

// moved reads the Location of a redirect that answered a call of method: the
// same address on another host (a portal that was renamed: "Changing the domain"
// of the REST guide). Any other place is refused, since it would be sent the
// secret.
func (a Address) moved(location, method string) (Address, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return Address{}, errors.New("the portal redirects to nowhere; check its address")
	}
	next := a
	next.Host = strings.ToLower(u.Host)
	if u.Scheme != "" { // without one, that of the request
		next.Scheme = u.Scheme
	}
	if err := checkScheme(next.Scheme, u.Hostname()); err != nil {
		return Address{}, fmt.Errorf("the portal redirects to %q: %w", next.Host, err)
	}
	want := strings.TrimSuffix(next.call(method), ".json")
	if got := next.Scheme + "://" + next.Host + u.Path; got != want && got != want+".json" && got != want+"/" {
		return Address{}, fmt.Errorf("the portal redirects to %q, but not to the same place there; check its address", next.Host)
	}
	if !renamed(hostname(a.Host), hostname(next.Host)) {
		return Address{}, fmt.Errorf("the portal redirects to %q, which need not be the same one, so that it is sent no secret; "+
			"if the portal was moved there, put the new address into the settings", next.Host)
	}
	return next, nil
}

// hostname is a host without its port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// renamed says whether a name can be a new one of the portal that had another:
// in the cloud it is name.bitrix24.com (.com.br, .de, …) and stays in its zone,
// where nobody else gives names. Elsewhere only www. may come or go: who owns
// the rest of a name can't be told.
func renamed(from, to string) bool {
	if from == to || isLoopback(from) && isLoopback(to) || from == "www."+to || to == "www."+from {
		return true
	}
	_, zone, _ := strings.Cut(from, ".")
	name, zoneOfNew, _ := strings.Cut(to, ".")
	return name != "" && zone == zoneOfNew && strings.HasPrefix(zone, "bitrix24.")
}
