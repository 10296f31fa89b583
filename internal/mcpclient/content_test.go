package mcpclient_test

import (
	"strings"
	"testing"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

func content(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		result string
		want   mcpclient.Result
	}{
		"no content":             {`{}`, mcpclient.Result{}},
		"empty":                  {`{"content":[]}`, mcpclient.Result{}},
		"null":                   {`{"content":null,"structuredContent":null}`, mcpclient.Result{}},
		"texts":                  {`{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`, mcpclient.Result{Output: "a\nb"}},
		"error":                  {`{"content":[{"type":"text","text":"no"}],"isError":true}`, mcpclient.Result{Output: "no", IsError: true}},
		"isError not a bool":     {`{"content":[],"isError":"true"}`, mcpclient.Result{}},
		"image":                  {`{"content":[{"type":"image","mimeType":"image/png","data":"AAAAAA=="}]}`, mcpclient.Result{Output: "[image image/png, 4 bytes]"}},
		"audio":                  {`{"content":[{"type":"audio","mimeType":"audio/wav","data":"AAAA"}]}`, mcpclient.Result{Output: "[audio audio/wav, 3 bytes]"}},
		"bad base64":             {`{"content":[{"type":"image","mimeType":"image/png","data":"***"}]}`, mcpclient.Result{Output: "[image image/png, 2 bytes]"}},
		"data not a string":      {`{"content":[{"type":"image","mimeType":5,"data":7}]}`, mcpclient.Result{Output: "[image, 0 bytes]"}},
		"link":                   {`{"content":[{"type":"resource_link","uri":"file:///a","name":"a"}]}`, mcpclient.Result{Output: "file:///a"}},
		"text resource":          {`{"content":[{"type":"resource","resource":{"uri":"file:///a","text":"t"}}]}`, mcpclient.Result{Output: "t"}},
		"binary resource":        {`{"content":[{"type":"resource","resource":{"uri":"file:///a","mimeType":"x/y","blob":"AAA="}}]}`, mcpclient.Result{Output: "[resource file:///a x/y, 2 bytes]"}},
		"unknown type":           {`{"content":[{"type":"video","data":"x"},{"type":"text","text":"a"}]}`, mcpclient.Result{Output: "[unsupported content \"video\"]\na"}},
		"no type":                {`{"content":[{}, 5]}`, mcpclient.Result{Output: "[unsupported content \"\"]\n[unreadable content]"}},
		"structured beside text": {`{"content":[{"type":"text","text":"a"}],"structuredContent":{"b":1}}`, mcpclient.Result{Output: "a"}},
		"structured alone":       {`{"structuredContent":{"z":9007199254740993, "a":1e400}}`, mcpclient.Result{Output: `{"z":9007199254740993, "a":1e400}`}},
		"structured and image":   {`{"content":[{"type":"image","mimeType":"a/b","data":""}],"structuredContent":[1]}`, mcpclient.Result{Output: "[image a/b, 0 bytes]\n[1]"}},
		"line break in type":     {`{"content":[{"type":"image","mimeType":"a\nb","data":""}]}`, mcpclient.Result{Output: "[image a b, 0 bytes]"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			for _, answer := range []mcptest.Answer{mcptest.Result(test.result), mcptest.Events(mcptest.ResultEvent(test.result))} {
				h.On("tools/call", answer)
				got, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
				if err != nil || got != test.want {
					t.Errorf("got %+v, %v; want %+v", got, err, test.want)
				}
			}
		})
	}
}

func unusableResults(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	for _, result := range []string{`"x"`, `[]`, `5`, `{"content":"str"}`, `{"content":{}}`} {
		h.On("tools/call", mcptest.Result(result))
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageProtocol, Sent: mcpclient.Answered})
	}
}

func largeResultWithinTheBound(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	text := strings.Repeat("x", 8<<20-200)
	result := `{"content":[{"type":"text","text":"` + text + `"}]}`
	for _, answer := range []mcptest.Answer{mcptest.Result(result), mcptest.Events(mcptest.ResultEvent(result))} {
		h.On("tools/call", answer)
		got, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		if err != nil || got.Output != text {
			t.Errorf("got %d bytes, %v; want %d", len(got.Output), err, len(text))
		}
	}
}
