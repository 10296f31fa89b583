package responses_test

import (
	"encoding/json"
	"errors"
	"testing"

	"perdure/internal/responses"
)

func TestErrorNamesItsPlace(t *testing.T) {
	t.Parallel()
	err := responses.Invalid("tools[0].server_url", "must be %s", "https")
	if got, want := err.Error(), "tools[0].server_url: must be https"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := responses.Invalid("", "no place").Error(), "no place"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	wire, _ := json.Marshal(responses.Invalid("model", "unknown"))
	if got, want := string(wire), `{"code":400,"type":"invalid_request","message":"unknown","param":"model"}`; got != want {
		t.Errorf("on the wire %s, want %s", got, want)
	}
}

func TestErrorOnTheWire(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		err           *responses.Error
		agent, openAI string
	}{
		{
			"place", responses.Invalid("tools[0].x", "say <%s> & \"go\"", "x"),
			`{"error":{"code":400,"type":"invalid_request","message":"say <x> & \"go\"","param":"tools[0].x"}}`,
			`{"error":{"message":"say <x> & \"go\"","type":"invalid_request_error","param":"tools[0].x","code":null}}`,
		},
		{
			"no place", &responses.Error{Status: 404, Type: responses.ErrNotFound, Message: "m"},
			`{"error":{"code":404,"type":"not_found","message":"m"}}`,
			`{"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}}`,
		},
		{
			"code", &responses.Error{Status: 424, Type: responses.ErrExternalConnector, Param: "tools", Message: "m", Code: responses.CodeHTTPError},
			`{"error":{"code":424,"type":"external_connector_error","message":"m","param":"tools"}}`,
			`{"error":{"message":"m","type":"external_connector_error","param":"tools","code":"http_error"}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for dialect, want := range map[responses.Dialect]string{responses.DialectAgent: tt.agent, responses.DialectOpenAI: tt.openAI} {
				got, err := tt.err.MarshalWire(dialect)
				if err != nil || string(got) != want {
					t.Errorf("%s: %s, %v; want %s", dialect, got, err, want)
				}
			}
		})
	}
}

// Clients of OpenAI tell a field that the server does not know from a value that it does not like.
func TestUnknownFieldHasItsCode(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		with(`"temprature":1`):           responses.CodeUnknownParameter,
		with(`"text":{"tone":"kind"}`):   responses.CodeUnknownParameter,
		with(`"temperature":"1"`):        "",
		with(`"previous_response_id":1`): "",
	} {
		_, err := responses.DecodeRequest([]byte(body), responses.DialectOpenAI)
		var got *responses.Error
		if !errors.As(err, &got) || got.Code != want {
			t.Errorf("%s: error is %#v, want the code %q", body, err, want)
		}
	}
}
