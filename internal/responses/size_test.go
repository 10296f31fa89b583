package responses_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"perdure/internal/responses"
)

const mib = 1 << 20

// largeBodies have about n MiB; some are made to cost more than they weigh.
func largeBodies(n int) map[string]string {
	count := n * 500 // items; the longer ones fill n MiB
	item := func(n int) string {
		return `{"type":"message","role":"user","content":[{"type":"input_text","text":"` + strings.Repeat("x", n) + `"}]},`
	}
	end := `{"role":"user","content":"end"}`
	parameters := func(s string) string {
		return with(`"tools":[{"type":"function","name":"f","parameters":{"a":` + s + `}}]`)
	}
	var names strings.Builder
	for i := range n * mib / 12 {
		fmt.Fprintf(&names, `"%d":0,`, i)
	}
	return map[string]string{
		"one string":         `{"model":"m","input":"` + strings.Repeat("a", n*mib) + `"}`,
		"one escaped string": `{"model":"m","input":"` + strings.Repeat(`a\n`, n*mib/3) + `"}`,
		"small items":        items(strings.Repeat(item(100), count) + end),
		"items":              items(strings.Repeat(item(2000), count) + end),
		"many members":       `{` + names.String() + `"input":"hi"}`,
		"many elements":      items(strings.Repeat(`[],`, n*mib/3) + end),
		"many parts":         items(`{"role":"user","content":[` + strings.Repeat(`{"type":"refusal","refusal":""},`, n*mib/32) + `{}]}`),
		"long name":          with(`"` + strings.Repeat("n", n*mib/2) + `":[` + strings.Repeat("0,", n*mib/4) + `0]`),
		"deep":               parameters(strings.Repeat("[", 90) + strings.Repeat("0,", n*mib/2) + "0" + strings.Repeat("]", 90)),
		"quotes":             `{"input":"` + strings.Repeat(`\"`, n*mib/2) + `"}`,
		"backslashes":        `{"input":"` + strings.Repeat(`\\`, n*mib/2) + `"}`,
		"objects in objects": parameters(`[` + strings.Repeat(`{"a":0},`, n*mib/8) + `0]`),
	}
}

// A body may not make the decoder allocate many times its own size. The time is for the benchmark to show.
func TestDecodeAllocates(t *testing.T) {
	for name, body := range largeBodies(4) {
		var before, after runtime.MemStats
		data := []byte(body)
		runtime.ReadMemStats(&before)
		_, err := responses.DecodeRequest(data, responses.DialectOpenAI)
		runtime.ReadMemStats(&after)
		// Some are refused, which is fine.
		allocated := after.TotalAlloc - before.TotalAlloc
		if limit := uint64(8*len(body) + 4*mib); allocated > limit {
			t.Errorf("%s: %d MiB allocated for a body of %d MiB (error: %v)", name, allocated/mib, len(body)/mib, err)
		}
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	for name, body := range largeBodies(30) {
		b.Run(name, func(b *testing.B) {
			data := []byte(body)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = responses.DecodeRequest(data, responses.DialectOpenAI)
			}
		})
	}
}

func BenchmarkMarshalWire(b *testing.B) {
	r := &responses.Response{}
	for range 16 {
		list := &responses.MCPListTools{}
		for range 128 {
			list.Tools = append(list.Tools, responses.MCPToolInfo{InputSchema: responses.Schema(`{ "type" : "object" }`)})
		}
		r.Output = append(r.Output, list, &responses.MCPCall{Output: strings.Repeat("o", mib)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.MarshalWire(responses.DialectAgent); err != nil {
			b.Fatal(err)
		}
	}
}
