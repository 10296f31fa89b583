package activities_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

const conversationID = "conv_1"

func (f *fixture) transcript(owner string, items ...responses.Item) transcript.Transcript {
	f.t.Helper()
	store := f.options.Blobs.For(owner)
	values, err := transcript.Pack(f.t.Context(), store, items...)
	if err != nil {
		f.t.Fatal(err)
	}
	t, err := transcript.Extend(f.t.Context(), store, transcript.Transcript{}, values)
	if err != nil {
		f.t.Fatal(err)
	}
	return t
}

func (f *fixture) ids(t transcript.Transcript) []string {
	f.t.Helper()
	items, err := transcript.Load(f.t.Context(), f.options.Blobs.For(conversationID), t, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	var ids []string
	for _, item := range items {
		ids = append(ids, responses.IDOf(item))
	}
	return ids
}

// message is one that no segment takes many of.
func message(id string) responses.Item {
	return &responses.Message{
		ID: id, Role: responses.RoleUser, Content: []responses.Part{responses.InputText(id + strings.Repeat(".", 5000))},
	}
}

func messages(prefix string, count int) (items []responses.Item) {
	for n := range count {
		items = append(items, message(fmt.Sprint(prefix, n)))
	}
	return items
}

func TestConversationAppend(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	there := messages("there_", 20)
	base := f.transcript(conversationID, there...)
	tests := []struct {
		name  string
		input activities.ConversationAppendInput
		want  []string
		next  int
	}{
		{
			"a client's",
			activities.ConversationAppendInput{Added: f.transcript(conversationID, message(""), message("mine"), message("there_3"))},
			[]string{"msg_1_5", "mine", "msg_1_6"},
			7,
		},
		{"a run's", activities.ConversationAppendInput{
			Added: f.transcript("resp_r", append(there[:20:20], message(""), message("msg_r_0"))...), From: 20, ResponseID: "resp_r",
		}, []string{"msg_1_5", "msg_r_0"}, 6},
		{"nothing", activities.ConversationAppendInput{Added: f.transcript(conversationID, there...), From: 20}, nil, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := tt.input
			in.ConversationID, in.Transcript, in.NextItem = conversationID, base, 5
			got, err := execute[activities.ConversationAppendResult](f.env(), activities.ConversationAppendName, in)
			if err != nil {
				t.Fatal(err)
			}
			ids := f.ids(got.Transcript)
			if diff := cmp.Diff(tt.want, ids[20:], cmp.Transformer("none", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.NextItem != tt.next || ids[19] != "there_19" {
				t.Errorf("next is %d, want %d; item 19 is %s", got.NextItem, tt.next, ids[19])
			}
		})
	}
}

func TestConversationDeleteItem(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	in := activities.ConversationDeleteItemInput{
		ConversationID: conversationID,
		Transcript:     f.transcript(conversationID, message("a"), message("b"), message("c"), message("d"), message("e")),
	}
	for id, want := range map[string]string{"a": "b c d e", "c": "a b d e", "e": "a b c d", "x": "a b c d e"} {
		in.ItemID = id
		got, err := execute[activities.ConversationDeleteItemResult](f.env(), activities.ConversationDeleteItemName, in)
		if err != nil || got.Found != (id != "x") || strings.Join(f.ids(got.Transcript), " ") != want {
			t.Errorf("without %s: %v, found %v, error %v", id, f.ids(got.Transcript), got.Found, err)
		}
	}
}

// A conversation that was begun before bytes were counted is counted before something is taken away from it.
func TestConversationDeleteItemCounts(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	longer, err := execute[activities.ConversationAppendResult](f.env(), activities.ConversationAppendName, activities.ConversationAppendInput{
		ConversationID: conversationID, Transcript: f.transcript(conversationID, messages("m", 20)...), Added: f.transcript(conversationID, message("last")),
	})
	if err != nil {
		t.Fatal(err)
	}
	in := activities.ConversationDeleteItemInput{ConversationID: conversationID, Transcript: longer.Transcript, ItemID: "last"}
	if in.Transcript.Folded == 0 || len(in.Transcript.Tail) == 0 {
		t.Fatalf("there is no head, or no tail: %d folded, %d not", in.Transcript.Folded, len(in.Transcript.Tail))
	}
	var bytes []int64
	for _, before := range []int64{in.Transcript.Bytes, 0} {
		in.Transcript.Bytes = before
		got, err := execute[activities.ConversationDeleteItemResult](f.env(), activities.ConversationDeleteItemName, in)
		if err != nil || !got.Found {
			t.Fatalf("found %v, error %v", got.Found, err)
		}
		bytes = append(bytes, got.Transcript.Bytes)
	}
	if bytes[0] < 20*5000 || bytes[1] != bytes[0] {
		t.Errorf("%d bytes are left, and %d if they were not counted before", bytes[0], bytes[1])
	}
}

func TestConversationWithoutItsItems(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	lost := transcript.Transcript{Head: "sha256-" + "0000000000000000000000000000000000000000000000000000000000000000", Folded: 1}
	_, err := execute[activities.ConversationAppendResult](f.env(), activities.ConversationAppendName,
		activities.ConversationAppendInput{ConversationID: conversationID, Added: lost})
	if got := failureOf(t, err); got.Type != activities.ErrTypeStorage || got.Final {
		t.Errorf("append failed with %+v", got)
	}
	_, err = execute[activities.ConversationDeleteItemResult](f.env(), activities.ConversationDeleteItemName,
		activities.ConversationDeleteItemInput{ConversationID: conversationID, Transcript: lost, ItemID: "x"})
	if got := failureOf(t, err); got.Type != activities.ErrTypeStorage || got.Final {
		t.Errorf("delete failed with %+v", got)
	}
}

// A conversation takes from clients what it has room for, and from a run that was let in some more.
func TestConversationIsFull(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere, func(o *activities.Options) { o.MaxConversation = 22_000 })
	in := activities.ConversationAppendInput{
		ConversationID: conversationID, Transcript: f.transcript(conversationID, message("a"), message("b"), message("c")),
	}
	uncounted := in.Transcript
	uncounted.Bytes = 0
	two := []responses.Item{message("d"), message("e")}
	for _, tt := range []struct {
		name string
		full bool
		in   func(*activities.ConversationAppendInput)
	}{
		{"one more", false, func(in *activities.ConversationAppendInput) { in.Added = f.transcript(conversationID, two[:1]...) }},
		{"too many", true, func(in *activities.ConversationAppendInput) { in.Added = f.transcript(conversationID, two...) }},
		{"too many, of a conversation that was begun before bytes were counted", true, func(in *activities.ConversationAppendInput) {
			in.Transcript, in.Added = uncounted, f.transcript(conversationID, two...)
		}},
		{"a run's", false, func(in *activities.ConversationAppendInput) {
			in.Added, in.ResponseID = f.transcript("resp_r", two...), "resp_r"
		}},
		{"too many of a run", true, func(in *activities.ConversationAppendInput) {
			seven := []responses.Item{message("1"), message("2"), message("3"), message("4"), message("5"), message("6"), message("7")}
			in.Added, in.ResponseID = f.transcript("resp_r", seven...), "resp_r"
		}},
	} {
		in := in
		tt.in(&in)
		got, err := execute[activities.ConversationAppendResult](f.env(), activities.ConversationAppendName, in)
		if !tt.full {
			if err != nil || got.Transcript.Len() != 3+in.Added.Len() {
				t.Errorf("%s: %d items, error %v", tt.name, got.Transcript.Len(), err)
			}
			continue
		}
		if got := failureOf(t, err); got.Type != activities.ErrTypeConversationFull || !got.Final || !strings.Contains(got.Message, "delete items of it") {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
