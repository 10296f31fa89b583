package blob_test

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"perdure/internal/blob"
)

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t).For("resp_1")
		for _, data := range []string{"", "x", "a\x00b\xff", strings.Repeat("long ", 1<<20)} {
			ref := put(t, s, data)
			if ref != blob.RefOf([]byte(data)) || len(ref) != 71 {
				t.Errorf("reference of %d bytes is %q", len(data), ref)
			}
			// Another process reads what this one wrote, and reads it again from memory.
			other := p.open(t, cached).For("resp_1")
			for _, reader := range []*blob.Store{s, other, other} {
				checkHolds(t, reader, data)
			}
		}
	})
	if got, want := string(blob.RefOf([]byte("x"))), "sha256-2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"; got != want {
		t.Errorf("reference is %s, want %s: histories hold these, so they never change", got, want)
	}
}

func TestPutKeepsOneCopy(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		for range 2 {
			put(t, p.open(t, cached).For("resp_1"), "same")
		}
		want := "default/runs/7a/resp_1/0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5"
		if got := p.only(t); got != want {
			t.Errorf("it is kept as %s, want %s: what was written before must be found", got, want)
		}
	})
}

// A reference by itself gives nobody anything: it is good in the store of its owner.
func TestOwnersAreApart(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t, cached)
		put(t, s.For("resp_1"), "of one tenant")
		for name, other := range map[string]*blob.Store{
			"another response":  s.For("resp_2"),
			"its events":        s.ForEvents("resp_1"),
			"another namespace": p.open(t, func(o *blob.Options) { o.Namespace = "other" }).For("resp_1"),
		} {
			if got, err := other.Get(t.Context(), blob.RefOf([]byte("of one tenant"))); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
		}
		checkHolds(t, s.For("resp_1"), "of one tenant")
	})
}

func TestOwnersThatAreNoFileNames(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		for _, owner := range []string{"approval/acme/mcpr_1", "../../up", "a b%2F?#", "ü"} {
			put(t, s.For(owner), owner)
			checkHolds(t, p.open(t).For(owner), owner)
		}
		for _, name := range p.names(t) {
			if !regexp.MustCompile(`^default/runs/[0-9a-f]{2}/[^/]+/[0-9a-f]{64}$`).MatchString(name) {
				t.Errorf("a value is kept as %s", name)
			}
		}
		for _, owner := range []string{"", ".", "..", strings.Repeat("x", 256)} {
			if _, err := s.For(owner).Put(t.Context(), []byte("x")); err == nil {
				t.Errorf("a value was put for %.20q", owner)
			}
			if _, err := s.For(owner).Get(t.Context(), blob.RefOf([]byte("x"))); err == nil || errors.Is(err, blob.ErrNotFound) {
				t.Errorf("a value of %.20q: %v", owner, err)
			}
			if err := s.Remove(t.Context(), owner); err == nil {
				t.Errorf("the values of %.20q were removed", owner)
			}
		}
		if got := p.names(t); len(got) != 4 {
			t.Errorf("%v are kept, want 4", got)
		}
	})
}

func TestCopy(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t, cached)
		ref := put(t, s.For("resp_1"), "goes on")
		for range 2 { // repeated, it does no harm
			if err := s.For("resp_2").Copy(t.Context(), s.For("resp_1"), ref); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.For("resp_1").Copy(t.Context(), s.For("resp_1"), ref); err != nil {
			t.Errorf("to itself: %v", err)
		}
		// Whichever is removed first leaves the other one whole.
		if err := s.Remove(t.Context(), "resp_1"); err != nil {
			t.Fatal(err)
		}
		fresh := p.open(t)
		checkMissing(t, fresh.For("resp_1"), "goes on")
		checkHolds(t, fresh.For("resp_2"), "goes on")
		if err := s.For("resp_3").Copy(t.Context(), s.For("resp_1"), ref); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("a copy of what is not there: %v", err)
		}
		if err := s.For("resp_3").Copy(t.Context(), s.For("resp_2"), "sha256-x"); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("a copy of no reference: %v", err)
		}
		if got := p.of(t, "resp_3"); len(got) != 0 {
			t.Errorf("copies that failed left %v", got)
		}
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		put(t, s.For("resp_1"), "a")
		put(t, s.For("resp_1"), "b")
		put(t, s.ForEvents("resp_1"), "an event")
		put(t, s.For("resp_10"), "a")
		for range 2 { // repeated, it does no harm
			if err := s.Remove(t.Context(), "resp_1"); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.only(t); !strings.Contains(got, "/resp_10/") {
			t.Errorf("%s is left", got)
		}
		put(t, s.For("resp_1"), "a")
		checkHolds(t, p.open(t).For("resp_1"), "a")
	})
}

// More values than are listed at once.
func TestRemoveMany(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		put(t, s.For("resp_1"), "a")
		dir := strings.TrimSuffix(p.only(t), digestOf("a"))
		for i := range 2100 {
			p.write(t, dir+digestOf(strings.Repeat("x", i)), nil)
		}
		if err := s.Remove(t.Context(), "resp_1"); err != nil {
			t.Fatal(err)
		}
		if got := p.names(t); len(got) != 0 {
			t.Errorf("%d are left", len(got))
		}
	})
}

func digestOf(data string) string {
	return strings.TrimPrefix(string(blob.RefOf([]byte(data))), "sha256-")
}

func TestBadReferences(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t, cached).For("resp_1")
		good := string(blob.RefOf([]byte("x")))
		for _, ref := range []string{
			"", "sha256-", "x", "../secret", "sha256-../secret", strings.TrimPrefix(good, "sha256-"), "sha512-" + good[7:], good + "0", good[:70],
			"sha256-" + strings.ToUpper(good[7:]), "sha256-" + "../../secret" + good[19:], "sha256-" + strings.Repeat("/", 64),
			"sha256-" + strings.Repeat("a", 63) + "\x00", "sha256-" + strings.Repeat("a", 32) + "/" + strings.Repeat("a", 31), strings.Repeat("x", 1<<20),
		} {
			_, err := s.Get(t.Context(), blob.Ref(ref))
			if !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("Get(%.100q) failed with %.200v, want ErrCorrupt", ref, err)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("Get(%.100q): error of %d bytes", ref, len(err.Error()))
			}
		}
		checkMissing(t, s, "what nobody put")
	})
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		if _, err := p.open(t).For("resp_1").Put(t.Context(), make([]byte, blob.MaxBytes+1)); !errors.Is(err, blob.ErrTooLarge) {
			t.Errorf("Put: %v, want ErrTooLarge", err)
		}
		if got := p.names(t); len(got) != 0 {
			t.Errorf("%v are kept", got)
		}
	})
}

func TestDamage(t *testing.T) {
	t.Parallel()
	const data = "what was written"
	for name, damage := range map[string]string{
		"cut": data[:5], "empty": "", "longer": data + "!", "changed": "what was writtem",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t *testing.T, p place) {
				put(t, p.open(t).For("resp_1"), data)
				p.write(t, p.only(t), []byte(damage))
				s := p.open(t, cached).For("resp_1")
				for range 2 {
					checkError(t, s, data, blob.ErrCorrupt)
				}
				put(t, s, data)
				checkHolds(t, p.open(t).For("resp_1"), data)
			})
		})
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		put(t, p.open(t).For("resp_1"), "x")
		stores, ctx := p.open(t), ended(t)
		s := stores.For("resp_1")
		_, got := s.Get(ctx, blob.RefOf([]byte("x")))
		_, put := s.Put(ctx, []byte("y"))
		for name, err := range map[string]error{
			"Get": got, "Put": put, "Copy": stores.For("resp_2").Copy(ctx, s, blob.RefOf([]byte("x"))), "Remove": stores.Remove(ctx, "resp_1"),
		} {
			if err == nil || !errors.Is(err, ctx.Err()) {
				t.Errorf("%s: %v", name, err)
			}
		}
		p.only(t)
	})
}

func TestManyWriters(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		values := []string{"one", "two", strings.Repeat("three", 100_000)}
		stores := []*blob.Stores{p.open(t), p.open(t, cached)}
		var wg sync.WaitGroup
		for range 4 {
			for _, s := range stores {
				for _, data := range values {
					wg.Go(func() {
						if _, err := s.For("resp_1").Put(t.Context(), []byte(data)); err != nil {
							t.Errorf("Put: %v", err)
							return
						}
						checkHolds(t, s.For("resp_1"), data)
						if err := s.For("resp_2").Copy(t.Context(), s.For("resp_1"), blob.RefOf([]byte(data))); err != nil {
							t.Errorf("Copy: %v", err)
						}
					})
				}
			}
		}
		wg.Wait()
		if got := p.names(t); len(got) != 2*len(values) {
			t.Errorf("%v are kept, want %d", got, 2*len(values))
		}
	})
}

// Two clusters can each have a namespace of the same name, and neither may remove what only the other one knows.
func TestClaim(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		for range 2 {
			if err := p.open(t).Claim(t.Context(), "id-1"); err != nil {
				t.Fatal(err)
			}
		}
		err := p.open(t).Claim(t.Context(), "id-2")
		if !errors.Is(err, blob.ErrForeign) || !strings.Contains(err.Error(), "id-1") || !strings.Contains(err.Error(), "blobs.prefix") {
			t.Errorf("another cluster's claim: %v", err)
		}
		if err := p.open(t, func(o *blob.Options) { o.Namespace = "other" }).Claim(t.Context(), "id-2"); err != nil {
			t.Errorf("another namespace's claim: %v", err)
		}
	})
}
