package e2e

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"slices"
	"testing"
)

// maxColors is how many colors a palette has.
const maxColors = 256

// fewerColors writes a picture with the 256 colors that it has most of, which makes its file a third. Pages have few colors: what is
// left out are shades at the edges of letters.
func fewerColors(picture []byte) ([]byte, error) {
	in, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	bounds := in.Bounds()
	count := map[color.RGBA]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[opaque(in.At(x, y))]++
		}
	}
	colors := make([]color.RGBA, 0, len(count))
	for c := range count {
		colors = append(colors, c)
	}
	slices.SortFunc(colors, func(a, b color.RGBA) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return brightness(a) - brightness(b) // the same picture comes out the same
	})
	var palette color.Palette
	for _, c := range colors[:min(len(colors), maxColors)] {
		palette = append(palette, c)
	}
	index := map[color.RGBA]uint8{}
	for _, c := range colors {
		index[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.SetColorIndex(x, y, index[opaque(in.At(x, y))])
		}
	}
	var file bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, out)
	return file.Bytes(), err
}

func opaque(c color.Color) color.RGBA {
	r, g, b, _ := c.RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 0xff}
}

func brightness(c color.RGBA) int { return int(c.R)<<16 | int(c.G)<<8 | int(c.B) }

func TestFewerColors(t *testing.T) {
	t.Parallel()
	in := image.NewRGBA(image.Rect(0, 0, 300, 300))
	for y := range 300 {
		for x := range 300 {
			c := color.RGBA{0x10, 0x20, 0x30, 0xff}
			if y == 0 { // 300 shades, of one pixel each
				c = color.RGBA{uint8(x % 256), 0xff, uint8(x / 256), 0xff}
			}
			in.SetRGBA(x, y, c)
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, in); err != nil {
		t.Fatal(err)
	}
	small, err := fewerColors(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	out, err := png.Decode(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	p, ok := out.(*image.Paletted)
	if !ok || len(p.Palette) != maxColors {
		t.Fatalf("the picture is a %T", out)
	}
	if got := opaque(out.At(7, 7)); got != (color.RGBA{0x10, 0x20, 0x30, 0xff}) {
		t.Errorf("its color is %v", got)
	}
	for x := range 300 {
		if got, want := opaque(out.At(x, 0)), opaque(in.At(x, 0)); got.G < 0xf0 || max(got.R, want.R)-min(got.R, want.R) > 60 {
			t.Errorf("%v has become %v", want, got)
		}
	}
}
