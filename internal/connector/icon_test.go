package connector_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"

	"perdure/internal/connector"
)

func picture(width, height int) *image.Paletted {
	m := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Transparent, color.RGBA{200, 30, 30, 255}})
	for y := range height {
		for x := range width / 2 {
			m.SetColorIndex(x, y, 1)
		}
	}
	return m
}

func encode(t *testing.T, encoder func(*bytes.Buffer) error) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := encoder(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// webpPixel is a WebP file of one pixel, written by libwebp.
const webpPixel = "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"

func TestIconIsDrawnAnew(t *testing.T) {
	t.Parallel()
	webp, err := base64.StdEncoding.DecodeString(webpPixel)
	if err != nil {
		t.Fatal(err)
	}
	const stowaway = "<script>alert(1)</script>"
	for name, tt := range map[string]struct {
		file          []byte
		width, height int
	}{
		"png":      {encode(t, func(b *bytes.Buffer) error { return png.Encode(b, picture(64, 32)) }), 64, 32},
		"jpeg":     {encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, picture(300, 150), nil) }), 256, 128},
		"gif":      {encode(t, func(b *bytes.Buffer) error { return gif.Encode(b, picture(40, 80), nil) }), 40, 80},
		"webp":     {webp, 1, 1},
		"one line": {encode(t, func(b *bytes.Buffer) error { return png.Encode(b, picture(2048, 1)) }), 256, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			icon, err := connector.NewIcon(append(bytes.Clone(tt.file), stowaway...))
			if err != nil {
				t.Fatal(err)
			}
			drawn, err := png.Decode(bytes.NewReader(icon.PNG))
			if err != nil {
				t.Fatal(err)
			}
			if size := drawn.Bounds().Size(); size.X != tt.width || size.Y != tt.height {
				t.Errorf("size is %v, want %d × %d", size, tt.width, tt.height)
			}
			if bytes.Contains(icon.PNG, []byte("script")) {
				t.Error("what was behind the picture came along")
			}
			if name == "png" {
				if _, _, _, a := drawn.At(60, 10).RGBA(); a != 0 {
					t.Error("what was transparent is not")
				}
				if r, _, _, a := drawn.At(5, 10).RGBA(); a != 0xffff || r>>8 != 200 {
					t.Errorf("red %d, alpha %d", r>>8, a)
				}
			}
			again, err := connector.NewIcon(tt.file)
			if err != nil || again.Hash != icon.Hash || len(icon.Hash) != 32 {
				t.Errorf("hash %q, then %q: %v", icon.Hash, again.Hash, err)
			}
		})
	}
}

// What a PNG cannot compress is drawn smaller, so that what is stored is bounded, too.
func TestIconOfNoiseIsBounded(t *testing.T) {
	t.Parallel()
	noise := image.NewNRGBA(image.Rect(0, 0, 400, 400))
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // noise
	for i := range noise.Pix {
		noise.Pix[i] = byte(random.Uint32()) | 0x0f
	}
	file := encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, noise, &jpeg.Options{Quality: 60}) })
	if len(file) > connector.MaxIconBytes {
		t.Fatalf("the test's file has %d bytes", len(file))
	}
	icon, err := connector.NewIcon(file)
	if err != nil || len(icon.PNG) > connector.MaxIconBytes {
		t.Errorf("%d bytes, %v", len(icon.PNG), err)
	}
}

func TestIconRefused(t *testing.T) {
	t.Parallel()
	whole := encode(t, func(b *bytes.Buffer) error { return png.Encode(b, picture(64, 64)) })
	huge := encode(t, func(b *bytes.Buffer) error { return png.Encode(b, picture(2049, 2)) })
	// A picture of 2048 × 2048 that claims to be of 60,000 × 60,000: nothing is to be allocated for it.
	bomb := bytes.Clone(whole)
	copy(bomb[16:24], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"129 KiB":        {append(bytes.Clone(whole), make([]byte, 129<<10)...), "larger than 128 KiB"},
		"one byte more":  {append(bytes.Clone(whole), make([]byte, connector.MaxIconBytes+1-len(whole))...), "larger than 128 KiB"},
		"svg":            {[]byte(`<?xml version="1.0"?><SVG xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></SVG>`), "SVG"},
		"svg after text": {[]byte("\ufeff  <!-- x --><svg onload='alert(1)'/>"), "SVG"},
		"html":           {[]byte("<html><body>"), "not a PNG"},
		"nothing":        {nil, "not a PNG"},
		"cut":            {whole[:len(whole)-30], "damaged"},
		"too large":      {huge, "2048 × 2048"},
		"bomb":           {bomb, "not a PNG"}, // its checksum is wrong; were it right, its size would not be
		"gif of nothing": {[]byte("GIF89a\x00\x00\x00\x00\x00\x00\x00"), "2048 × 2048"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			icon, err := connector.NewIcon(tt.file)
			var invalid connector.Invalid
			if !errors.As(err, &invalid) || invalid[0].Param != "icon" || !strings.Contains(err.Error(), tt.want) || icon.PNG != nil {
				t.Errorf("%d bytes, error %v, want %q", len(icon.PNG), err, tt.want)
			}
		})
	}
	if _, err := connector.NewIcon(append(bytes.Clone(whole), make([]byte, connector.MaxIconBytes-len(whole))...)); err != nil {
		t.Errorf("exactly 128 KiB: %v", err)
	}
}

func FuzzNewIcon(f *testing.F) {
	f.Add([]byte("GIF89a"))
	f.Fuzz(func(t *testing.T, file []byte) {
		icon, err := connector.NewIcon(file)
		if err == nil && len(icon.PNG) > connector.MaxIconBytes {
			t.Errorf("%d bytes", len(icon.PNG))
		}
	})
}
