package portal

import (
	"fmt"
	"net/http"

	"github.com/bxflow/bxflow/engine"
)

// Error is a call that did not succeed. Texts are in the portal's language and
// change between versions: decide by [Error.Verdict] or Code, never by Message.
type Error struct {
	Method  string // crm.item.add; batch for a whole request
	Code    string // the portal's: NOT_FOUND; may be empty
	Status  int    // of HTTP; 0 inside a batch and where nothing was answered
	Message string // the portal's text, or what went wrong on the way
	Verdict Verdict
	// Argument is the parameter that was refused, where the portal names it.
	Argument string

	Application bool // it was an application that called, not a webhook
}

// Error reads method: code: message (HTTP status); remedy.
func (e *Error) Error() string {
	text := e.Method
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Status != 0 && e.Status != http.StatusOK {
		text += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Verdict == Fatal {
		if remedy := remedyOf(e.Code, e.Application); remedy != "" {
			text += "; " + remedy
		}
	}
	return text
}

// remedyOf says what to do about a code that stops everything ("Error codes" of
// the REST guide); it is empty where nobody can tell.
func remedyOf(code string, application bool) string {
	if application {
		switch code {
		case "INVALID_CREDENTIALS", "NO_AUTH_FOUND", "invalid_token", "APPLICATION_NOT_FOUND":
			return reauthorise
		case "insufficient_scope":
			return "give the application the missing right, in the portal: Developer resources, Integrations; then authorise it again"
		case "user_access_error", "allowed_only_intranet_user":
			return "authorise the application as a user who may do this"
		}
	}
	switch code {
	case "INVALID_CREDENTIALS", "NO_AUTH_FOUND", "invalid_token":
		return "check the webhook's address: its secret is wrong, or the webhook was deleted"
	case "insufficient_scope":
		return "give the webhook the missing right, in the portal: Developer resources, Integrations"
	case "user_access_error", "allowed_only_intranet_user":
		return "use a webhook of a user who may do this"
	case codeAccessDenied, "WRONG_LICENSE":
		return "the portal's plan has no REST API"
	case "OVERLOAD_LIMIT":
		return "Bitrix24 has blocked the portal's REST API; ask its support"
	case "METHOD_CONFIRM_WAITING", "METHOD_CONFIRM_DENIED":
		return "an administrator of the portal must allow the call"
	case "INVALID_REQUEST":
		return "use https in the webhook's address"
	}
	return ""
}

// Temporary says that the same call may succeed later.
func (e *Error) Temporary() bool {
	return e.Verdict == Refused || e.Verdict == Unknown || e.Verdict == Expired
}

// Verdict says what is known of a call after its answer, or the lack of one.
type Verdict string

// The verdicts.
const (
	// Done: executed, and said so.
	Done Verdict = "done"
	// Failed: refused for good; nothing was done.
	Failed Verdict = "failed"
	// Refused: not executed because of a limit, or never sent; may be repeated.
	Refused Verdict = "refused"
	// Expired: not executed, the token must be renewed first.
	Expired Verdict = "expired"
	// Unknown: may have been executed, or still be running.
	Unknown Verdict = "unknown"
	// Fatal: not executed, and no other call will be.
	Fatal Verdict = "fatal"
)

// outcome is the verdict in the engine's words. A token that expired is the
// client's own matter: the command was refused.
func (v Verdict) outcome() engine.OutcomeKind {
	switch v {
	case Done:
		return engine.OutcomeDone
	case Failed:
		return engine.OutcomeFailed
	case Refused, Expired:
		return engine.OutcomeRefused
	case Unknown:
		return engine.OutcomeUnknown
	case Fatal:
		return engine.OutcomeFatal
	}
	return engine.OutcomeUnknown
}

// Codes of the portal that the client must know ("Limits" and "Error codes" of
// the REST guide).
const (
	codeQueryLimit     = "QUERY_LIMIT_EXCEEDED"
	codeOperationLimit = "OPERATION_TIME_LIMIT"
	codeBatchLength    = "ERROR_BATCH_LENGTH_EXCEEDED"
	codeExpired        = "expired_token"
	codeAccessDenied   = "ACCESS_DENIED"
	codeNotFound       = "NOT_FOUND"
)

// classify decides what an error means. It is the only place that does. Status
// is 0 for a command inside a batch, which has none of its own.
func classify(method string, status int, code string) Verdict {
	switch code {
	case codeQueryLimit, codeOperationLimit, codeBatchLength, "CONNECTION_ERROR":
		return Refused // before execution; CONNECTION_ERROR: the portal's own sign-in server was away
	case codeExpired:
		return Expired
	case "NO_AUTH_FOUND", "invalid_token", "INVALID_CREDENTIALS", "insufficient_scope", "user_access_error",
		"authorization_error", "APPLICATION_NOT_FOUND", "WRONG_LICENSE", "OVERLOAD_LIMIT", "PORTAL_DELETED",
		"METHOD_CONFIRM_WAITING", "METHOD_CONFIRM_DENIED", "allowed_only_intranet_user":
		return Fatal
	case "INVALID_REQUEST": // plain http
		return Fatal
	case "INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER", "WRONG_ENCODING":
		return Unknown // WRONG_ENCODING: the answer could not be written, the work was done
	case codeAccessDenied:
		// Of one method, unless no method may be called: REST is not in the
		// portal's plan (401), or the batch itself is denied.
		if status == http.StatusUnauthorized || (method == methodBatch && status != 0) {
			return Fatal
		}
		return Failed
	}
	switch {
	case status == http.StatusUnauthorized:
		return Fatal
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout:
		return Unknown
	}
	return Failed
}
