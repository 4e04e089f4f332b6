package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
)

// maxAnswer is how much of an answer is read, so that the connection can end well.
const maxAnswer = 1 << 16

// post sends a message to a webhook. A redirect is refused: it would be sent the
// message, and perhaps a secret. No error has the URL.
func (s *Sender) post(ctx context.Context, to *url.URL, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sent := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(w httptrace.WroteRequestInfo) { sent = sent || w.Err == nil },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL can't be used")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "bxflow")
	client := http.Client{
		Transport:     s.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		if quoting, ok := errors.AsType[*url.Error](err); ok {
			err = quoting.Err
		}
		if sent {
			return fmt.Errorf("no answer, so it may have arrived: %w", err)
		}
		return &Temporary{err}
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // the status says all
	return judge(answer.StatusCode)
}

// judge says what a status means for the message.
func judge(status int) error {
	switch err := fmt.Errorf("it answered HTTP %d", status); {
	case status >= http.StatusOK && status < http.StatusMultipleChoices:
		return nil
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return &Temporary{err}
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		return fmt.Errorf("%w, a redirect; write the URL that it leads to", err)
	default:
		return err
	}
}
